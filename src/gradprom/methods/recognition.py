"""What recognizers share over the methods: their checks, networks and own training."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradprom.config import Config, holdout_reads, precision_reads
from gradprom.data.batches import Batches
from gradprom.data.loader import Batch
from gradprom.degradations import enlarge
from gradprom.models.recognizers import build_recognizer, recognizer_by_name, require_output
from gradprom.tasks import task_by_name
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions
from gradprom.training.stage import Stage, Start


def check(config: Config) -> None:
    """Refuse a recognizer that there is not, or that the dataset cannot teach."""
    require_annotations(config)
    backbone = config.auxiliary.backbone
    for task in config.auxiliary.tasks:
        require_output(backbone, task_by_name(task).output)


def require_annotations(config: Config) -> None:
    """Raises NotServed where the dataset lacks the labels or masks that a task needs."""
    for task in config.auxiliary.tasks:
        task_by_name(task).require(config.facts, config.dataset.name)


@torch.no_grad()
def clean_logits(recognizer: nn.Module, clean: Tensor) -> Tensor:
    """The recognizer's word on the clean image: no gradient, no BatchNorm update."""
    learning = recognizer.training
    recognizer.eval()
    logits = recognizer(clean)
    recognizer.train(learning)
    return logits


def seen(batch: Batch) -> Tensor:
    """The input as a recognizer sees it, [B, C, H, W]: enlarged bicubically to the target's size
    where it was down-sampled, because masks are at full size."""
    return enlarge(batch.input, batch.target.shape[-2:])


def build(config: Config, task: str, fresh: bool, channels: int = 0) -> nn.Module:
    """A recognizer for a task, of images with as many channels as clean ones, or `channels`.

    A `fresh` one starts as `config.auxiliary` says, others are to be filled with trained weights.
    """
    a, chosen = config.auxiliary, task_by_name(task)
    classes = len(chosen.classes(config.facts))
    channels, pretrained = channels or config.facts.channels, a.pretrained and fresh
    return build_recognizer(chosen.output, a.backbone, pretrained, channels, classes)


def label(config: Config, tasks: Sequence[str]) -> str:
    """The recognizers of some tasks, such as `small (diagnosis)`."""
    return f"{config.auxiliary.backbone} ({' + '.join(tasks)})" if tasks else "none"


def metrics(tasks: Sequence[str]) -> tuple[str, ...]:
    """Names of the scores that recognizers of some tasks have."""
    return tuple(name for task in tasks for name in task_by_name(task).metrics)


def reads(config: Config) -> dict[str, Any]:
    """What a recognizer's own training reads of the configuration."""
    a, t = config.auxiliary, config.trainer
    pretrained = a.pretrained and recognizer_by_name(a.backbone).PRETRAINED
    return {
        "dataset": config.dataset,
        "recognizer": {"backbone": a.backbone, "pretrained": pretrained, "lr": a.lr},
        "trainer": {"batch_size": t.batch_size, "schedule": t.schedule, "augment": t.augment},
        **holdout_reads(config),
        **precision_reads(config),
    }


def pretraining(config: Config, task: str) -> Stage:
    """Recognizer pre-training: on clean images, with labels."""
    epochs = config.auxiliary.epochs
    return Stage(
        f"recognizer.{task}",
        epochs=epochs,
        seed=config.seed,
        reads={"task": task, **reads(config)},
        version=stage_version(config),
        batches=batches(config, [task], degraded=False),
        begin=lambda start: RecognizerTraining(config, task, epochs, start),
    )


def batches(config: Config, tasks: Sequence[str], degraded: bool = True) -> Batches:
    """Batches as `trainer` says, with what the tasks need beside the images."""
    return Batches(
        size=config.trainer.batch_size,
        degradation=config.degradation if degraded else None,
        augment=config.trainer.augment,
        annotations=tuple(task_by_name(task).annotation for task in tasks),
    )


def stage_version(config: Config) -> int:
    """Of stages on `trainer.schedule`: 2 since `onecycle` leaves Adam's β1 as it is."""
    return 2 if config.trainer.schedule == "onecycle" else 1


class RecognizerTraining(NetworkTraining):
    """A recognizer learning from labels alone, on whatever images its batches hold.

    It sees smaller images enlarged (`seen`): masks are at full size.
    """

    def __init__(self, config: Config, task: str, epochs: int, start: Start, channels: int = 0):
        self.task, self.learned = task, task_by_name(task)
        options = OptimizerOptions(lr=config.auxiliary.lr, schedule=config.trainer.schedule)
        recognizer = build(config, task, fresh=True, channels=channels).train()
        steps = epochs * start.epoch_steps
        super().__init__(
            Networks({task: recognizer}, {task: options}, config.trainer, start.device, steps)
        )

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step on the supervised loss."""
        target = self.learned.truth(batch)
        logits = self.networks[self.task](seen(batch))
        loss, finite = self.networks.backward(self.learned.supervised_loss(logits, target))
        hits = self.learned.accuracy(logits.detach(), target)
        return {f"loss_{self.task}": loss, f"accuracy_{self.task}": hits, "finite": finite}
