"""Benchmark-ii and -iii (Section 4.3): a recognizer trained and tested on degraded images.

There is no enhancer. Its budget is the recognizer's in task-driven training: pre-training and
coupled epochs together. Down-sampled images are first enlarged bicubically to the clean images'
size, at which the masks are.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradprom.config import Config
from gradprom.data.loader import Batch
from gradprom.errors import ConfigError, RunError
from gradprom.methods import recognition
from gradprom.tasks import task_by_name
from gradprom.training.stage import Stage


@dataclass
class Options:
    """The method has no options of its own: `auxiliary` says which recognizer."""

    name: str = "recognizer"


def check(config: Config) -> None:
    """Refuse anything but one task, for a recognizer that there is."""
    recognition.check(config)
    if len(config.auxiliary.tasks) != 1:
        raise ConfigError(
            "method=recognizer trains one recognizer; choose auxiliary=diagnosis "
            "(Benchmark-ii) or auxiliary=segmentation (Benchmark-iii)"
        )


def build(config: Config) -> "Recognizer":
    """The method for one configuration; no network is built yet."""
    return Recognizer(config)


def metrics_of(config: Config) -> tuple[str, ...]:
    """The metrics that a run can be tuned by, as the registry names them."""
    return recognition.metrics_of(config.auxiliary.tasks)


class Recognizer:
    """The recognizer alone; see the module's text."""

    def __init__(self, config: Config):
        self.config = config
        self.task = config.auxiliary.tasks[0]
        self.network: nn.Module = nn.Identity()

    def stage(self) -> Stage:
        """One stage: the supervised loss on degraded images."""
        c = self.config
        epochs = c.auxiliary.epochs + c.trainer.coupled_epochs
        reads = {"task": self.task, **recognition.reads(c), "degradation": c.degradation}
        return Stage("benchmark", epochs, c.seed, reads)

    def begin(
        self, stage: Stage, artefacts: dict[str, Any], epoch_steps: int, device: torch.device
    ) -> recognition.RecognizerTraining:
        """The recognizer's training; there are no parents."""
        steps = stage.epochs * epoch_steps
        return recognition.RecognizerTraining(self.config, self.task, steps, device)

    def restore(self, artefact: dict[str, Any], device: torch.device) -> None:
        """Take the trained recognizer."""
        self.network = recognition.build(self.config, self.task, fresh=False).to(device)
        self.network.load_state_dict(artefact[self.task])

    def enhance(self, images: Tensor) -> Tensor:
        """There is no enhancer to ask."""
        raise RunError("a run of method=recognizer has no enhancer; choose a task_driven run")

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """What the recognizer makes of the degraded images."""
        self.network.eval()
        return task_by_name(self.task).scores(self.network(recognition.seen(batch)), batch)
