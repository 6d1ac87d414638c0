"""Task-GAN (ICLR 2019 submission): a GAN that restores images, with a network for a task in it.

L = L_pixel + λ·L_GAN + µ·L_task (Eq. 4). The task network learns to recognize what the images show,
on restored and on clean images (Eq. 3), and the generator to restore what it needs for that.

µ is λ of a gradient strategy, `lam`, and the strategy decides when the task's gradient reaches the
generator. `strategy=joint` is the publication, `strategy=frozen` keeps the task network as it was
pre-trained, and `strategy=gradprom` lets the task's gradient pass where it agrees with that of the
main losses, L_pixel + λ·L_GAN or L_pixel alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from gradprom.config import Config
from gradprom.config.checks import require_choice, require_count
from gradprom.data.batches import Batches, one_label
from gradprom.data.loader import Batch
from gradprom.errors import ConfigError, NotServed
from gradprom.methods import gan, recognition
from gradprom.methods.base import Description
from gradprom.methods.gan import GAN
from gradprom.methods.pixel import adam
from gradprom.methods.task_driven import require_own_auxiliary_loss
from gradprom.strategies.beside import Beside
from gradprom.tasks import task_by_name
from gradprom.tasks.regression import squared_error
from gradprom.training.optimization import OptimizerOptions
from gradprom.training.parallel import distributed
from gradprom.training.stage import Stage, Start


@dataclass
class Options(gan.Options):
    """The task network's loss and optimizer and the order of training, besides those of `gan`."""

    name: str = "task_gan"
    task_loss: str = "regression"
    """L_task: `regression` (Eq. 3), or `cross_entropy`."""
    task: OptimizerOptions = field(default_factory=adam)
    agree_with: str = "main"
    """Whose gradient that of the task is compared with: `main`, of L_pixel + λ·L_GAN; `pixel`, of
    L_pixel alone, which L_GAN then joins in any case."""
    pretrain: bool = True
    """Whether the task network begins as it was pre-trained on clean images; otherwise all three
    networks begin at once."""
    label_epochs: int = 0
    """Epochs with images of one label each, before those with images of all: the second of the
    appendix's three steps. They are part of the training's length."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("method.task_loss", self.task_loss, ("regression", "cross_entropy"))
        require_choice("method.agree_with", self.agree_with, ("main", "pixel"))
        require_count("method.label_epochs", self.label_epochs, 0)


def check(config: Config) -> None:
    """Raise ConfigError unless there are a task, a strategy that joins two losses, and epochs."""
    gan.check(config)
    require_own_auxiliary_loss(config)
    options, strategy, t = config.method, config.strategy, config.trainer
    assert isinstance(options, Options)
    if not config.auxiliary.tasks:
        raise ConfigError(
            "method=task_gan needs a task and auxiliary=none has none; choose "
            "auxiliary=diagnosis or segmentation, or method=gan"
        )
    if not strategy.has_auxiliary:
        raise ConfigError(
            f"method=task_gan strategy={strategy.name} leaves the task network out; choose "
            f"method=gan, or strategy=joint, the published one"
        )
    if options.agree_with == "pixel" and not strategy.compares:
        raise ConfigError(
            f"method.agree_with=pixel has no effect on strategy={strategy.name}, which compares no "
            f"gradients; choose another strategy, such as gradprom, or leave it out"
        )
    if options.label_epochs and not config.facts.classes:
        raise NotServed(
            f"method.label_epochs={options.label_epochs} needs labels and "
            f"dataset={config.dataset.name} has none; leave it out"
        )
    if options.label_epochs >= (total := t.warmup_epochs + t.coupled_epochs):
        raise ConfigError(
            f"method.label_epochs={options.label_epochs} must be less than the {total} epochs of "
            f"trainer.warmup_epochs and trainer.coupled_epochs"
        )


class TaskGAN(GAN):
    """See the module's docstring."""

    title = "Task-GAN"

    def stage(self) -> Stage:
        """All three networks; before that, with `label_epochs`, on one label an epoch."""
        whole, epochs = super().stage(), self.options.label_epochs
        if not epochs:
            return whole
        recognizers = self.recognizers()
        by_label = replace(
            whole,
            name="task_gan.by_label",
            epochs=epochs,
            batches=replace(whole.batches, order=one_label),
            bound_to_length="it is the beginning of another stage",
            begin=lambda start: self.begin(start, self.networks_at(start, recognizers), epochs),
        )
        rest = whole.epochs - epochs

        def begin(start: Start) -> Training:
            networks = self.build_networks()
            for name, network in networks.items():
                network.load_state_dict(start.weights(by_label)[name])
            return self.begin(start, networks, rest)

        return replace(whole, epochs=rest, parents=(by_label,), begin=begin)

    def batches(self) -> Batches:
        """With the task's annotation."""
        annotations = tuple(task_by_name(task).annotation for task in self.tasks)
        return replace(super().batches(), annotations=annotations)

    def reads_of_training(self) -> dict[str, Any]:
        """The strategy and how the task network takes part too."""
        c, a = self.config, self.config.auxiliary
        reads = {**super().reads_of_training(), "strategy": c.strategy, "tasks": self.tasks}
        reads |= {"clamp": a.clamp}
        if c.strategy.learns:
            reads |= {"batchnorm": a.batchnorm}
        if not self.options.pretrain:
            reads |= {"recognizer": recognition.reads(c)["recognizer"]}
        return reads

    def recognizers(self) -> dict[str, Stage]:
        """Without the task network's own, if it is not pre-trained."""
        stages = super().recognizers()
        left_out = [] if self.options.pretrain else self.tasks
        return {name: stage for name, stage in stages.items() if name not in left_out}

    def begin(self, start: Start, networks: dict[str, nn.Module], epochs: int) -> "Training":
        """The training of these networks for some epochs."""
        return Training(self.config, networks, start, epochs)

    def describe(self) -> Description:
        """The strategy too, and what is logged of its gate."""
        described, c = super().describe(), self.config
        described.parts["task"] = f"{self.options.task_loss}, strategy {c.strategy.name}"
        logged = (*described.logged, "gate", "ratio", "cosine", "agree")
        title = f"{self.title} ({c.backbone.name}, strategy {c.strategy.name})"
        return replace(described, title=title, logged=logged)


