"""What a method is: the seam that every file of this package stands behind.

A method describes itself: what it trains, as a graph of stages that say what they read; what its
evaluation reads; which scores it has; and what a plan, a report and a card say of it. Nothing
outside this package knows of recognizers, tasks or strategies.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
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
    """A configured method in words."""

    title: str
    """Such as `Image enhancer (srresnet, strategy gradprom, diagnosis)`."""
    parts: dict[str, str] = field(default_factory=dict)
    """What a plan and a report list, such as `enhancer`: `srresnet (channels 16, blocks 4)`."""
    logged: tuple[str, ...] = ()
    """Beginnings of the names of logged values whose means over the last stage a record keeps."""
    exported: dict[str, str] = field(default_factory=dict)
    """Names of networks in an exported file, by their own, where the two differ."""
    network: str = ""
    """The network that a person applies by hand, where the method cannot enhance an image."""


class Method(ABC):
    """A whole training recipe, for one configuration; no network is built until it is needed.

    A method's module has `Options`, its options, `build(config)`, which makes this, and
    `check(config)`, which refuses what the parts of a configuration do not allow together.
    """

    def __init__(self, config: Config):
        self.config = config
        self.networks: dict[str, nn.Module] = {}
        """By name, once `restore` has made them."""

    @abstractmethod
    def stage(self) -> Stage:
        """The last stage; its `lineage` is all that the method trains."""

    @abstractmethod
    def describe(self) -> Description:
        """What plans, reports and cards say of it."""

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
            What `restore_images` made of them.
        """

    def evaluation_reads(self) -> dict[str, Any]:
        """What evaluation reads that no stage does, as part of the run's id.

        Test conditions and solver options of methods that are not trained on them; nothing for a
        method that is trained as it is tested.
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

    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor | None:
        """What becomes of the degraded test images, [B, C, H, W] in [0, 1]; None for nothing.

        `noise` is what a sampler draws from: each image's own, the same on every machine and in
        every batch.
        """
        return self.enhance(batch.input)

    def restore(self, weights: Weights, device: torch.device) -> None:
        """Build the networks and fill them with what the last stage has left.

        Raises
        ------
        KeyError, RuntimeError
            If a network is missing, or its weights are those of another architecture.
        """
        self.networks = self.build_networks()
        for name, network in self.networks.items():
            network.load_state_dict(weights[name])
            network.to(device).eval()

    def reads(self) -> dict[str, Any]:
        """All that training and evaluation read, by key; the same key in two stages is one."""
        merged: dict[str, Any] = {}
        parts = [stage.reads for stage in self.stage().lineage()]
        for part in (*parts, self.evaluation_reads()):
            merged |= {key: _merged(merged.get(key), value) for key, value in part.items()}
        return merged


def _merged(old: Any, new: Any) -> Any:
    """Two stages' parts of one section together."""
    both = isinstance(old, Mapping) and isinstance(new, Mapping)
    return {**old, **new} if both else new
