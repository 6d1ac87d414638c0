"""Stages: what a method trains, as data, and the interface of a stage in training."""

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
"""The outcome of a stage: state dicts of networks, by the network's name."""


class Training(Protocol):
    """A stage in training: its networks, optimizers and schedules. The engine calls it."""

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """Take one step.

        It may be captured as a CUDA graph: what it does on the host, it does then and not again.

        Parameters
        ----------
        batch
            The images of the step.
        probe
            Also measure what the step itself does not need; the update does not change in any bit.

        Returns
        -------
        dict
            Values to be logged, 0-dim tensors on the device; `finite` (0 or 1) is one of them.
        """

    def state_dict(self) -> dict[str, Any]:
        """All that a resume needs: networks, optimizers, schedules, the strategy's state."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""

    def artefact(self) -> dict[str, Any]:
        """What later stages start from: network weights by name."""


@dataclass(frozen=True)
class Start:
    """What the training of a stage starts from."""

    artefacts: Mapping[str, Weights]
    """The artefacts of the stage's parents, by stage id."""
    epoch_steps: int
    """Steps in an epoch of this stage."""
    device: torch.device

    def weights(self, parent: "Stage") -> Weights:
        """The artefact of a parent."""
        return self.artefacts[parent.id]


def _untrainable(start: Start) -> Training:
    raise RunError("a stage without `begin` cannot be trained")


@dataclass(frozen=True)
class Stage:
    """A part of a run that other runs can share; its id covers all that can change its outcome.

    `batches`, `probe_every`, `bound_to_length` and `begin` are not hashed; `reads` has the values
    that they follow from.
    """

    name: str
    """Such as `warmup`; random numbers follow from seed and name, so that runs that differ in their
    strategy see the same batches, augmentations and noise."""
    epochs: int
    seed: int
    reads: dict[str, Any]
    """The part of the configuration that the stage reads, also for its batches and its start."""
    parents: tuple["Stage", ...] = ()
    """Stages whose artefacts it starts from."""
    version: int = 1
    """Raised when the code of the stage changes its outcome."""
    batches: Batches = field(default=Batches(size=1), compare=False, repr=False)
    """The batches that it is trained on."""
    probe_every: int = field(default=1, compare=False, repr=False)
    """Least steps between two probes, at the end of a row of the history each; more than 1 where a
    probe costs as much as a step."""
    bound_to_length: str = field(
        default="its method does not say that steps do not depend on their number",
        compare=False,
        repr=False,
    )
    """Why a longer training of it does not begin as a shorter one; empty: it does, bit for bit."""
    begin: Callable[[Start], Training] = field(default=_untrainable, compare=False, repr=False)
    """Builds its networks, from its parents' weights where it has parents."""

    @cached_property
    def id(self) -> str:
        """12 hex digits: the hash of name, epochs, seed, version, `reads` and the parents' ids."""
        parents = [parent.id for parent in self.parents]
        parts = [self.name, self.version, self.epochs, self.seed, self.reads, parents]
        return digest(parts)

    def lineage(self) -> list["Stage"]:
        """The stage and all its ancestors, parents first, each once."""
        stages: dict[str, Stage] = {}
        for parent in self.parents:
            stages.update({stage.id: stage for stage in parent.lineage()})
        return [*stages.values(), self]
