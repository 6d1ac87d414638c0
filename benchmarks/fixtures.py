"""Datasets and methods for benchmarks, made in memory; the weights are the initial ones."""

import torch
from torch import Tensor, nn

from gradprom import config
from gradprom.config import Config
from gradprom.data.base import Facts, Finer, Images
from gradprom.methods.task_driven import EnhancerTraining, TaskDriven
from gradprom.sweeps.request import shell_composer
from gradprom.training.stage import Start

CPU = torch.device("cpu")
UNTRAINED = ("pretrained=false", "auxiliary.pretrained=false")


def images(count: int, size: int, facts: Facts, split: str) -> Images:
    """Random images, masks and labels, all in one split; smooth, as images are.

    Augmentation crops from images of twice the size.
    """
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, facts.channels, 9, 9, generator=random)
    finer = nn.functional.interpolate(coarse, (2 * size, 2 * size), mode="bicubic").clamp(0, 1)
    target = nn.functional.avg_pool2d(finer, 2)
    crops = Finer((255 * finer).byte(), torch.full((count,), 0.5, dtype=torch.float64), False)
    names = [str(number) for number in range(count)]
    return Images(
        ids=names,
        target=(255 * target).byte(),
        mask=_levels(target.mean(1), len(facts.mask_classes)),
        label=torch.randint(len(facts.classes), (count,), generator=random),
        groups=names,
        splits={split: list(range(count))},
        facts=facts,
        fingerprint="random",
        finer=lambda: crops,
    )


def composed(*overrides: str) -> Config:
    """The configuration that these words ask for, its networks untrained."""
    node, _ = shell_composer()([*overrides, *UNTRAINED])
    return config.load(node)


def coupled(method: TaskDriven, device: torch.device) -> EnhancerTraining:
    """The last stage's training at its beginning."""
    stage, artefacts = method.stage(), {}
    for parent in stage.parents:
        torch.manual_seed(0)
        artefacts[parent.id] = parent.begin(Start({}, 1000, device)).artefact()
    training = stage.begin(Start(artefacts, 1000, device))
    assert isinstance(training, EnhancerTraining)
    return training


def _levels(values: Tensor, count: int) -> Tensor:
    return (count * values).long().clamp(max=count - 1).byte()
