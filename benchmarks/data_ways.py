"""Three ways to training batches: this project's, torchvision's from files, and kornia's."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from gradprom.data.augment import MAX_ANGLE, MIN_SCALE
from gradprom.data.base import Images
from gradprom.data.batches import Batches
from gradprom.data.loader import Loader
from gradprom.degradations import Gaussian

BATCH = 8
SIGMA = 0.1
ANGLE = math.degrees(MAX_ANGLE)


class Ours:
    """The project's loader; each epoch is another."""

    def __init__(self, images: Images, device: str) -> None:
        batches = Batches(BATCH, Gaussian(sigma=SIGMA), annotations=("label", "mask"))
        self.loader = Loader(images, "train", batches, device)
        self.steps = itertools.count()

    def epoch(self) -> Iterator[Tensor]:
        """The degraded images."""
        for step in itertools.islice(self.steps, self.loader.steps_per_epoch):
            yield self.loader.batch(0, step).input


def save(images: Images, folder: Path) -> None:
    """The images and masks as PNG files, at the size they are trained at."""
    assert images.mask is not None
    for id, target, mask in zip(images.ids, images.target, images.mask, strict=True):
        pixels = target.permute(1, 2, 0).squeeze(-1).numpy()
        Image.fromarray(pixels).save(folder / f"{id}.png")
        Image.fromarray(mask.numpy()).save(folder / f"{id}.mask.png")


class Files(Dataset):
    """Decoded anew each time, then transformed by torchvision, an image with its mask."""

    def __init__(self, images: Images, folder: Path) -> None:
        assert isinstance(images.target, Tensor)
        self.ids, self.folder, self.label = images.ids, folder, images.label
        geometry = [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomRotation(ANGLE, interpolation=v2.InterpolationMode.BILINEAR),
            CentreCrop(images.target.shape[-1]),
        ]
        classes = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
        self.transform = v2.Compose([*geometry, v2.ToDtype(classes, scale=True)])
        self.noise = v2.GaussianNoise(sigma=SIGMA)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        image = _read(self.folder / f"{self.ids[row]}.png")
        mask = _read(self.folder / f"{self.ids[row]}.mask.png")
        target, mask = self.transform(tv_tensors.Image(image), tv_tensors.Mask(mask[0]))
        assert self.label is not None
        return self.noise(target), target, mask, self.label[row]


class CentreCrop(v2.Transform):
    """A centre crop at a scale of 50–100 %, resized back."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        scale = MIN_SCALE + (1 - MIN_SCALE) * torch.rand(()).item()
        return {"side": max(1, round(scale * self.size))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        cropped = tv.center_crop(inpt, [params["side"]])
        return tv.resize(cropped, [self.size, self.size], antialias=False)


def files(images: Images, folder: Path, workers: int) -> DataLoader:
    """torch's loader of the files; its workers stay from one epoch to the next."""
    return DataLoader(
        Files(images, folder),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


class Kornia:
    """kornia's batched augmentation of the same images in memory, image and mask together."""

    def __init__(self, images: Images, device: str) -> None:
        import kornia.augmentation as K

        assert isinstance(images.target, Tensor) and isinstance(images.mask, Tensor)
        self.target, self.mask = images.target.to(device), images.mask.to(device)
        self.augment = K.AugmentationSequential(
            K.RandomHorizontalFlip(),
            K.RandomVerticalFlip(),
            K.RandomAffine(ANGLE, scale=(1, 1 / MIN_SCALE), padding_mode="reflection", p=1.0),
            data_keys=["input", "mask"],
        )
        self.noise = K.RandomGaussianNoise(std=SIGMA, p=1.0)

    def epoch(self) -> Iterator[Tensor]:
        """The degraded images."""
        for rows in torch.randperm(len(self.target)).split(BATCH):
            rows = rows.to(self.target.device)
            pixels, mask = self.target[rows].float() / 255, self.mask[rows, None].float()
            target, mask = self.augment(pixels, mask)
            mask = mask.squeeze(1).long()
            yield self.noise(target).clamp(0, 1)


def _read(path: Path) -> Tensor:
    with Image.open(path) as image:
        pixels = np.asarray(image)
    return torch.from_numpy(pixels.copy()).view(*pixels.shape[:2], -1).permute(2, 0, 1)
