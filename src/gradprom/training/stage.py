"""What a method trains: stages as data, and what the engine asks of one in training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from gradprom.data.batches import Batches
from gradprom.data.loader import Batch
from gradprom.errors import RunError
from gradprom.identity import digest

Weights = Mapping[str, Any]
"""What a stage leaves: state dicts of networks, by the network's name."""


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


@dataclass(frozen=True)
class Start:
    """What a stage begins from."""

    artefacts: Mapping[str, Weights]
    """What the parents have left, by stage id."""
    epoch_steps: int
    """Steps in an epoch of this stage."""
    device: torch.device

    def weights(self, parent: "Stage") -> Weights:
        """What a parent has left."""
        return self.artefacts[parent.id]


def _untrainable(start: Start) -> Training:
    raise RunError("a stage that was made without `begin` cannot be trained")


@dataclass(frozen=True)
class Stage:
    """A part of a run that other runs can share, named by all that can change its outcome.

    How its training begins and what it is fed are no part of its id: `reads` says them.
    """

    name: str
    """Such as `warmup`; also the seed's second half, so that runs that differ in a strategy see
    the same batches, augmentations and noise."""
    epochs: int
    seed: int
    reads: dict[str, Any]
    """The part of the configuration that the stage reads, batches and beginning included."""
    parents: tuple["Stage", ...] = ()
    """Stages whose artefacts it starts from."""
    version: int = 1
    """Raised when the code of the stage changes meaning."""
    batches: Batches = field(default=Batches(size=1), compare=False, repr=False)
    """What it is fed."""
    begin: Callable[[Start], Training] = field(default=_untrainable, compare=False, repr=False)
    """Builds its networks, from its parents' weights where it has parents."""

    @cached_property
    def id(self) -> str:
        """12 hex digits over name, epochs, seed, version, what is read, and the parents' ids."""
        parents = [parent.id for parent in self.parents]
        parts = [self.name, self.version, self.epochs, self.seed, self.reads, parents]
        return digest(parts)

    def lineage(self) -> list["Stage"]:
        """The stage and all it builds on, parents first, each once."""
        stages: dict[str, Stage] = {}
        for parent in self.parents:
            stages.update({stage.id: stage for stage in parent.lineage()})
        return [*stages.values(), self]
