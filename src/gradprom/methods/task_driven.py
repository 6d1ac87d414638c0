"""Task-driven enhancement (Section 3): an enhancer, its recognizers, and a gradient strategy.

Three kinds of stage: each recognizer is pre-trained on clean images; the enhancer is warmed up
alone, "to avoid model collapse" (Section 3.2); then both are coupled, and the strategy decides
when the recognizers' gradients may reach the enhancer. Benchmark-i is the strategy `mainstream`:
the same warm-up and the same number of coupled steps, without a recognizer.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom import metrics, strategies
from gradprom.config import Config, component, holdout_reads, precision_reads
from gradprom.data.loader import Batch
from gradprom.degradations import scale_of
from gradprom.errors import ConfigError
from gradprom.methods import recognition
from gradprom.strategies import Mainstream, Strategy
from gradprom.tasks import task_by_name
from gradprom.training import precision
from gradprom.training.optimization import Optimizer, all_finite
from gradprom.training.parallel import distributed
from gradprom.training.stage import Stage


@dataclass
class Options:
    """The method has no options of its own: backbone, auxiliary and strategy say it all."""

    name: str = "task_driven"


def check(config: Config) -> None:
    """Refuse what cannot be trained: a strategy that needs a recognizer where there is none."""
    recognition.check(config)
    tasks = config.auxiliary.tasks
    if config.strategy.has_auxiliary and not tasks:
        raise ConfigError(
            f"strategy={config.strategy.name} needs an auxiliary task and auxiliary=none has "
            f"none; choose auxiliary=diagnosis, segmentation or multitask, or strategy=mainstream"
        )
    if config.strategy.name == "mgda" and len(tasks) > 1:
        raise ConfigError("strategy=mgda takes two losses; choose a single auxiliary task")


def build(config: Config) -> "TaskDriven":
    """The method for one configuration; no network is built yet."""
    return TaskDriven(config)


def metrics_of(config: Config) -> tuple[str, ...]:
    """The metrics that a run can be tuned by, as the registry names them."""
    return (*metrics.USUAL, *recognition.metrics_of(tasks(config)))


def tasks(config: Config) -> list[str]:
    """The auxiliary tasks that have an effect: none under `mainstream`."""
    return list(config.auxiliary.tasks) if config.strategy.has_auxiliary else []


class TaskDriven:
    """The method of the paper; see the module's text."""

    def __init__(self, config: Config):
        self.config = config
        self.tasks = tasks(config)
        self.enhancer: nn.Module = nn.Identity()
        self.recognizers: dict[str, nn.Module] = {}

    def stage(self) -> Stage:
        """Coupled training, on top of warm-up and recognizer pre-training."""
        c = self.config
        warmup = Stage("warmup", c.trainer.warmup_epochs, c.seed, self._enhancer_reads())
        pretraining = [recognition.pretraining(c, task) for task in self.tasks]
        reads = {**self._enhancer_reads(), "strategy": c.strategy}
        if self.tasks:
            reads |= {"supervision": c.supervision, "tasks": self.tasks}
        if c.strategy.learns:
            reads |= {"coupled_lr": c.auxiliary.coupled_lr}
        parents = (warmup, *pretraining)
        return Stage("coupled", c.trainer.coupled_epochs, c.seed, reads, parents)

    def begin(
        self, stage: Stage, artefacts: dict[str, Any], epoch_steps: int, device: torch.device
    ) -> "recognition.RecognizerTraining | EnhancerTraining":
        """A recognizer's training, or the enhancer's, with or without recognizers."""
        kind, _, task = stage.name.partition(".")
        if kind == "recognizer":
            steps = stage.epochs * epoch_steps
            return recognition.RecognizerTraining(self.config, task, steps, device)
        if kind == "warmup":
            self._build(artefacts, device, tasks=[])
            return WarmUp(self.config, self.enhancer, {}, Mainstream(), epoch_steps)
        self._build(artefacts, device, self.tasks)
        networks = (self.enhancer, self.recognizers)
        strategy = replace(self.config.strategy)  # with a state of its own, at its beginning
        training = EnhancerTraining(self.config, *networks, strategy, epoch_steps)
        # Adam's moments and the schedule go on where the warm-up left them
        training.optimizers["enhancer"].load_state_dict(artefacts["warmup"]["optimizer"])
        return training

    def restore(self, artefact: dict[str, Any], device: torch.device) -> None:
        """Take the networks of finished coupled training; KeyError for one that it lacks."""
        wanted = {name: artefact[name] for name in ("enhancer", *self.tasks)}
        self._build({"coupled": wanted}, device, self.tasks)

    @torch.no_grad()
    def enhance(self, images: Tensor) -> Tensor:
        """Degraded [B, C, h, w] to enhanced [B, C, H, W], clamped to [0, 1]."""
        self.enhancer.eval()
        return self.enhancer(images).clamp(0, 1)

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """PSNR and SSIM of the enhanced images, and what the recognizers make of them."""
        enhanced = self.enhance(batch.input)
        found = metrics.measure(enhanced, batch.target)
        for task, recognizer in self.recognizers.items():
            recognizer.eval()
            found |= task_by_name(task).scores(recognizer(enhanced), batch)
            found |= task_by_name(task).clean_scores(recognizer, batch)
        return found

    def _enhancer_reads(self) -> dict[str, Any]:
        c, t = self.config, self.config.trainer
        kept = {"batch_size": t.batch_size, "lr": t.lr, "schedule": t.schedule}
        cycle = t.warmup_epochs + t.coupled_epochs if t.schedule == "onecycle" else None
        return {
            "dataset": c.dataset,
            "degradation": c.degradation,
            "backbone": c.backbone,
            "trainer": {**kept, "augment": t.augment, "cycle": cycle},
            **holdout_reads(c),
            **precision_reads(c),
        }

    def _build(self, artefacts: dict[str, Any], device: torch.device, tasks: list[str]) -> None:
        """Build the networks that are asked for and load what the artefacts hold of them."""
        weights = {
            name: state for artefact in artefacts.values() for name, state in artefact.items()
        }
        backbone, channels = self.config.backbone, self.config.facts.channels
        scale = scale_of(self.config.degradation)
        if "enhancer" in weights and hasattr(backbone, "pretrained"):
            backbone = replace(backbone, pretrained=False)
        self.enhancer = component("backbone", backbone.name).build(backbone, channels, scale)
        self.recognizers = {
            task: recognition.build(self.config, task, fresh=False) for task in tasks
        }
        for name, network in {"enhancer": self.enhancer, **self.recognizers}.items():
            if name in weights:
                network.load_state_dict(weights[name])
            network.to(device)
            distributed.synchronise(network, device)


