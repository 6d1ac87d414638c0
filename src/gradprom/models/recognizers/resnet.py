"""The paper's recognizers: ResNet classifiers, and U-Nets with a ResNet encoder."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from gradprom.models.imagenet import RESNETS, Normalization, pad, weights_name, with_weights

NAMES = RESNETS
OUTPUTS = ("image", "pixel")
PRETRAINED = True


@dataclass
class Options:
    """Which ResNet."""

    name: str = "resnet101"

    def __post_init__(self) -> None:
        if self.name not in RESNETS:
            raise ValueError(f"name={self.name}: allowed are {', '.join(RESNETS)}")


class ResNetClassifier(nn.Module):
    """A timm ResNet for images in [0, 1] of any size."""

    def __init__(self, network: nn.Module, normalization: Normalization) -> None:
        super().__init__()
        self.normalization = normalization
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] -> logits [B, classes]."""
        return self.network(self.normalization(x))

    def features_and_head(self, images: Tensor) -> tuple[Tensor, nn.Linear]:
        """Features [B, K, h, w] of images [B, C, H, W], and the layer behind their mean."""
        network: Any = self.network
        return network.forward_features(self.normalization(images)), network.get_classifier()


class ResNetUNet(nn.Module):
    """A U-Net with a ResNet encoder for images in [0, 1] of any size."""

    def __init__(self, network: nn.Module, normalization: Normalization) -> None:
        super().__init__()
        self.normalization = normalization
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] -> logits [B, classes, H, W]."""
        height, width = x.shape[-2:]
        return self.network(pad(self.normalization(x)))[..., :height, :width]


def build(
    options: Options, output: str, channels: int, classes: int, pretrained: bool
) -> nn.Module:
    """A ResNet classifier (`output="image"`) or U-Net (`"pixel"`); timm is imported here.

    Raises
    ------
    ConfigError
        If ImageNet weights are required and cannot be loaded.
    """
    create = _classifier if output == "image" else _unet
    network = with_weights(
        lambda weights: create(options.name, weights, channels, classes), options.name, pretrained
    )
    kind = ResNetClassifier if output == "image" else ResNetUNet
    return kind(network, Normalization(channels, pretrained))


def _classifier(backbone: str, pretrained: bool, channels: int, classes: int) -> nn.Module:
    import timm

    return timm.create_model(
        weights_name(backbone), pretrained=pretrained, in_chans=channels, num_classes=classes
    )


def _unet(backbone: str, pretrained: bool, channels: int, classes: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    # with "tu-" the encoder is timm's: enhancer, classifier and U-Net then share one set of
    # weights, and one file in the cache
    return smp.Unet(
        f"tu-{weights_name(backbone)}",
        encoder_weights=True if pretrained else None,
        in_channels=channels,
        classes=classes,
    )
