"""What a method trains: stages as data, and what the engine asks of one in training."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from gradprom.data.loader import Batch
from gradprom.identity import digest


@dataclass(frozen=True)
class Stage:
    """A part of a run that other runs can share, named by all that can change its outcome."""

    name: str
    """Such as `warmup`; also the seed's second half, so that runs that differ in a strategy see
    the same batches, augmentations and noise."""
    epochs: int
    seed: int
    reads: dict[str, Any]
    """The part of the configuration that the stage reads."""
    parents: tuple["Stage", ...] = ()
    """Stages whose artefacts it starts from."""
    version: int = 1
    """Raised when the code of the stage changes meaning."""
    degraded: bool = field(default=True)
    """Whether its batches carry degraded inputs; if not, input and target are the same."""

    @cached_property
    def id(self) -> str:
        """12 hex digits over name, epochs, seed, version, what is read, and the parents' ids."""
        parents = [parent.id for parent in self.parents]
        parts = [self.name, self.version, self.epochs, self.seed, self.reads, parents]
        return digest(parts)

    def lineage(self) -> list["Stage"]:
        """The stage and all it builds on, parents first, each once."""
        found: dict[str, Stage] = {}
        for parent in self.parents:
            found.update({stage.id: stage for stage in parent.lineage()})
        return [*found.values(), self]


class Training(Protocol):
    """One stage being trained: its networks, optimizers and schedules. The engine drives it."""

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """Take one step; returns 0-dim tensors on the device, `finite` (0 or 1) among them.

        With `probe` it also measures what the step itself does not need.
        """

    def state_dict(self) -> dict[str, Any]:
        """All that a resume needs: networks, optimizers, schedules, the strategy's state."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""

    def artefact(self) -> dict[str, Any]:
        """What the finished stage leaves to its children: network weights by name."""


class Method(Protocol):
    """A whole training recipe. The engine knows nothing of its losses."""

    def stage(self) -> Stage:
        """The last stage; its `lineage` is all that the method trains."""

    def begin(
        self, stage: Stage, artefacts: dict[str, Any], epoch_steps: int, device: torch.device
    ) -> Training:
        """Build a stage's networks from its parents' artefacts, by name."""

    def restore(self, artefact: dict[str, Any], device: torch.device) -> None:
        """Take the last stage's artefact, for `enhance` and `evaluate`."""

    def enhance(self, images: Tensor) -> Tensor:
        """Degraded [B, C, h, w] to enhanced [B, C, H, W], clamped to [0, 1]."""

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """Scores of each image, [B] or [B, classes], on the CPU."""
