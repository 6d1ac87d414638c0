"""What recognizers share over the methods: their checks, networks and own training."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from gradprom.config import Config, holdout_reads, precision_reads
from gradprom.data.loader import Batch
from gradprom.degradations import enlarge
from gradprom.models.recognizers import build_recognizer, recognizer_by_name, require_output
from gradprom.tasks import task_by_name
from gradprom.training import precision
from gradprom.training.optimization import Optimizer, all_finite
from gradprom.training.parallel import distributed
from gradprom.training.stage import Stage


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


def build(config: Config, task: str, fresh: bool) -> nn.Module:
    """A recognizer for a task; a `fresh` one starts as `config.auxiliary` says, others are to
    be filled with trained weights."""
    a, chosen = config.auxiliary, task_by_name(task)
    classes = len(chosen.classes(config.facts))
    channels, pretrained = config.facts.channels, a.pretrained and fresh
    return build_recognizer(chosen.output, a.backbone, pretrained, channels, classes)


def metrics_of(tasks: Iterable[str]) -> tuple[str, ...]:
    """Names of the metrics that recognizers of some tasks have."""
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
    return Stage(
        f"recognizer.{task}",
        epochs=config.auxiliary.epochs,
        seed=config.seed,
        reads={"task": task, **reads(config)},
        degraded=False,
    )


class RecognizerTraining:
    """A recognizer learning from labels alone, on whatever images its batches hold.

    It sees smaller images enlarged (`seen`): masks are at full size.
    """

    def __init__(self, config: Config, task: str, steps: int, device: torch.device):
        self.task, self.learned = task, task_by_name(task)
        self.recognizer = build(config, task, fresh=True).to(device).train()
        distributed.synchronise(self.recognizer, device)
        precision.prepare(self.recognizer, config.trainer)
        self.optimizer = Optimizer(
            self.recognizer.parameters(), config.auxiliary.lr, config.trainer.schedule, steps
        )

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step on the supervised loss."""
        target = self.learned.truth(batch)
        logits = self.recognizer(seen(batch))
        loss = self.learned.supervised_loss(logits, target)
        loss.backward()
        distributed.average_into(self.optimizer.gradients())
        told = distributed.average(loss.detach())
        finite = all_finite([told], self.optimizer.gradients())
        self.optimizer.step(finite)
        hits = self.learned.accuracy(logits.detach(), target)
        return {f"loss_{self.task}": told, f"accuracy_{self.task}": hits, "finite": finite}

    def state_dict(self) -> dict[str, Any]:
        """Network and optimizer."""
        return {
            "recognizer": self.recognizer.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.recognizer.load_state_dict(state["recognizer"])
        self.optimizer.load_state_dict(state["optimizer"])

    def artefact(self) -> dict[str, Any]:
        """The recognizer's weights."""
        return {self.task: self.recognizer.state_dict()}
