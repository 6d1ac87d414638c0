"""SUD (Young et al. 2023, TPAMI): supervision by denoising, for images without clean targets.

Part of the training images are treated as if their clean versions were not known. For those, the
enhancer is supervised by its own output, averaged over time and denoised in space:
z = (1 − θ)·f̄ + θ·D(f̄), where f̄ is the output of averaged weights and D a denoiser that was trained
on the clean images of the others and is frozen. The publication segments; its recipe is read from
the first code of its author's later project, and is the same but for the loss, which here is the
square error. With θ = 0 it is averaging alone (Tarvainen and Valpola 2017); Benchmark-i is what all
clean images would give.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from gradprom import metrics
from gradprom.config import Config, batch_reads, component
from gradprom.data.batches import Batches
from gradprom.data.loader import Batch
from gradprom.degradations import Gaussian
from gradprom.errors import ConfigError
from gradprom.methods.backbone import build_backbone
from gradprom.methods.base import Description, Method
from gradprom.randomness import stream
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions, bound_to_length
from gradprom.training.stage import Stage, Start


@dataclass
class Options:
    """How much is labelled, and what supervises the rest."""

    name: str = "sud"
    labelled: float = 0.5
    """Share of the training images whose clean versions are used, in (0, 1)."""
    mu: float = 0.1
    """Weight of the loss of the others, > 0."""
    theta: float = 0.5
    """How far their target is denoised, in [0, 1]."""
    average: float = 0.99
    """Decay of the averaged weights, in (0, 1); the publication has 0.999 in long trainings."""
    noise: float = 0.05
    """Standard deviation of the noise in [0, 1] that D is trained to remove."""
    denoiser_epochs: int = 4
    """Epochs of D; >= 1."""

    def __post_init__(self) -> None:
        for key in ("labelled", "average"):
            if not 0 < (value := getattr(self, key)) < 1:
                raise ValueError(f"{key}={value}: allowed are numbers between 0 and 1")
        for key in ("mu", "noise"):
            if not (value := getattr(self, key)) > 0:
                raise ValueError(f"{key}={value}: allowed are numbers > 0")
        if not 0 <= self.theta <= 1:
            raise ValueError(f"theta={self.theta}: allowed are numbers in [0, 1]")
        if self.denoiser_epochs < 1:
            raise ValueError(
                f"denoiser_epochs={self.denoiser_epochs}: allowed are whole numbers >= 1"
            )


def check(config: Config) -> None:
    """Raise ConfigError for batches that do not have as many images with a target as without."""
    size = config.trainer.batch_size
    if size % (2 * config.trainer.devices):
        raise ConfigError(
            f"method=sud has labelled and unlabelled images in turn, on every device: "
            f"trainer.batch_size={size} must be a multiple of {2 * config.trainer.devices}"
        )


@dataclass(frozen=True)
class Alternating:
    """An order of images in which labelled and unlabelled ones take turns, labelled ones first."""

    share: float
    """Of the images that are labelled; which ones depends on their number alone."""

    def __call__(self, labels: Tensor, seed: int, epoch: int) -> Tensor:
        """Positions of an epoch, int64; the smaller kind is shown again as often as it takes."""
        count = len(labels)
        number = min(max(round(self.share * count), 1), count - 1)
        fixed = torch.randperm(count, generator=_generator("labelled", count))
        half = max(count // 2, 1)
        kinds = [
            _cycled(part, half, _generator(seed, "epoch", epoch, name))
            for name, part in (("labelled", fixed[:number]), ("unlabelled", fixed[number:]))
        ]
        return torch.stack(kinds, dim=1).flatten()


@dataclass(frozen=True)
class Labelled:
    """The labelled images of `Alternating`, shuffled."""

    share: float

    def __call__(self, labels: Tensor, seed: int, epoch: int) -> Tensor:
        """Positions of an epoch, int64."""
        return Alternating(self.share)(labels, seed, epoch)[::2]


def _generator(*parts: Any) -> torch.Generator:
    return torch.Generator().manual_seed(stream(*parts))


def _cycled(positions: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """As many positions as asked for: shuffled, and again from the start."""
    rounds = [
        positions[torch.randperm(len(positions), generator=generator)]
        for _ in range(-(-count // len(positions)))
    ]
    return torch.cat(rounds)[:count]


class SUD(Method):
    """An enhancer that is supervised by clean images, and by its own averaged, denoised output."""

    def __init__(self, config: Config):
        super().__init__(config)
        assert isinstance(config.method, Options)
        self.options = config.method

    def stage(self) -> Stage:
        """The enhancer, as long as warm-up and coupled training together, on top of D."""
        c, own, t = self.config, self.options, self.config.trainer
        rates = {"lr": t.lr, "schedule": t.schedule, "clip": t.clip}
        shared = {**batch_reads(c), "backbone": c.backbone, "optimizer": rates}
        order = Alternating(own.labelled)
        batches = Batches(t.batch_size, c.degradation, t.augment, order=order)
        denoiser = Stage(
            "denoiser",
            own.denoiser_epochs,
            c.seed,
            {**shared, "method": {"labelled": own.labelled, "noise": own.noise}},
            batches=replace(
                batches, degradation=Gaussian(sigma=own.noise), order=Labelled(own.labelled)
            ),
            begin=lambda start: DenoiserTraining(c, self._network(fresh=True), start),
        )
        return Stage(
            "sud",
            t.warmup_epochs + t.coupled_epochs,
            c.seed,
            {**shared, "degradation": c.degradation, "method": own},
            parents=(denoiser,),
            batches=batches,
            bound_to_length=bound_to_length(t.schedule),
            begin=lambda start: self._begin(start, denoiser),
        )

    def _begin(self, start: Start, denoiser: Stage) -> "Training":
        networks = {"enhancer": build_backbone(self.config, fresh=True)}
        networks["denoiser"] = self._network(fresh=False)
        networks["denoiser"].load_state_dict(start.weights(denoiser)["denoiser"])
        return Training(self.config, networks, self.options, start)

    def _network(self, fresh: bool) -> nn.Module:
        """D: from clean images with noise to clean ones, whatever the degradation is."""
        options, channels = self.config.backbone, self.config.facts.channels
        if not fresh and hasattr(options, "pretrained"):
            options = replace(options, pretrained=False)
        return component("backbone", options.name).build(options, channels)

    def describe(self) -> Description:
        """The share that is labelled, and the trainings."""
        c, own, t = self.config, self.options, self.config.trainer
        epochs = t.warmup_epochs + t.coupled_epochs
        return Description(
            title=f"Supervision by denoising ({c.backbone.name}, {own.labelled:.0%} labelled)",
            parts={
                "enhancer": f"{c.backbone.name}, {own.labelled:.0%} of the images labelled",
                "epochs": f"denoiser {own.denoiser_epochs}, {epochs}, batches of {t.batch_size}",
            },
            restorer="enhancer",
        )

    def metrics(self) -> tuple[str, ...]:
        """Those of images."""
        return metrics.USUAL

    def build_networks(self) -> dict[str, nn.Module]:
        """The enhancer with its averaged weights, and D."""
        return {
            "enhancer": build_backbone(self.config, fresh=False),
            "denoiser": self._network(fresh=False),
        }

    @torch.no_grad()
    def enhance(self, images: Tensor) -> Tensor:
        """Degraded [B, C, h, w] to enhanced [B, C, H, W], clamped to [0, 1]."""
        return self.networks["enhancer"](images).clamp(0, 1)

    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """Scores of the enhanced images."""
        assert restored is not None
        return metrics.measure(restored, batch.target)


def _optimizer(config: Config, average: float = 0.0) -> OptimizerOptions:
    t = config.trainer
    return OptimizerOptions(lr=t.lr, schedule=t.schedule, clip=t.clip, average=average)


class DenoiserTraining(NetworkTraining):
    """D on the labelled images, with noise of its own."""

    def __init__(self, config: Config, denoiser: nn.Module, start: Start):
        assert isinstance(config.method, Options)
        steps = config.method.denoiser_epochs * start.epoch_steps
        networks, options = {"denoiser": denoiser.train()}, {"denoiser": _optimizer(config)}
        super().__init__(Networks(networks, options, config.trainer, start.device, steps))

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step on the square error."""
        error = F.mse_loss(self.networks["denoiser"](batch.input), batch.target)
        loss, finite = self.networks.backward(error)
        return {"loss_denoising": loss, "finite": finite}


