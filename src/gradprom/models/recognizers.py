"""Recognizers (the paper's VR): ResNet classifiers, U-Nets, and the small ones of the demo."""

from torch import Tensor, nn

from gradprom.models.imagenet import RESNETS, Normalization, pad, weights_name, with_weights
from gradprom.models.small import SmallClassifier, SmallUNet

BACKBONES = ("small", *RESNETS)
TASKS = ("diagnosis", "segmentation")


class Recognizer(nn.Module):
    """A network on a ResNet, for images in [0, 1] of any size."""

    def __init__(self, network: nn.Module, normalization: Normalization, per_pixel: bool) -> None:
        super().__init__()
        self.normalization = normalization
        self.network = network
        self.per_pixel = per_pixel

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] -> logits [B, classes], or [B, classes, H, W] if per pixel."""
        x = self.normalization(x)
        if not self.per_pixel:
            return self.network(x)
        height, width = x.shape[-2:]
        return self.network(pad(x))[..., :height, :width]


def build_recognizer(
    task: str, backbone: str, pretrained: bool, channels: int, classes: int
) -> nn.Module:
    """A recognizer from images [B, channels, H, W] in [0, 1] to logits.

    `task="diagnosis"` gives [B, classes], `"segmentation"` [B, classes, H, W]. `backbone` is
    `small`, for which no ImageNet weights exist and `pretrained` says nothing, or a ResNet.

    Raises ValueError for another task or backbone, ConfigError when ImageNet weights are asked
    for and cannot be had.
    """
    if task not in TASKS:
        raise ValueError(f"task={task!r}: allowed are {', '.join(TASKS)}")
    if backbone not in BACKBONES:
        raise ValueError(f"backbone={backbone!r}: allowed are {', '.join(BACKBONES)}")
    if backbone == "small":
        small = SmallClassifier if task == "diagnosis" else SmallUNet
        return small(channels, classes)
    build = _classifier if task == "diagnosis" else _unet
    network = with_weights(
        lambda weights: build(backbone, weights, channels, classes), backbone, pretrained
    )
    return Recognizer(network, Normalization(channels, pretrained), task == "segmentation")


def _classifier(backbone: str, pretrained: bool, channels: int, classes: int) -> nn.Module:
    import timm

    return timm.create_model(
        weights_name(backbone), pretrained=pretrained, in_chans=channels, num_classes=classes
    )


def _unet(backbone: str, pretrained: bool, channels: int, classes: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    # "tu-" takes the encoder from timm: the enhancer, the classifier and the U-Net then share
    # one set of weights, and one file in the cache
    return smp.Unet(
        f"tu-{weights_name(backbone)}",
        encoder_weights=True if pretrained else None,
        in_channels=channels,
        classes=classes,
    )
