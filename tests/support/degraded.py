"""Images, and one or more of every degradation to apply to them."""

import pytest
import torch

from gradprom.degradations import Blur, Completion, Downsample, Gaussian, Mix, Poisson

IDS = ["a/1.png", "a/2.png", "b", "ü", "e"]
IMAGES = torch.rand(5, 3, 12, 8, generator=torch.Generator().manual_seed(1))
ALL = [
    Gaussian(sigma=0.2),
    Poisson(),
    Blur(),
    Downsample(scale=2),
    Mix(),
    Mix(order=["downsample", "gaussian", "poisson"]),
    Gaussian(sigma=0.5, sigma_low=0.0),
    Completion(drop=0.3),
    Mix(order=["completion", "gaussian"], parts={"completion": {"drop": 0.2}}),
]
NAMES = [d.name + "".join(f" {part}" for part in getattr(d, "order", [])) for d in ALL]
NAMES[6] = "gaussian of a range"
every = pytest.mark.parametrize("degradation", ALL, ids=NAMES)


def degrade(degradation, images, seed=0):
    ids = [str(number) for number in range(len(images))]
    generator = torch.Generator().manual_seed(seed)
    parameters = degradation.draw(ids, tuple(images.shape), generator)
    return degradation.apply(images, parameters)
