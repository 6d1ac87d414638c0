"""A generator against a discriminator, under an embedding network that judges whom it shows.

The embedding learns alone, then is frozen; the generator learns pixels alone, from images of one
label an epoch; then the two play, and a gradient strategy joins the judge's loss to the pixels'.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom import metrics
from gradprom.config import Config, batch_reads
from gradprom.data.batches import Batches, one_label
from gradprom.data.loader import Batch
from gradprom.errors import NotServed
from gradprom.methods.backbone import build_backbone
from gradprom.methods.base import Description, Method
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions
from gradprom.training.stage import Stage, Start

Loss = Callable[[Any, Batch], Tensor]


@dataclass
class Options:
    """How long each stage lasts, how each network learns, and what the game weighs."""

    name: str = "adversarial"
    embedding_epochs: int = 10
    first_epochs: int = 4
    epochs: int = 4
    game: float = 0.001
    """Weight of the discriminator's word in the generator's main loss."""
    embedding: OptimizerOptions = field(default_factory=OptimizerOptions)
    generator: OptimizerOptions = field(
        default_factory=lambda: OptimizerOptions("adamw", betas=[0.5, 0.9], weight_decay=0.01)
    )
    discriminator: OptimizerOptions = field(default_factory=lambda: OptimizerOptions("sgd", 1e-2))


def check(config: Config) -> None:
    """Refuse a dataset that does not say whom an image shows."""
    if not config.facts.classes:
        raise NotServed(
            f"method=adversarial needs labels and dataset={config.dataset.name} has none"
        )


class Embedding(nn.Module):
    """[B, C, H, W] to points [B, 8], where each label has its place."""

    def __init__(self, channels: int, labels: int):
        super().__init__()
        self.features = convolutions(channels, 16)
        self.head = nn.Linear(16, 8)
        self.places = nn.Parameter(torch.randn(labels, 8))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).mean((2, 3)))


def convolutions(inputs: int, outputs: int) -> nn.Sequential:
    """[B, inputs, H, W] to [B, outputs, H/4, W/4]."""
    first, second = nn.Conv2d(inputs, 8, 3, 2, 1), nn.Conv2d(8, outputs, 3, 2, 1)
    return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2))


class Adversarial(Method):
    """See the module's text."""

    def stage(self) -> Stage:
        """The game, on top of the embedding and of a generator that has learnt pixels alone."""
        c, own, size = self.config, self.config.method, self.config.trainer.batch_size
        reads = {**batch_reads(c), "degradation": c.degradation, "backbone": c.backbone}
        batches = Batches(size, c.degradation, c.trainer.augment, annotations=("label",))
        embedding = Stage(
            "embedding",
            own.embedding_epochs,
            c.seed,
            {**batch_reads(c), "method": {"embedding": own.embedding}},
            batches=replace(batches, degradation=None),
            begin=lambda start: Alone(self, "embedding", placed, own.embedding_epochs, start),
        )
        first = Stage(
            "generator",
            own.first_epochs,
            c.seed,
            {**reads, "method": {"generator": own.generator}},
            batches=replace(batches, order=one_label),
            begin=lambda start: Alone(self, "generator", pixels, own.first_epochs, start),
        )

        def begin(start: Start) -> Game:
            networks = self.build_networks(fresh=True)
            networks["embedding"].load_state_dict(start.weights(embedding)["embedding"])
            networks["generator"].load_state_dict(start.weights(first)["generator"])
            return Game(c, networks, start)

        learns = {key: getattr(own, key) for key in ("generator", "discriminator", "game")}
        reads |= {"strategy": c.strategy, "method": learns}
        parents = (embedding, first)
        return Stage("game", own.epochs, c.seed, reads, parents, batches=batches, begin=begin)

    def describe(self) -> Description:
        """The three networks and how long they are trained."""
        c, own = self.config, self.config.method
        epochs = f"embedding {own.embedding_epochs}, pixels {own.first_epochs}, game {own.epochs}"
        return Description(
            title=f"Adversarial enhancer ({c.backbone.name}, strategy {c.strategy.name})",
            parts={
                "generator": f"{c.backbone.name}, {own.generator.name}",
                "game": f"weight {own.game}, {own.discriminator.name}",
                "epochs": f"{epochs}, batches of {c.trainer.batch_size}",
            },
            logged=("gate", "ratio", "cosine"),
            restorer="generator",
        )

    def metrics(self) -> tuple[str, ...]:
        """How far the pixels are off, and whether images of one label are found together."""
        return "rmse", "auc"

    def build_networks(self, fresh: bool = False) -> dict[str, nn.Module]:
        """Generator, discriminator and judge."""
        channels, labels = self.config.facts.channels, len(self.config.facts.classes)
        score = nn.Conv2d(16, 1, 3, padding=1)
        return {
            "generator": build_backbone(self.config, fresh),
            "discriminator": nn.Sequential(*convolutions(channels, 16), score),
            "embedding": Embedding(channels, labels),
        }

    @torch.no_grad()
    def enhance(self, images: Tensor) -> Tensor:
        """What the generator makes of them."""
        return self.networks["generator"](images).clamp(0, 1)

    @torch.no_grad()
    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """RMSE of each image, and where the judge sees it."""
        assert restored is not None and batch.label is not None
        seen = {"identity": batch.label, "embedding": self.networks["embedding"](restored)}
        return metrics.measure(restored, batch.target, ["rmse"]) | seen


