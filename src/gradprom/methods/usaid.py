"""U-SAID (Wang et al. 2019, arXiv 1905.08965): denoising that a segmenter finds unambiguous.

The auxiliary loss needs no ground truth: it is the focal loss of the segmenter's output on the
denoised image against its own most likely classes, so that the denoiser is rewarded for images on
which the segmenter is sure. The rest is task-driven enhancement with a frozen recognizer.

The public training loop detaches the denoised image before the segmenter, so that the loss has no
effect on the denoiser. Here the gradient passes, as the paper describes it.
"""

from dataclasses import dataclass

from torch import Tensor

from gradprom.config import Config
from gradprom.data.loader import Batch
from gradprom.methods import task_driven
from gradprom.methods.coupled_training import EnhancerTraining
from gradprom.methods.task_driven import TaskDriven

LEAST = 1e-7
"""The smallest probability that the loss distinguishes from 0."""


@dataclass
class Options(task_driven.Options):
    """The exponent of the focal loss, besides the main loss."""

    name: str = "usaid"
    gamma: float = 2.0
    """Exponent γ, >= 0; at 0 the loss is the cross-entropy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gamma >= 0:
            raise ValueError(f"gamma={self.gamma}: allowed are numbers >= 0")


def check(config: Config) -> None:
    """Raise ConfigError for what task-driven enhancement refuses, and for other targets."""
    task_driven.check(config)
    task_driven.require_own_auxiliary_loss(config)


class USAID(TaskDriven):
    """Task-driven enhancement with the focal loss against the recognizer's own classes."""

    @property
    def training(self) -> type[EnhancerTraining]:
        """Coupled training."""
        return Training


class Training(EnhancerTraining):
    """A coupled step whose auxiliary loss asks for confidence."""

    def auxiliary_loss(
        self, task: str, seen: Tensor, batch: Batch, probe: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The focal loss against the recognizer's own most likely classes; nothing is logged."""
        assert isinstance(self.options, Options)
        return confidence_loss(self.recognizers[task](seen), self.options.gamma), {}


def confidence_loss(logits: Tensor, gamma: float) -> Tensor:
    """The mean of −(1 − p)^γ·log p, where p is the probability of the most likely class.

    Parameters
    ----------
    logits
        [B, K] or [B, K, H, W].
    gamma
        Exponent of the focal loss, >= 0.

    Returns
    -------
    Tensor
        0-dim, >= 0.
    """
    probability = logits.softmax(1).amax(1).clamp(min=LEAST)
    return -((1 - probability) ** gamma * probability.log()).mean()


build = USAID
