"""The protocol of a task, and what classification tasks share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from gradprom.config.components import component, component_names
from gradprom.config.folders import choices
from gradprom.data.base import UNLABELLED, Facts
from gradprom.data.loader import Batch
from gradprom.errors import NotServed
from gradprom.training.parallel import distributed

_NONE = "auxiliary=none with strategy=mainstream"

Network = Callable[[Tensor], Tensor]


class Task(Protocol):
    """What a recognizer learns, and how it is scored.

    A task's file has `Options`, a dataclass with this protocol whose only field is its name.
    """

    @property
    def name(self) -> str:
        """The name of its file, which also names its stage and its logged values."""

    @property
    def annotation(self) -> str:
        """The annotation that it needs: `label` (of an image), `mask` (of its pixels), …"""

    @property
    def output(self) -> str:
        """The network's output: `image`, logits [B, K], or `pixel`, logits [B, K, H, W]; or
        `embedding`, logits [B, K] with an embedding of each image."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of the columns of `scores`; a tuning takes the first by default."""

    @property
    def clean_metrics(self) -> tuple[str, ...]:
        """Metrics that also need the columns of `clean_scores`."""

    def classes(self, facts: Facts) -> tuple[str, ...]:
        """Names of the K classes in a dataset; empty if the dataset does not support the task."""

    def require(self, facts: Facts, dataset: str) -> None:
        """Check that the dataset of that name has what the task needs.

        Raises
        ------
        NotServed
            If it does not.
        """

    def truth(self, batch: Batch) -> Tensor:
        """What logits are compared with, int64 [B] or [B, H, W]; -1 where it is unknown."""

    def supervised_loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        """The loss against the truth (Eq. 4), 0-dim.

        On several ranks the mean of their losses must be the loss of their whole batch.
        """

    def unsupervised_loss(self, logits: Tensor, clean_logits: Tensor) -> Tensor:
        """The loss against the recognizer's own output on the clean image (Eq. 3), 0-dim."""

    def accuracy(self, logits: Tensor, truth: Tensor) -> Tensor:
        """The accuracy that training logs, in [0, 1], 0-dim and on the device."""

    def scored(self, recognizer: Any, images: Tensor) -> Tensor:
        """What `scores` takes of a recognizer's images [B, C, H, W]: its logits, or others."""

    def scores(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Columns of the table of test images: [B], or [B, classes] for one column per class."""

    def clean_scores(self, recognizer: Network, batch: Batch) -> dict[str, Tensor]:
        """Further columns, from the recognizer's output on the clean images."""


@dataclass
class Classification(ABC):
    """A task that classifies images or pixels, by cross-entropy."""

    name: str
    annotation: ClassVar[str]
    output: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    clean_metrics: ClassVar[tuple[str, ...]] = ()
    lacking: ClassVar[str]
    """The message for a dataset without the annotation; what it serves instead is added."""

    @abstractmethod
    def classes(self, facts: Facts) -> tuple[str, ...]:
        """Names of the classes in a dataset; empty if it does not have the annotation."""

    @abstractmethod
    def scores(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Columns of the table of test images."""

    def require(self, facts: Facts, dataset: str) -> None:
        """Check that the dataset has classes for the task.

        Raises
        ------
        NotServed
            If it does not.
        """
        if not self.classes(facts):
            # `none` has no auxiliary loss, which every other strategy needs
            served = [*(f"auxiliary={name}" for name in served_tasks(facts)), _NONE]
            raise NotServed(f"{self.lacking.format(dataset=dataset)}; use {' or '.join(served)}")

    def truth(self, batch: Batch) -> Tensor:
        """The annotation itself."""
        truth: Tensor = batch.annotations[self.annotation]
        return truth

    def supervised_loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Cross-entropy (Eq. 4), averaged over the images or pixels that are not `UNLABELLED`.

        Parameters
        ----------
        logits : Tensor
            [B, K] or [B, K, H, W].
        truth : Tensor
            int64 [B] or [B, H, W], classes 0..K-1 or `UNLABELLED`.

        Returns
        -------
        Tensor
            0-dim; 0 if nothing is labelled. On several ranks the mean of their losses is the loss
            over the labels of all ranks.
        """
        return per_labelled(_summed_cross_entropy(logits, truth), truth)

    def unsupervised_loss(self, logits: Tensor, clean_logits: Tensor) -> Tensor:
        """MSE between class probabilities on the enhanced and on the clean image (Eq. 3)."""
        return F.mse_loss(logits.softmax(1), clean_logits.softmax(1))

    def scored(self, recognizer: Any, images: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = recognizer(images)
        return logits

    def accuracy(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Share of the labelled images or pixels whose class is right; 0-dim, on the device."""
        hits = (logits.argmax(1) == truth) & (truth != UNLABELLED)
        return per_labelled(hits.sum().float(), truth)

    def clean_scores(self, recognizer: Network, batch: Batch) -> dict[str, Tensor]:
        """No columns; the recognizer is not called."""
        return {}


def served_tasks(facts: Facts) -> list[str]:
    """Names of the tasks that have a file in `conf/auxiliary` and classes in a dataset."""
    tasks = {
        name: component("task", name).Options()
        for name in choices("auxiliary")
        if name in component_names("task")
    }
    return [name for name, task in tasks.items() if task.classes(facts)]


def _summed_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """The cross-entropy of all items that are not `UNLABELLED`, summed; 0-dim."""
    if logits.ndim == 2:
        return F.cross_entropy(logits, truth, ignore_index=UNLABELLED, reduction="sum")
    # CUDA adds up torch's own loss of pixels in no fixed order, and takes back a gather by sorting
    classes = torch.arange(logits.shape[1], device=logits.device).view(-1, 1, 1)
    of_truth = truth.unsqueeze(1) == classes
    return -torch.where(of_truth, logits.log_softmax(1), 0).sum()


def per_labelled(total: Tensor, truth: Tensor) -> Tensor:
    """A sum over labelled items, divided by the mean number of them per rank."""
    count = distributed.average((truth != UNLABELLED).sum().to(total.dtype))
    return total / torch.where(count == 0, 1, count)
