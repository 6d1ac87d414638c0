"""Task-driven enhancement (Section 3): an enhancer, its recognizers, and a gradient strategy.

Each recognizer is pre-trained on clean images; the enhancer is warmed up alone, "to avoid model
collapse" (Section 3.2); then both are coupled, and the strategy decides when the recognizers'
gradients may reach the enhancer. Benchmark-i is the strategy `mainstream`: the same warm-up and
the same number of coupled steps, without a recognizer.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from gradprom import metrics
from gradprom.config import Config, augmentation_reads, precision_reads, split_reads
from gradprom.data.loader import Batch
from gradprom.errors import ConfigError
from gradprom.methods import recognition
from gradprom.methods.backbone import build_backbone
from gradprom.methods.base import Description, Method
from gradprom.methods.coupled_training import (
    EnhancerOptions,
    EnhancerTraining,
    WarmUp,
    main_loss,
)
from gradprom.strategies import Mainstream
from gradprom.tasks import task_by_name
from gradprom.training.optimization import bound_to_length
from gradprom.training.stage import Stage, Start

PROBE_STEPS = 20
"""Steps for each loss from one probe of gradients that nothing else needs to the next."""


@dataclass
class Options(EnhancerOptions):
    """Options beside the sections `backbone`, `auxiliary` and `strategy`."""

    name: str = "task_driven"


def check(config: Config) -> None:
    """Raise ConfigError for what cannot be trained, such as a strategy without its recognizer."""
    recognition.check(config)
    tasks = config.auxiliary.tasks
    if config.strategy.has_auxiliary and not tasks:
        raise ConfigError(
            f"strategy={config.strategy.name} needs an auxiliary task and auxiliary=none has "
            f"none; choose auxiliary=diagnosis, segmentation or multitask, or strategy=mainstream"
        )
    if config.strategy.two_losses and len(tasks) > 1:
        raise ConfigError(
            f"strategy={config.strategy.name} takes two losses; choose a single auxiliary task"
        )


def require_own_auxiliary_loss(config: Config) -> None:
    """Raise ConfigError for a target where a method's auxiliary loss has one of its own."""
    name = config.method.name
    if config.supervision != "supervised":
        raise ConfigError(
            f"method={name} has an auxiliary loss of its own, which "
            f"supervision={config.supervision} would replace; leave supervision=supervised"
        )


def build(config: Config) -> "TaskDriven":
    """The method for one configuration; no network is built yet."""
    return TaskDriven(config)


