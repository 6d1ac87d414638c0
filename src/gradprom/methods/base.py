"""The interface of a method, which every other module of this package implements.

A method describes itself: the graph of stages that it trains, with what they read of the
configuration; what its evaluation reads; which scores it has; and how plans, reports and cards
describe it. Code outside this package knows nothing of recognizers, tasks or strategies.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gradprom.config import Config
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch
from gradprom.errors import RunError
from gradprom.training.stage import Stage, Weights


@dataclass(frozen=True)
class Description:
    """A configured method as plans, reports and cards describe it."""

    title: str
    """Such as `Image enhancer (srresnet, strategy gradprom, diagnosis)`."""
    parts: dict[str, str] = field(default_factory=dict)
    """Entries of plans and reports, such as `enhancer`: `srresnet (channels 16, blocks 4)`."""
    logged: tuple[str, ...] = ()
    """Prefixes of logged values whose means over the last stage a record has."""
    exported: dict[str, str] = field(default_factory=dict)
    """Names of networks in an exported file, by the network's name, where the two differ."""
    restorer: str = ""
    """The one of several networks that `enhance` restores images with."""
    network: str = ""
    """The network that a card shows how to call, where the method cannot enhance an image."""
    inputs: dict[str, str] = field(default_factory=dict)
    """What that network takes after the degraded images, each [B]: names, and what they are."""
    passes: int = 1
    """Through the network that restores images, for one of them."""


class Method(ABC):
    """A whole training recipe, for one configuration; no network is built until it is needed.

    A method's module has `Options`, its options; `build(config)`, which returns an instance; and
    `check(config)`, which raises ConfigError if parts of a configuration do not fit together.
    """

    def __init__(self, config: Config):
        self.config = config
        self.networks: dict[str, nn.Module] = {}
        """By name; empty until `restore` builds them."""
        self.references: dict[str, nn.Module] = {}
        """Networks as earlier stages left them, by name; `evaluate` scores those that are there."""
        self.progress: Callable[[int, int], None] | None = None
        """Called by a solver of long iterations with its steps done, and all that it may take."""

    @abstractmethod
    def stage(self) -> Stage:
        """The last stage; its `lineage` is all that the method trains."""

    @abstractmethod
    def describe(self) -> Description:
        """Its description in plans, reports and cards."""

    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of the scores that its runs have, as in `gradprom.metrics.registry`."""

    @abstractmethod
    def build_networks(self) -> dict[str, nn.Module]:
        """The networks of the last stage by name, to be filled with trained weights."""

    @abstractmethod
    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """The scores of each test image, [B], or [B, n] for n columns `<name>_0` and so on.

        Parameters
        ----------
        batch
            Test images with all their annotations.
        restored
            The result of `restore_images`, [B, C, H, W] in [0, 1], or None.
        """

    def evaluation_reads(self) -> dict[str, Any]:
        """The part of the configuration that only evaluation reads, as part of the run's id.

        Test conditions and solver options of methods that are not trained on them; empty for a
        method that is trained under its test conditions.
        """
        return {}

    def enhance(self, images: Tensor) -> Tensor:
        """Degraded [B, C, h, w] to enhanced [B, C, H, W], clamped to [0, 1].

        Raises
        ------
        RunError
            If the method cannot do so, or not from an image alone.
        """
        raise RunError(
            f"a run of method={self.config.method.name} has no enhancer that takes an image alone; "
            f"choose a run of another method"
        )

    def restorer_arguments(self, images: Tensor) -> tuple[Tensor, ...]:
        """What the network that restores images is called with: degraded ones, [B, C, h, w]."""
        return (images,)

    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor | None:
        """Restore degraded test images.

        Parameters
        ----------
        batch
            The test images.
        noise
            Random numbers for samplers; those of an image are the same on every machine and in
            every batch.

        Returns
        -------
        Tensor or None
            [B, C, H, W] in [0, 1]; None if the method restores no images.
        """
        return self.enhance(batch.input)

    def restore(self, weights: Weights, device: torch.device) -> None:
        """Build the networks and load the weights of the last stage.

        Raises
        ------
        KeyError, RuntimeError
            If a network has no weights, or those of another architecture.
        """
        self.networks = self.build_networks()
        for name, network in self.networks.items():
            network.load_state_dict(weights[name])
            network.to(device).eval()

    def reference_stages(self) -> dict[str, Stage]:
        """Earlier stages whose networks are scored on test images too, by the network's name."""
        return {}

    def restore_references(self, weights: Mapping[str, Weights], device: torch.device) -> None:
        """Build and load `references`.

        Parameters
        ----------
        weights
            Those of `reference_stages`, by the network's name; stages that are not stored any more
            are missing.
        device
            Where the networks of `restore` are.
        """
        built = self.build_networks() if weights else {}
        self.references = {name: built[name] for name in weights}
        for name, network in self.references.items():
            network.load_state_dict(weights[name][name])
            network.to(device).eval()

    def reads(self) -> dict[str, Any]:
        """The configuration that training and evaluation read, by key, merged over stages."""
        merged: dict[str, Any] = {}
        parts = [stage.reads for stage in self.stage().lineage()]
        for part in (*parts, self.evaluation_reads()):
            merged |= {key: _merged(merged.get(key), value) for key, value in part.items()}
        return merged


def _merged(old: Any, new: Any) -> Any:
    """The values of one key in two stages as one; sections are united."""
    both = isinstance(old, Mapping) and isinstance(new, Mapping)
    return {**old, **new} if both else new