class Training(NetworkTraining):
    """The enhancer on images of which every second has a target."""

    def __init__(
        self, config: Config, networks: dict[str, nn.Module], options: Options, start: Start
    ):
        self.options, t = options, config.trainer
        networks["enhancer"].train()
        networks["denoiser"].eval().requires_grad_(False)
        optimizers = {"enhancer": _optimizer(config, options.average)}
        steps = (t.warmup_epochs + t.coupled_epochs) * start.epoch_steps
        super().__init__(Networks(networks, optimizers, t, start.device, steps))

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step; labelled and unlabelled images take turns in the batch."""
        enhanced = self.networks["enhancer"](batch.input)
        supervised = F.mse_loss(enhanced[::2], batch.target[::2])
        consistency = F.mse_loss(enhanced[1::2], self.own_target(batch.input[1::2]))
        total = supervised + self.options.mu * consistency
        loss, finite = self.networks.backward(total)
        psnr = -10 * supervised.detach().log10()
        return {"loss_main": loss, "loss_own": consistency.detach(), "psnr": psnr, "finite": finite}

    @torch.no_grad()
    def own_target(self, degraded: Tensor) -> Tensor:
        """z of degraded images [B, C, h, w]: the averaged weights' output, in part denoised."""
        enhancer = self.networks["enhancer"]
        enhancer.eval()
        average = functional_call(enhancer, self.networks.averages["enhancer"], (degraded,))
        enhancer.train()
        theta = self.options.theta
        return (1 - theta) * average + theta * self.networks["denoiser"](average)


build = SUD
