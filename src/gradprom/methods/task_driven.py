"""Task-driven enhancement (Section 3): an enhancer, its recognizers, and a gradient strategy.

Each recognizer is pre-trained on clean images; the enhancer is warmed up alone, "to avoid model
collapse" (Section 3.2); then both are coupled, and the strategy decides when the recognizers'
gradients may reach the enhancer. Benchmark-i is the strategy `mainstream`: the same warm-up and
the same number of coupled steps, without a recognizer.
"""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom import metrics
from gradprom.config import Config, augmentation_reads, precision_reads, split_reads
from gradprom.data.loader import Batch
from gradprom.errors import ConfigError
from gradprom.identity import added
from gradprom.methods import recognition
from gradprom.methods.backbone import build_backbone
from gradprom.methods.base import Description, Method
from gradprom.strategies import Mainstream, Strategy
from gradprom.tasks import task_by_name
from gradprom.training.losses import loss_by_name
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions, bound_to_length
from gradprom.training.parallel import distributed
from gradprom.training.stage import Stage, Start

PROBE_STEPS = 20
"""Steps for each loss from one probe of gradients that nothing else needs to the next."""


@dataclass
class Options:
    """Options beside the sections `backbone`, `auxiliary` and `strategy`."""

    name: str = "task_driven"
    loss: str = added("mse")
    """The main loss: `mse` (the paper's), `l1` or `charbonnier`."""

    def __post_init__(self) -> None:
        loss_by_name(self.loss)


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
        self.loss = _main_loss(config)
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

    def _begin_warmup(self, start: Start) -> "WarmUp":
        return WarmUp(self.config, self._enhancer(fresh=True), {}, Mainstream(), start)

    def _begin_coupled(
        self, start: Start, warmup: Stage, pretraining: list[Stage]
    ) -> "EnhancerTraining":
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
    def training(self) -> type["EnhancerTraining"]:
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


class EnhancerTraining(NetworkTraining):
    """One coupled step: one forward pass, every loss's gradient, the strategy's decision."""

    def __init__(
        self,
        config: Config,
        enhancer: nn.Module,
        recognizers: dict[str, nn.Module],
        strategy: Strategy,
        start: Start,
    ):
        self.enhancer, self.recognizers, self.strategy = enhancer, recognizers, strategy
        self.supervised = not recognizers or config.supervision == "supervised"
        self.options, self.loss = config.method, loss_by_name(_main_loss(config))
        self.penalty = getattr(enhancer, "penalty", None)
        a = config.auxiliary
        self.clamp = bool(recognizers) and a.clamp
        enhancer.train()
        for recognizer in recognizers.values():
            recognizer.requires_grad_(strategy.learns)
            recognizer.train(strategy.learns and a.batchnorm == "train")
        # a recognizer that does not learn is its own fixed teacher
        fixed = strategy.learns and not self.supervised and a.target == "pretrained"
        self.teachers = {t: _fixed(r) for t, r in recognizers.items()} if fixed else {}
        t, learning = config.trainer, list(recognizers) if strategy.learns else []
        options = {"enhancer": OptimizerOptions(lr=t.lr, schedule=t.schedule, clip=t.clip)}
        options |= {
            name: OptimizerOptions(lr=a.coupled_lr, schedule=t.schedule) for name in learning
        }
        epochs = {"enhancer": t.warmup_epochs + t.coupled_epochs}
        epochs |= dict.fromkeys(learning, t.coupled_epochs)
        super().__init__(
            Networks(
                {
                    "enhancer": enhancer,
                    **recognizers,
                    **{f"teacher.{task}": teacher for task, teacher in self.teachers.items()},
                },
                options,
                t,
                start.device,
                {name: count * start.epoch_steps for name, count in epochs.items()},
            )
        )

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step: Eq. 6, with the auxiliary gradients as the strategy weighs them."""
        enhanced = self.enhancer(batch.input)
        losses = [self._main_loss(enhanced, batch.target)]
        logs: dict[str, Tensor] = {}
        seen = enhanced.clamp(0, 1) if self.clamp else enhanced
        for task in self.recognizers:
            loss, logged = self.auxiliary_loss(task, seen, batch, probe)
            losses.append(loss)
            logs |= logged
        # a penalty of the network's own reaches θ without passing the image
        features = None if self.penalty else enhanced
        measure = probe and bool(self.recognizers)  # of a single loss there is nothing to compare
        joined = self.networks.step_by(self.strategy, losses, "enhancer", features, measure)
        main = joined.losses[0]
        error = main if self._is_error else _mean_square_error(enhanced, batch.target)
        logs |= {"loss_main": main, "psnr": -10 * error.log10(), "finite": joined.finite}
        return logs | joined.logs(self.recognizers)

    def auxiliary_loss(
        self, task: str, seen: Tensor, batch: Batch, probe: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L_VR of a task (Eq. 3 or 4), and the accuracy on clean images where it is looked at."""
        learned, recognizer = task_by_name(task), self.recognizers[task]
        truth = learned.truth(batch)
        logs: dict[str, Tensor] = {}
        own_target = not self.supervised and not self.teachers
        if probe or own_target:
            clean = recognition.clean_logits(recognizer, batch.target)
            logs[f"clean_accuracy_{task}"] = learned.accuracy(clean, truth)
        if self.teachers:
            clean = recognition.clean_logits(self.teachers[task], batch.target)
        logits = recognizer(seen)
        if self.supervised:
            return learned.supervised_loss(logits, truth), logs
        return learned.unsupervised_loss(logits, clean), logs

    def _main_loss(self, enhanced: Tensor, target: Tensor) -> Tensor:
        """L_IP of Eq. 1, with what the backbone adds of its own, such as a penalty on weights."""
        loss = self.loss(enhanced, target)
        return loss + self.penalty() if self.penalty else loss

    @property
    def _is_error(self) -> bool:
        """Whether the main loss is the mean square error that PSNR is made of."""
        return self.loss is F.mse_loss and not self.penalty

    def artefact(self) -> dict[str, Any]:
        """The weights of the enhancer and the recognizers."""
        weights = super().artefact()
        return {name: weights[name] for name in ("enhancer", *self.recognizers)}

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimizers and the strategy's own state."""
        return {**super().state_dict(), "strategy": self.strategy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        super().load_state_dict(state)
        self.strategy.load_state_dict(state["strategy"])


class WarmUp(EnhancerTraining):
    """Warm-up of the enhancer alone; its artefact has all that coupled training continues from."""

    def artefact(self) -> dict[str, Any]:
        """The enhancer's weights and Adam's state."""
        moments = self.networks.optimizers["enhancer"].state_dict()
        return {**super().artefact(), "optimizer": moments}


def _fixed(recognizer: nn.Module) -> nn.Module:
    return copy.deepcopy(recognizer).eval().requires_grad_(False)


def _main_loss(config: Config) -> str:
    assert isinstance(config.method, Options)
    return config.method.loss


def _mean_square_error(enhanced: Tensor, target: Tensor) -> Tensor:
    return distributed.average(F.mse_loss(enhanced.detach(), target))
