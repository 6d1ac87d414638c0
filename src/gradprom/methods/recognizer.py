"""Benchmark-ii and -iii (Section 4.3): a recognizer trained and tested on degraded images.

There is no enhancer. The recognizer is trained for as many epochs as in task-driven training:
pre-training and coupled epochs together. Down-sampled images are first enlarged bicubically to
the size of the clean images and their masks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradprom.config import Config
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch
from gradprom.errors import ConfigError
from gradprom.methods import recognition
from gradprom.methods.base import Description, Method
from gradprom.tasks import task_by_name
from gradprom.training.optimization import bound_to_length
from gradprom.training.stage import Stage


@dataclass
class Options:
    """The method has no options of its own: `auxiliary` says which recognizer."""

    name: str = "recognizer"


def check(config: Config) -> None:
    """Raise ConfigError unless there is one task, and a recognizer for it."""
    recognition.check(config)
    if len(config.auxiliary.tasks) != 1:
        raise ConfigError(
            "method=recognizer trains one recognizer; choose auxiliary=diagnosis "
            "(Benchmark-ii) or auxiliary=segmentation (Benchmark-iii)"
        )
    if config.evaluate_on:
        raise ConfigError("evaluate_on needs an enhancer, and method=recognizer has none")


def build(config: Config) -> "Recognizer":
    """The method for one configuration; no network is built yet."""
    return Recognizer(config)


class Recognizer(Method):
    """The recognizer alone; see the module's docstring."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.task = config.auxiliary.tasks[0]

    def stage(self) -> Stage:
        """One stage: the supervised loss on degraded images."""
        c, task = self.config, self.task
        epochs = c.auxiliary.epochs + c.trainer.coupled_epochs
        return Stage(
            "benchmark",
            epochs,
            c.seed,
            reads={"task": task, **recognition.reads(c), "degradation": c.degradation},
            version=recognition.stage_version(c),
            batches=recognition.batches(c, [task]),
            bound_to_length=bound_to_length(c.trainer.schedule),
            begin=lambda start: recognition.RecognizerTraining(
                c, task, epochs, start, c.facts.inputs
            ),
        )

    def describe(self) -> Description:
        """The recognizer and its epochs."""
        epochs, size = self.stage().epochs, self.config.trainer.batch_size
        return Description(
            title=f"Recognizer ({self.task}) for degraded images",
            parts={
                "recognizer": recognition.label(self.config, [self.task]),
                "epochs": f"{epochs}, batches of {size}",
            },
            exported={self.task: f"recognizer.{self.task}"},
            network=self.task,
        )

    def metrics(self) -> tuple[str, ...]:
        """Names of its task's scores."""
        return recognition.metrics([self.task])

    def build_networks(self) -> dict[str, nn.Module]:
        """The recognizer, by its task."""
        inputs = self.config.facts.inputs
        return {self.task: recognition.build(self.config, self.task, False, inputs)}

    def restore_images(self, batch: Batch, noise: ImageNoise) -> None:
        """No image is restored."""

    @torch.no_grad()
    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """The task's scores of the recognizer's output on the degraded images."""
        task, shown = task_by_name(self.task), recognition.recognizer_input(batch)
        return task.scores(task.scored(self.networks[self.task], shown), batch)
