"""A test set in memory, and a method with known results."""

import torch
from torch import Tensor

from gradprom.data.base import Facts, Images
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch


class Halves:
    """It halves the images, and keeps its inputs by id."""

    def __init__(self) -> None:
        self.inputs: dict[str, Tensor] = {}

    def enhance(self, images: Tensor) -> Tensor:
        return images / 2

    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor | None:
        return self.enhance(batch.input)

    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        self.inputs |= dict(zip(batch.ids, batch.input, strict=True))
        number = torch.tensor([int(id) for id in batch.ids])
        return {"number": number, "union": torch.stack([number, number + 1], 1)}


def images(count: int = 7, channels: int = 3) -> Images:
    """`count` images of 16×24 pixels, every second one in the test split, last first."""
    pixels = torch.randint(0, 256, (count, channels, 16, 24), generator=torch.manual_seed(0))
    return Images(
        ids=[str(number) for number in range(count)],
        target=pixels.byte(),
        mask=None,
        label=None,
        groups=[f"patient {number // 2}" for number in range(count)],
        splits={"train": [1], "test": list(range(count - 1, -1, -2))},
        facts=Facts(channels, (), ()),
        fingerprint="f",
    )