class EnhancerTraining:
    """One coupled step: one forward pass, every loss's gradient, the strategy's decision."""

    def __init__(
        self,
        config: Config,
        enhancer: nn.Module,
        recognizers: dict[str, nn.Module],
        strategy: Strategy,
        epoch_steps: int,
    ):
        self.enhancer, self.recognizers, self.strategy = enhancer, recognizers, strategy
        self.supervised = config.supervision == "supervised"
        self.shared = strategies.layers(enhancer)
        # an enhancer ends, and so its modules do, with the convolution that makes the image
        self.scope = self.shared[-1] if strategy.gate_on == "last" else None
        enhancer.train()
        for recognizer in recognizers.values():
            recognizer.requires_grad_(strategy.learns).train(strategy.learns)
        t, a = config.trainer, config.auxiliary
        self.networks = {"enhancer": enhancer, **recognizers}
        for network in self.networks.values():
            precision.prepare(network, t)
        steps = (t.warmup_epochs + t.coupled_epochs) * epoch_steps
        self.optimizers = {"enhancer": Optimizer(enhancer.parameters(), t.lr, t.schedule, steps)}
        if strategy.learns:
            steps = t.coupled_epochs * epoch_steps
            self.optimizers |= {
                name: Optimizer(network.parameters(), a.coupled_lr, t.schedule, steps)
                for name, network in recognizers.items()
            }

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step: Eq. 6, with the auxiliary gradients as the strategy weighs them."""
        enhanced = self.enhancer(batch.input)
        main = F.mse_loss(enhanced, batch.target)
        auxiliary, logs = {}, {}
        for task, recognizer in self.recognizers.items():
            learned = task_by_name(task)
            truth = learned.truth(batch)
            if probe or not self.supervised:
                clean = recognition.clean_logits(recognizer, batch.target)
                logs[f"clean_accuracy_{task}"] = learned.accuracy(clean, truth)
            logits = recognizer(enhanced)
            auxiliary[task] = (
                learned.supervised_loss(logits, truth)
                if self.supervised
                else learned.unsupervised_loss(logits, clean)
            )
        losses = [main, *auxiliary.values()]
        reduce = distributed.average if distributed.ranks() > 1 else None
        decision = strategies.backward(
            losses,
            self.shared,
            self.strategy,
            features=enhanced,
            decision_params=self.scope,
            reduce=reduce,
            measure=probe,
        )
        # averages alike, so that what is not finite on one rank is so on all
        main, *rest = distributed.average(torch.stack(losses).detach())
        gradients = [g for optimizer in self.optimizers.values() for g in optimizer.gradients()]
        finite = all_finite([main, *rest], gradients)
        for optimizer in self.optimizers.values():
            optimizer.step(finite)
        logs |= {"loss_main": main, "psnr": -10 * main.log10(), "finite": finite}
        for index, task in enumerate(auxiliary):
            logs[f"loss_{task}"] = rest[index]
            told = _decided(decision, index, scoped=self.scope is not None)
            logs |= {f"{key}_{task}": value for key, value in told.items()}
        return logs

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimizers and the strategy's own state."""
        return {
            "networks": {name: net.state_dict() for name, net in self.networks.items()},
            "optimizers": {name: opt.state_dict() for name, opt in self.optimizers.items()},
            "strategy": self.strategy.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.strategy.load_state_dict(state["strategy"])

    def artefact(self) -> dict[str, Any]:
        """The weights of the enhancer and of its recognizers."""
        return {name: network.state_dict() for name, network in self.networks.items()}


class WarmUp(EnhancerTraining):
    """The enhancer alone; what it leaves lets coupled training go on as if there were no cut."""

    def artefact(self) -> dict[str, Any]:
        """The enhancer's weights and Adam's state."""
        return {**super().artefact(), "optimizer": self.optimizers["enhancer"].state_dict()}


def _decided(decision: strategies.Decision, index: int, scoped: bool) -> dict[str, Tensor]:
    """What the strategy did about one auxiliary loss, and what there was to see over all of θ."""
    logs = {"gate": decision.gate[index]}
    overall = decision.overall if scoped else decision
    if overall is not None and overall.gram is not None:
        logs |= {"cosine": overall.cosine[index], "ratio": overall.ratio[index]}
        if scoped:
            logs["agree"] = (overall.gate[index] == logs["gate"]).float()
    return logs
