"""D2SM (arXiv 2207.08965): denoising that keeps what distinguishes an image from others.

The auxiliary loss, *distinctive statistics*, compares an image with a queue of clean ones by the
features of a frozen network: the denoised image should be as similar to each of them as its clean
one is. The rest is task-driven enhancement with a frozen recognizer, whose features stand in for
those of VGG-19 with ImageNet weights: the mean over its last feature map, where the publication
takes the map.

The public code takes all similarities from queues without gradient, so that the loss has no effect
on the denoiser; and it averages over the squared length of the queue, which makes it too small to
have any. Here the current features have their gradient and a row of similarities is summed.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradprom.config import Config
from gradprom.data.loader import Batch
from gradprom.errors import ConfigError
from gradprom.methods import task_driven
from gradprom.methods.coupled_training import EnhancerTraining
from gradprom.methods.task_driven import TaskDriven
from gradprom.models.recognizers.base import LinearHead
from gradprom.strategies import Strategy
from gradprom.tasks import task_by_name
from gradprom.training.parallel import distributed
from gradprom.training.stage import Start

EPSILON = 1e-6
"""Added to probabilities before their logarithm."""


@dataclass
class Options(task_driven.Options):
    """The length of the queue, besides the main loss."""

    name: str = "d2sm"
    queue: int = 224
    """Clean images that an image is compared with, a multiple of the batch size."""


def check(config: Config) -> None:
    """Raise ConfigError for a queue that batches do not fill evenly, or a recognizer of pixels."""
    task_driven.check(config)
    task_driven.require_own_auxiliary_loss(config)
    assert isinstance(config.method, Options)
    queue, size = config.method.queue, config.trainer.batch_size
    if queue < 1 or queue % size:
        raise ConfigError(
            f"method.queue={queue} must be a multiple of trainer.batch_size={size}, such as "
            f"{size * max(1, round(queue / size))}"
        )
    for name in config.auxiliary.tasks:
        if task_by_name(name).output != "image":
            raise ConfigError(
                f"method=d2sm compares features of whole images and auxiliary={name} has a "
                f"recognizer of pixels; choose auxiliary=diagnosis"
            )


class D2SM(TaskDriven):
    """Task-driven enhancement with distinctive statistics for an auxiliary loss."""

    @property
    def training(self) -> type[EnhancerTraining]:
        """Coupled training."""
        return Training


class Training(EnhancerTraining):
    """A coupled step that compares the batch with the clean images of the last steps."""

    def __init__(
        self,
        config: Config,
        enhancer: nn.Module,
        recognizers: dict[str, nn.Module],
        strategy: Strategy,
        start: Start,
    ):
        super().__init__(config, enhancer, recognizers, strategy, start)
        assert isinstance(config.method, Options)
        probe = torch.zeros(1, config.facts.channels, 64, 64, device=start.device)
        self.queues = {
            task: torch.zeros(config.method.queue, pooled(recognizer, probe).shape[1]).to(probe)
            for task, recognizer in recognizers.items()
        }
        """Features of clean images, [queue, D], the oldest first; zero until they are filled."""

    def auxiliary_loss(
        self, task: str, seen: Tensor, batch: Batch, probe: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of distinctive statistics; nothing is logged."""
        recognizer, queue = self.recognizers[task], self.queues[task]
        with torch.no_grad():
            clean = pooled(recognizer, batch.target)
            arrived = distributed.gathered(clean)
            queue.copy_(torch.cat([queue[len(arrived) :], arrived]))
        return distinctive_statistics(pooled(recognizer, seen), clean, queue), {}

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimizers, strategy, and the queues."""
        return {**super().state_dict(), "queues": self.queues}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        super().load_state_dict(state)
        for task, queue in self.queues.items():
            queue.copy_(state["queues"][task])


def pooled(recognizer: nn.Module, images: Tensor) -> Tensor:
    """The mean over a classifier's last feature map: images [B, C, H, W] -> [B, D].

    Raises
    ------
    ConfigError
        If the recognizer does not show its features.
    """
    if not isinstance(recognizer, LinearHead):
        raise ConfigError(
            f"method=d2sm needs the recognizer's features and {type(recognizer).__name__} does "
            f"not have features_and_head"
        )
    return recognizer.features_and_head(images)[0].mean((2, 3))


def distinctive_statistics(denoised: Tensor, clean: Tensor, queue: Tensor) -> Tensor:
    """KL divergence of similarities to other images, summed over them, averaged over the batch.

    Similarities are (cos + 1) / 2, divided by their sum over the queue. KL(clean ‖ denoised).

    Parameters
    ----------
    denoised, clean
        Features [B, D] of denoised images and of their clean ones.
    queue
        Features [K, D] of other clean images.

    Returns
    -------
    Tensor
        0-dim, >= 0; 0 where both images are equally similar to all others.
    """
    ours, theirs = _similarities(denoised, queue), _similarities(clean, queue)
    divergence = theirs * ((theirs + EPSILON) / (ours + EPSILON)).log()
    return divergence.sum(1).mean()


def _similarities(features: Tensor, queue: Tensor) -> Tensor:
    """[B, D] and [K, D] -> [B, K], which sum to 1 over K."""
    cosine = F.normalize(features, dim=1) @ F.normalize(queue, dim=1).T
    similarity = (cosine + 1) / 2
    return similarity / similarity.sum(1, keepdim=True)


build = D2SM
