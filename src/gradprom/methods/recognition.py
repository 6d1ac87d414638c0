"""Recognizers, as all methods use them: checks, networks, and training on labels alone."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradprom.config import Config, augmentation_reads, precision_reads, split_reads
from gradprom.data.batches import Batches
from gradprom.data.loader import Batch
from gradprom.degradations import enlarge
from gradprom.metrics import registry
from gradprom.models.recognizers import build_recognizer, recognizer_by_name, require_output
from gradprom.tasks import task_by_name
from gradprom.tasks.base import Task
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions
from gradprom.training.stage import Stage, Start


def check(config: Config) -> None:
    """Raise ConfigError for an unknown recognizer, or one that the dataset has no labels for."""
    require_annotations(config)
    backbone = config.auxiliary.backbone
    for task in config.auxiliary.tasks:
        require_output(backbone, task_by_name(task).output)


def require_annotations(config: Config) -> None:
    """Raise NotServed if the dataset lacks the labels or masks that a task needs."""
    for task in config.auxiliary.tasks:
        task_by_name(task).require(config.facts, config.dataset.name)


@torch.no_grad()
def clean_logits(recognizer: nn.Module, clean: Tensor) -> Tensor:
    """Recognizer logits on clean images [B, C, H, W]: no gradient, no BatchNorm update."""
    was_training = recognizer.training
    recognizer.eval()
    logits = recognizer(clean)
    recognizer.train(was_training)
    return logits


def recognizer_input(batch: Batch) -> Tensor:
    """The degraded images at the size of the clean ones, [B, C, H, W].

    Down-sampled ones are enlarged bicubically, because masks are at full size.
    """
    return enlarge(batch.input, batch.target.shape[-2:])


def bounds(task: Task, recognizer: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Columns of a recognizer on the degraded and on the clean images, each with its prefix.

    None on degraded images that have other channels than clean ones, which it was trained on.
    """
    images = {registry.RECOGNIZED_CLEAN: batch.target}
    if batch.input.shape[1] == batch.target.shape[1]:
        images[registry.RECOGNIZED_DEGRADED] = recognizer_input(batch)
    return {
        f"{prefix}{name}": values
        for prefix, shown in images.items()
        for name, values in task.scores(task.scored(recognizer, shown), batch).items()
    }


def build(config: Config, task: str, fresh: bool, channels: int = 0) -> nn.Module:
    """Build the recognizer of a task.

    Parameters
    ----------
    config
        The configuration.
    task
        The task's name.
    fresh
        Start from the weights that `config.auxiliary` names; otherwise trained weights are to be
        loaded afterwards.
    channels
        Channels of its input; 0: those of the clean images.
    """
    a, component = config.auxiliary, task_by_name(task)
    classes = len(component.classes(config.facts))
    channels, pretrained = channels or config.facts.channels, a.pretrained and fresh
    return build_recognizer(component.output, a.backbone, pretrained, channels, classes)


def label(config: Config, tasks: Sequence[str]) -> str:
    """The recognizers of some tasks, such as `small (diagnosis)`."""
    return f"{config.auxiliary.backbone} ({' + '.join(tasks)})" if tasks else "none"


def metrics(tasks: Sequence[str]) -> tuple[str, ...]:
    """Names of the scores that recognizers of some tasks have."""
    return tuple(name for task in tasks for name in task_by_name(task).metrics)


def reads(config: Config) -> dict[str, Any]:
    """The part of the configuration that training on labels alone reads."""
    a, t = config.auxiliary, config.trainer
    pretrained = a.pretrained and recognizer_by_name(a.backbone).PRETRAINED
    return {
        "dataset": config.dataset,
        "recognizer": {"backbone": a.backbone, "pretrained": pretrained, "lr": a.lr},
        "trainer": {"batch_size": t.batch_size, "schedule": t.schedule, "augment": t.augment},
        **augmentation_reads(config),
        **split_reads(config),
        **precision_reads(config),
    }


def pretraining(config: Config, task: str, role: str = "recognizer") -> Stage:
    """The stage that pre-trains a recognizer on clean images with labels.

    Those of another role begin from other weights and see the images in another order.
    """
    epochs = config.auxiliary.epochs
    return Stage(
        f"{role}.{task}",
        epochs=epochs,
        seed=config.seed,
        reads={"task": task, **reads(config)},
        version=stage_version(config),
        batches=batches(config, [task], degraded=False),
        begin=lambda start: RecognizerTraining(config, task, epochs, start, clean=True),
    )


def batches(config: Config, tasks: Sequence[str], degraded: bool = True) -> Batches:
    """Batches of `trainer.batch_size` images, with the annotations that the tasks need."""
    return Batches(
        size=config.trainer.batch_size,
        degradation=config.degradation if degraded else None,
        augment=config.trainer.augment,
        annotations=tuple(task_by_name(task).annotation for task in tasks),
    )


def stage_version(config: Config) -> int:
    """Version of stages on `trainer.schedule`: 2 since `onecycle` does not cycle Adam's β1."""
    return 2 if config.trainer.schedule == "onecycle" else 1


class RecognizerTraining(NetworkTraining):
    """Training of a recognizer on labels alone, on clean or degraded images.

    Smaller images are enlarged (`recognizer_input`), because masks are at full size. A dataset with
    inputs of its own has clean images beside them.
    """

    def __init__(
        self,
        config: Config,
        task: str,
        epochs: int,
        start: Start,
        channels: int = 0,
        clean: bool = False,
    ):
        self.task, self.learned, self.clean = task, task_by_name(task), clean
        options = OptimizerOptions(lr=config.auxiliary.lr, schedule=config.trainer.schedule)
        recognizer = build(config, task, fresh=True, channels=channels).train()
        steps = epochs * start.epoch_steps
        super().__init__(
            Networks({task: recognizer}, {task: options}, config.trainer, start.device, steps)
        )

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step on the supervised loss."""
        target = self.learned.truth(batch)
        images = batch.target if self.clean else recognizer_input(batch)
        logits = self.networks[self.task](images)
        loss, finite = self.networks.backward(self.learned.supervised_loss(logits, target))
        hits = self.learned.accuracy(logits.detach(), target)
        return {f"loss_{self.task}": loss, f"accuracy_{self.task}": hits, "finite": finite}