def placed(embedding: Embedding, batch: Batch) -> Tensor:
    """Images are drawn to the place of their label, away from those of others."""
    distance = (embedding(batch.target)[:, None] - embedding.places).square().sum(2)
    return F.cross_entropy(-distance, batch.label)


def pixels(generator: nn.Module, batch: Batch) -> Tensor:
    """Squared errors."""
    return F.mse_loss(generator(batch.input), batch.target)


class Alone(NetworkTraining):
    """One network on a loss of its own."""

    def __init__(self, method: "Adversarial", name: str, loss: Loss, epochs: int, start: Start):
        self.name, self.loss = name, loss
        own = {name: method.build_networks(fresh=True)[name]}
        options = {name: getattr(method.config.method, name)}
        steps = epochs * start.epoch_steps
        super().__init__(Networks(own, options, method.config.trainer, start.device, steps))

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        loss, finite = self.networks.backward(self.loss(self.networks[self.name], batch))
        return {f"loss_{self.name}": loss, "finite": finite}


class Game(NetworkTraining):
    """One step of the discriminator, then one of the generator."""

    def __init__(self, config: Config, networks: dict[str, nn.Module], start: Start):
        self.game, self.strategy = config.method.game, replace(config.strategy)
        networks["embedding"].requires_grad_(False).eval()
        options = {name: getattr(config.method, name) for name in ("generator", "discriminator")}
        steps = config.method.epochs * start.epoch_steps
        super().__init__(Networks(networks, options, config.trainer, start.device, steps))

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        generator, discriminator, judge = self.networks.networks.values()
        made = generator(batch.input)

        discriminator.requires_grad_(True)
        doubt = F.softplus(-discriminator(batch.target)) + F.softplus(discriminator(made.detach()))
        doubt.mean().backward()
        [doubt], finite = self.networks.step([doubt.mean()], ["discriminator"])

        discriminator.requires_grad_(False)
        main = F.mse_loss(made, batch.target) + self.game * F.softplus(-discriminator(made)).mean()
        identity = F.mse_loss(judge(made), judge(batch.target))
        joined = self.networks.step_by(
            self.strategy, [main, identity], "generator", made, probe, names=["generator"]
        )
        logs = {"loss_main": joined.losses[0], "loss_discriminator": doubt}
        return {**logs, **joined.logs(["identity"]), "finite": joined.finite & finite}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "strategy": self.strategy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.strategy.load_state_dict(state["strategy"])


build = Adversarial
