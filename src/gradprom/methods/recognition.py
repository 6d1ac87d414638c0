"""What recognizers share over the methods: their losses, scores and own training."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom import metrics
from gradprom.config import Config, holdout_reads, precision_reads
from gradprom.data.loader import Batch
from gradprom.degradations import enlarge
from gradprom.errors import ConfigError
from gradprom.models.recognizers import BACKBONES, build_recognizer
from gradprom.training import precision
from gradprom.training.optimization import Optimizer, all_finite
from gradprom.training.parallel import distributed
from gradprom.training.stage import Stage

UNLABELLED = -1


def check(config: Config) -> None:
    """Refuse a recognizer that there is not."""
    backbone = config.auxiliary.backbone
    if config.auxiliary.tasks and backbone not in BACKBONES:
        raise ConfigError(
            f"auxiliary.backbone={backbone} is unknown; choose from {', '.join(BACKBONES)}"
        )


def truth(task: str, batch: Batch) -> Tensor:
    """The labels [B] or masks [B, H, W] that a task is trained and scored against, int64."""
    return batch.label if task == "diagnosis" else batch.mask  # type: ignore[return-value]


def supervised_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy against labels (Eq. 4), mean over those that are not `UNLABELLED`.

    On several ranks the mean of their losses is that over the labels of them all.
    """
    total = F.cross_entropy(logits, target, ignore_index=UNLABELLED, reduction="sum")
    return _per_known(total, target)


def unsupervised_loss(logits: Tensor, clean_logits: Tensor) -> Tensor:
    """MSE between class probabilities on the enhanced and on the clean image (Eq. 3)."""
    return F.mse_loss(logits.softmax(1), clean_logits.softmax(1))


@torch.no_grad()
def clean_logits(recognizer: nn.Module, clean: Tensor) -> Tensor:
    """The recognizer's word on the clean image: no gradient, no BatchNorm update."""
    learning = recognizer.training
    recognizer.eval()
    logits = recognizer(clean)
    recognizer.train(learning)
    return logits


def accuracy(logits: Tensor, target: Tensor) -> Tensor:
    """Share of labelled images or pixels that are recognized; 0-dim, on the device."""
    hits = (logits.argmax(1) == target) & (target != UNLABELLED)
    return _per_known(hits.sum().float(), target)


def _per_known(total: Tensor, target: Tensor) -> Tensor:
    """A sum over the labelled by their number: the ranks' mean one, which may be a fraction."""
    count = distributed.average((target != UNLABELLED).sum().to(total.dtype))
    return total / torch.where(count == 0, 1, count)


def seen(batch: Batch) -> Tensor:
    """The input as a recognizer sees it, [B, C, H, W]: enlarged bicubically to the target's size
    where it was down-sampled, because masks are at full size."""
    return enlarge(batch.input, batch.target.shape[-2:])


def scores(task: str, logits: Tensor, batch: Batch, classes: int) -> dict[str, Tensor]:
    """Of each image: label and prediction, or intersection and union of each class."""
    prediction = logits.argmax(1)
    if task == "diagnosis":
        return {"label": truth(task, batch), "prediction": prediction}
    intersection, union = metrics.intersection_and_union(prediction, truth(task, batch), classes)
    return {"intersection": intersection, "union": union}


def build(config: Config, task: str, fresh: bool) -> nn.Module:
    """A recognizer for a task; a `fresh` one starts as `config.auxiliary` says, others are to
    be filled with trained weights."""
    backbone, pretrained = config.auxiliary.backbone, config.auxiliary.pretrained and fresh
    count = classes(config, task)
    return build_recognizer(task, backbone, pretrained, config.facts.channels, count)


def metrics_of(tasks: Iterable[str]) -> tuple[str, ...]:
    """The metric that each task is judged by, as the registry names it."""
    return tuple({"diagnosis": "accuracy", "segmentation": "miou"}[task] for task in tasks)


def classes(config: Config, task: str) -> int:
    """How many classes a task tells apart."""
    return len(config.facts.classes if task == "diagnosis" else config.facts.mask_classes)


def reads(config: Config) -> dict[str, Any]:
    """What a recognizer's own training reads of the configuration."""
    a, t = config.auxiliary, config.trainer
    pretrained = a.pretrained and a.backbone != "small"  # for which there are no weights
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
        self.task = task
        self.recognizer = build(config, task, fresh=True).to(device).train()
        distributed.synchronise(self.recognizer, device)
        precision.prepare(self.recognizer, config.trainer)
        self.optimizer = Optimizer(
            self.recognizer.parameters(), config.auxiliary.lr, config.trainer.schedule, steps
        )

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step on the supervised loss."""
        target = truth(self.task, batch)
        logits = self.recognizer(seen(batch))
        loss = supervised_loss(logits, target)
        loss.backward()
        distributed.average_into(self.optimizer.gradients())
        told = distributed.average(loss.detach())
        finite = all_finite([told], self.optimizer.gradients())
        self.optimizer.step(finite)
        hits = accuracy(logits.detach(), target)
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
