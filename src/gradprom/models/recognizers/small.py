"""Small recognizers for the demo profile: seconds of training on one CPU core.

They replace the paper's ResNet-50/101 classifiers and U-Nets, with the same inputs and outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradprom.models.borders import doubled, repeated

OUTPUTS = ("image", "pixel")
PRETRAINED = False


@dataclass
class Options:
    """No choices but the name."""

    name: str = "small"


def conv_block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3×3 convolution, BatchNorm, ReLU: [B,inputs,H,W] -> [B,outputs,H/stride,W/stride]."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class SmallClassifier(nn.Module):
    """Diagnosis from an image: float [B,in_channels,H,W] in [0,1] -> logits [B,classes].

    Five convolution blocks with max-pooling between them (the first works at full resolution,
    because fine structure matters for the diagnosis), global average pooling, a linear layer. H and
    W are any sizes >= 32; the first block has `width` channels, the linear layer 8 times as many.
    """

    def __init__(self, in_channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        widths = [in_channels, width, 2 * width, 4 * width, 8 * width, 8 * width]
        blocks: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            blocks += [conv_block(inputs, outputs), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*blocks[:-1])
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B,classes] of `images` [B,in_channels,H,W]."""
        return self.head(self.features(images).mean((2, 3)))

    def features_and_head(self, images: Tensor) -> tuple[Tensor, nn.Linear]:
        """Features [B,K,h,w] of `images` [B,in_channels,H,W], and the layer behind their mean."""
        return self.features(images), self.head


class SmallUNet(nn.Module):
    """Segmentation of an image: float [B,in_channels,H,W] in [0,1] -> logits [B,classes,H,W].

    Three levels of `width`, 2 and 4 times `width` channels with skips by concatenation. H and W
    are any sizes: the image is padded at its right and lower edge to multiples of 4 by repeating
    its border, and the logits are cropped.
    """

    def __init__(self, in_channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        self.down1 = conv_block(in_channels, width)
        self.down2 = nn.Sequential(
            conv_block(width, 2 * width, stride=2), conv_block(2 * width, 2 * width)
        )
        self.down3 = nn.Sequential(
            conv_block(2 * width, 4 * width, stride=2), conv_block(4 * width, 4 * width)
        )
        # channels are halved before the up-sampling, where it is four times cheaper
        self.narrow3 = conv_block(4 * width, 2 * width)
        self.up2 = conv_block(4 * width, 2 * width)
        self.narrow2 = nn.Conv2d(2 * width, width, 1)
        self.up1 = nn.Conv2d(2 * width, width, 1)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B,classes,H,W] of `images` [B,in_channels,H,W]."""
        height, width = images.shape[-2:]
        fine = self.down1(repeated(images, 4))
        middle = self.down2(fine)
        coarse = self.down3(middle)
        middle = self.up2(torch.cat([doubled(self.narrow3(coarse)), middle], 1))
        fine = self.up1(torch.cat([doubled(self.narrow2(middle)), fine], 1))
        return self.head(fine)[..., :height, :width]


def build(
    options: Options, output: str, channels: int, classes: int, pretrained: bool
) -> nn.Module:
    """A small classifier (`output="image"`) or U-Net (`"pixel"`)."""
    network = SmallClassifier if output == "image" else SmallUNet
    return network(channels, classes)
