"""The images of one step, with their annotations and how they were degraded."""

from dataclasses import dataclass

from torch import Tensor

from gradprom.degradations.observation import Observation


@dataclass
class Batch:
    """Images of one step, all on one device."""

    ids: list[str]
    input: Tensor
    """float32 [B,C,h,w]: the degraded images; h, w are smaller where they are down-sampled, and C
    is `Facts.inputs`."""
    target: Tensor
    """float32 [B,C,H,W] in [0,1]: the clean images."""
    annotations: dict[str, Tensor]
    """int64 by name: [B] of images, -1 where one is not labelled, or [B,H,W] of their pixels."""
    observation: Observation | None = None
    """The degradation with what was drawn for these images; None where they are clean."""

    @property
    def mask(self) -> Tensor | None:
        """int64 [B,H,W], if it was requested."""
        return self.annotations.get("mask")

    @property
    def label(self) -> Tensor | None:
        """int64 [B], -1 where an image is not labelled; if it was requested."""
        return self.annotations.get("label")