class Training(gan.Training):
    """One step of the discriminator, then one of generator and task network together."""

    def __init__(self, config: Config, networks: dict[str, nn.Module], start: Start, epochs: int):
        self.strategy = replace(config.strategy)  # a copy, whose state is the initial one
        self.clamp, [self.name] = config.auxiliary.clamp, config.auxiliary.tasks
        super().__init__(config, networks, start, epochs)
        learns, batchnorm = self.strategy.learns, config.auxiliary.batchnorm
        self.networks[self.name].train(learns and batchnorm == "train")

    def optimizers(self) -> dict[str, OptimizerOptions]:
        """The task network's too, if the strategy lets it learn."""
        own = {self.name: self.options.task} if self.strategy.learns else {}
        return {**super().optimizers(), **own}

    def learn(
        self, losses: Mapping[str, Tensor], restored: Tensor, batch: Batch, probe: bool
    ) -> tuple[dict[str, Tensor], Tensor]:
        """A step of generator and task network (Eq. 4), the strategy deciding on the former."""
        network = self.networks[self.name]
        truth = task_by_name(self.name).truth(batch)
        on_restored = self.task_loss(
            network(restored.clamp(0, 1) if self.clamp else restored), truth
        )
        on_clean = self.task_loss(network(batch.target), truth)
        joins, strategy = [losses["main"], on_restored + on_clean], self.strategy
        if self.options.agree_with == "pixel":
            joins = [losses["pixel"], joins[1], losses["matching"]]
            strategy = Beside(strategy, self.options.gan_weight)
        names = ["generator", self.name] if strategy.learns else ["generator"]
        joined = self.networks.step_by(strategy, joins, "generator", restored, probe, names)
        clean = distributed.average(on_clean.detach())
        return {f"loss_clean_{self.name}": clean, **joined.logs([self.name])}, joined.finite

    def task_loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        """L_task on restored or on clean images, 0-dim."""
        if self.options.task_loss == "regression":
            return squared_error(logits, truth)
        return task_by_name(self.name).supervised_loss(logits, truth)

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimizers and the strategy's own state."""
        return {**super().state_dict(), "strategy": self.strategy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        super().load_state_dict(state)
        self.strategy.load_state_dict(state["strategy"])


build = TaskGAN
