"""The interface of this package's modules, and of classifiers with class activation maps."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


class Recognizers(Protocol):
    """A module with one recognizer network, or with several that its `NAMES` lists."""

    Options: Callable[..., Any]
    """A dataclass whose field `name` is the name of the network."""
    OUTPUTS: tuple[str, ...]
    """The outputs of its networks: `image`, logits [B, K], or `pixel`, logits [B, K, H, W]."""
    PRETRAINED: bool
    """Whether there are ImageNet weights for them."""

    def build(
        self, options: Any, output: str, channels: int, classes: int, pretrained: bool
    ) -> nn.Module:
        """The network from images [B, channels, H, W] in [0, 1] to logits, at any size.

        `output` is one of `OUTPUTS`; `pretrained` is false if `PRETRAINED` is.
        """


@runtime_checkable
class LinearHead(Protocol):
    """A classifier whose logits are a linear function of the mean over its features."""

    def features_and_head(self, images: Tensor) -> tuple[Tensor, nn.Linear]:
        """Features [B, K, h, w] of images [B, C, H, W], and the layer behind their mean."""