class TaskDriven(Method):
    """The method of the paper; see the module's docstring."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.loss = main_loss(config)
        # those that have an effect: none under `mainstream`
        self.tasks = list(config.auxiliary.tasks) if config.strategy.has_auxiliary else []

    def stage(self) -> Stage:
        """Coupled training, on top of warm-up and recognizer pre-training."""
        c, version = self.config, recognition.stage_version(self.config)
        images, reads = recognition.batches(c, []), self._enhancer_reads()
        epochs, begin = c.trainer.warmup_epochs, self._begin_warmup
        warmup = Stage(
            "warmup", epochs, c.seed, reads, version=version, batches=images, begin=begin
        )
        pretraining = [recognition.pretraining(c, task) for task in self.tasks]
        reads = {**reads, "strategy": c.strategy}
        if self.tasks:
            reads |= {"supervision": c.supervision, "tasks": self.tasks}
            # ids of this method are older than those with another auxiliary loss
            reads |= {} if type(self) is TaskDriven else {"method": c.method}
            reads |= self._recognizer_reads()
        return Stage(
            "coupled",
            c.trainer.coupled_epochs,
            c.seed,
            reads,
            parents=(warmup, *pretraining),
            version=version,
            batches=recognition.batches(c, self.tasks),
            probe_every=self._probe_every(),
            bound_to_length=bound_to_length(c.trainer.schedule),
            begin=lambda start: self._begin_coupled(start, warmup, pretraining),
        )

    def _probe_every(self) -> int:
        """Steps between two probes, so that these take less than 3 % of the time.

        A strategy that compares over all of θ has the gradients that a probe looks at. For others
        each loss costs a pass through the enhancer: for two losses as much as 1.2 steps.
        """
        strategy = self.config.strategy
        free = strategy.compares and strategy.gate_on == "all"
        return 1 if free or not self.tasks else PROBE_STEPS * (1 + len(self.tasks))

    def _recognizer_reads(self) -> dict[str, Any]:
        """How the recognizers take part in coupled training; what has no effect is left out.

        Ids are older than `batchnorm`, `target` and `clamp`, and those without them keep the
        meaning that they had: `train`, `follows` and false.
        """
        a, learns = self.config.auxiliary, self.config.strategy.learns
        reads: dict[str, Any] = {"coupled_lr": a.coupled_lr} if learns else {}
        if learns and a.batchnorm != "train":
            reads["batchnorm"] = a.batchnorm
        if learns and self.config.supervision == "unsupervised" and a.target != "follows":
            reads["target"] = a.target
        if a.clamp:
            reads["clamp"] = True
        return reads

    def _begin_warmup(self, start: Start) -> WarmUp:
        return WarmUp(self.config, self._enhancer(fresh=True), {}, Mainstream(), start)

    def _begin_coupled(
        self, start: Start, warmup: Stage, pretraining: list[Stage]
    ) -> EnhancerTraining:
        networks = self.build_networks()
        networks["enhancer"].load_state_dict(start.weights(warmup)["enhancer"])
        for task, stage in zip(self.tasks, pretraining, strict=True):
            networks[task].load_state_dict(start.weights(stage)[task])
        strategy = replace(self.config.strategy)  # a copy, whose state is the initial one
        enhancer = networks.pop("enhancer")
        training = self.training(self.config, enhancer, networks, strategy, start)
        # Adam's moments and the schedule go on where the warm-up left them
        moments = start.weights(warmup)["optimizer"]
        training.networks.optimizers["enhancer"].load_state_dict(moments)
        return training

    @property
    def training(self) -> type[EnhancerTraining]:
        """Coupled training; a method with another auxiliary loss has one of its own."""
        return EnhancerTraining

    def describe(self) -> Description:
        """Enhancer, recognizers, and how long each is trained."""
        c, t = self.config, self.config.trainer
        tasks = " and ".join(c.auxiliary.tasks) or "no auxiliary task"
        epochs = f"warm-up {t.warmup_epochs}, coupled {t.coupled_epochs}, batches of {t.batch_size}"
        size = ", ".join(f"{key} {v}" for key, v in vars(c.backbone).items() if key != "name")
        return Description(
            title=f"Image enhancer ({c.backbone.name}, strategy {c.strategy.name}, {tasks})",
            parts={
                "enhancer": f"{c.backbone.name} ({size})",
                "recognizer": recognition.label(c, self.tasks),
                "epochs": f"recognizer {c.auxiliary.epochs}, {epochs}" if self.tasks else epochs,
            },
            logged=("gate", "ratio", "cosine", "agree"),
            exported={task: f"recognizer.{task}" for task in self.tasks},
            restorer="enhancer",
        )

    def metrics(self) -> tuple[str, ...]:
        """Names of the scores of enhanced images, and of the recognizers on them."""
        return (*metrics.USUAL, *recognition.metrics(self.tasks))

    def build_networks(self) -> dict[str, nn.Module]:
        """The enhancer, and the recognizers by their tasks."""
        recognizers = {t: recognition.build(self.config, t, fresh=False) for t in self.tasks}
        return {"enhancer": self._enhancer(fresh=False), **recognizers}

    @torch.no_grad()
    def enhance(self, images: Tensor) -> Tensor:
        """Degraded [B, C, h, w] to enhanced [B, C, H, W], clamped to [0, 1]."""
        return self.networks["enhancer"](images).clamp(0, 1)

    @torch.no_grad()
    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """Scores of the enhanced images, and of the recognizers on them."""
        assert restored is not None
        scores = metrics.measure(restored, batch.target)
        for name in self.tasks:
            task, recognizer = task_by_name(name), self.networks[name]
            scores |= task.scores(task.scored(recognizer, restored), batch)
            scores |= task.clean_scores(recognizer, batch)
        for name, recognizer in self.references.items():
            scores |= recognition.bounds(task_by_name(name), recognizer, batch)
        return scores

    def reference_stages(self) -> dict[str, Stage]:
        """Pre-training of the recognizers, whose scores bound those on enhanced images."""
        return {task: recognition.pretraining(self.config, task) for task in self.tasks}

    def _enhancer_reads(self) -> dict[str, Any]:
        c, t = self.config, self.config.trainer
        cycle = t.warmup_epochs + t.coupled_epochs if t.schedule == "onecycle" else None
        rates = {"batch_size": t.batch_size, "lr": t.lr, "schedule": t.schedule}
        rates |= {"clip": t.clip} if t.clip else {}  # ids without it are older than the key
        return {
            "dataset": c.dataset,
            "degradation": c.degradation,
            "backbone": c.backbone,
            "trainer": {**rates, "augment": t.augment, "cycle": cycle},
            # ids of stages with the paper's loss are older than the key
            **({} if self.loss == "mse" else {"loss": self.loss}),
            **augmentation_reads(c),
            **split_reads(c),
            **precision_reads(c),
        }

    def _enhancer(self, fresh: bool) -> nn.Module:
        return build_backbone(self.config, fresh)
