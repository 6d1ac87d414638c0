"""What all networks with a timm ResNet share: weights, normalization, sizes of images."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from gradprom.errors import ConfigError, first_line
from gradprom.models.borders import repeated

Network = TypeVar("Network", bound=nn.Module)

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
STRIDE = 32
"""How much smaller than the image a ResNet's last features are."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def weights_name(resnet: str) -> str:
    """The timm name of a ResNet with torchvision's first ImageNet weights.

    These were the weights of `pretrained=True` when the paper was written. timm's default for a
    bare name is a later recipe, which changes between releases.
    """
    return f"{resnet}.tv_in1k"


def with_weights(build: Callable[[bool], Network], resnet: str, pretrained: bool) -> Network:
    """`build(pretrained)`; never a network with random weights instead of pre-trained ones.

    Raises
    ------
    ConfigError
        If the weights cannot be loaded.
    """
    if not pretrained:
        return build(False)
    try:
        return build(True)
    # offline, an unknown host and a broken download or file raise errors of different libraries
    except Exception as error:
        reason = first_line(error)
        raise ConfigError(
            f"The ImageNet weights {weights_name(resnet)} could not be loaded: set "
            f"pretrained=false, or provide them in the Hugging Face cache (HF_HOME). ({reason})"
        ) from error


class Normalization(nn.Module):
    """(x − mean) / std with ImageNet's statistics if `pretrained`, otherwise the identity.

    Images that are not RGB use the mean over the colours, like timm, which sums the first
    convolution's weights over them. The statistics are part of the state dict, so that a
    checkpoint can be loaded without downloading the ImageNet weights again.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, pretrained: bool) -> None:
        super().__init__()
        for name, rgb, neutral in (("mean", MEAN, 0.0), ("std", STD, 1.0)):
            values = torch.tensor(rgb) if pretrained else torch.full((3,), neutral)
            if channels != 3:
                values = values.mean().repeat(channels)
            self.register_buffer(name, values.view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return (x - self.mean) / self.std


def pad(x: Tensor) -> Tensor:
    """Repeat the right and bottom border until height and width are multiples of 32.

    By repetition, because a reflection needs an image larger than the padding.
    """
    return repeated(x, STRIDE)
