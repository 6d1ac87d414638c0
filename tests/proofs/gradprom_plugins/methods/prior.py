"""A learnt prior for inverse problems that it has never seen.

A bias-free denoiser learns on noise of any level (Mohan et al. 2020); what it takes away from an
image is then trained on as the gradient of a regularizer, along a few steps of a descent. A test
image is the minimum of ‖A x − y‖²/2 + weight·R(x), by gradient descent with the operator A of
whatever degradation is asked for; each image stops by itself.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gradprom import metrics
from gradprom.config import Config, batch_reads
from gradprom.data.batches import Batches
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch
from gradprom.degradations import Gaussian
from gradprom.methods.base import Description, Method
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions
from gradprom.training.stage import Stage, Start

SOLVER = ("iterations", "acceleration", "step", "weight", "tolerance")


@dataclass
class Options:
    """The prior, its two trainings, and the solver of the test."""

    name: str = "prior"
    width: int = 16
    sigma_low: float = 0.0
    sigma: float = 0.2
    """Between the two every training image draws its own noise level."""
    denoiser_epochs: int = 10
    gradient_epochs: int = 10
    optimizer: OptimizerOptions = field(default_factory=lambda: OptimizerOptions(lr=1e-3))
    iterations: int = 40
    """At most, of the solver."""
    acceleration: bool = False
    """Nesterov's."""
    step: float = 0.9
    weight: float = 0.1
    tolerance: float = 1e-3
    """An image whose step is smaller than this share of it has converged."""


def check(config: Config) -> None:
    """Any dataset and any degradation with an operator will do."""


class Prior(Method):
    """See the module's text."""

    def stage(self) -> Stage:
        """The regularizer's gradient, on top of the denoiser; neither reads the test's problem."""
        c, own = self.config, self.config.method
        learnt = {key: getattr(own, key) for key in ("width", "sigma_low", "sigma", "optimizer")}
        reads = {**batch_reads(c), "method": learnt}
        noise = Gaussian(sigma=own.sigma, clamp=False, sigma_low=own.sigma_low)
        batches = Batches(c.trainer.batch_size, noise, c.trainer.augment)
        denoiser = Stage(
            "prior",
            own.denoiser_epochs,
            c.seed,
            {**reads, "descent": 1},
            batches=batches,
            begin=lambda start: Descent(c, self.build_networks(), 1, start),
        )

        def begin(start: Start) -> Descent:
            networks = self.build_networks()
            networks["prior"].load_state_dict(start.weights(denoiser)["prior"])
            return Descent(c, networks, 3, start)

        return Stage(
            "prior",
            own.gradient_epochs,
            c.seed,
            {**reads, "descent": 3},
            parents=(denoiser,),
            batches=batches,
            begin=begin,
        )

    def evaluation_reads(self) -> dict[str, Any]:
        """The problem to be solved, and how."""
        own = self.config.method
        solver = {key: getattr(own, key) for key in SOLVER}
        return {"degradation": self.config.degradation, "method": solver}

    def describe(self) -> Description:
        """The prior's size and training, and the solver."""
        own = self.config.method
        kind = "accelerated gradient descent" if own.acceleration else "gradient descent"
        epochs = f"denoiser {own.denoiser_epochs}, gradient {own.gradient_epochs}"
        return Description(
            title=f"Learnt prior ({own.width} channels) with {kind}",
            parts={
                "prior": f"bias-free, {own.width} channels, σ {own.sigma_low} to {own.sigma}",
                "solver": f"{kind}, at most {own.iterations} iterations, weight {own.weight}",
                "epochs": f"{epochs}, batches of {self.config.trainer.batch_size}",
            },
            network="prior",
        )

    def metrics(self) -> tuple[str, ...]:
        """Those of images, and how the solver fared."""
        return (*metrics.USUAL, "iterations", "converged")

    def build_networks(self) -> dict[str, nn.Module]:
        """∇R: an image to what a denoiser would take away from it."""
        width, channels = self.config.method.width, self.config.facts.channels
        sizes = [(channels, width), (width, width), (width, channels)]
        layers = [nn.Conv2d(*size, 3, padding=1, bias=False) for size in sizes]
        return {"prior": nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])}

    @torch.no_grad()
    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor:
        """Descend; an image that has converged stays where it is, and nobody waits to see it."""
        own, prior, observed = self.config.method, self.networks["prior"], batch.observation
        assert observed is not None
        x = last = observed.start(batch.input)
        moving = torch.ones(len(x), dtype=torch.bool, device=x.device)
        iterations = torch.zeros(len(x), device=x.device)
        for k in range(own.iterations):
            z = x + k / (k + 3) * (x - last) if own.acceleration else x
            data = observed.adjoint(observed.operator(z) - batch.input)
            moved = z - own.step * (data + own.weight * prior(z))
            change = (moved - x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
            last, x = x, torch.where(moving.view(-1, 1, 1, 1), moved, x)
            iterations += moving
            moving &= change > own.tolerance
        self.solved = {"iterations": iterations, "converged": ~moving}
        return x.clamp(0, 1)

    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """The usual measures, and what the solver came to with these images."""
        assert restored is not None
        return metrics.measure(restored, batch.target) | self.solved


class Descent(NetworkTraining):
    """Some steps of descent from a noisy image towards the clean one; one is a denoiser's."""

    def __init__(self, config: Config, networks: dict[str, nn.Module], length: int, start: Start):
        own, self.length = config.method, length
        steps = (own.denoiser_epochs if length == 1 else own.gradient_epochs) * start.epoch_steps
        options = {"prior": own.optimizer}
        super().__init__(Networks(networks, options, config.trainer, start.device, steps))

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """The error of each image counts by the noise that it was given."""
        assert batch.observation is not None
        x = batch.input
        for k in range(self.length):
            x = x - self.networks["prior"](x) / (k + 1) - (x - batch.input) * k / (k + 1)
        error = (x - batch.target).square().mean((1, 2, 3))
        loss, finite = self.networks.backward(
            (error / (batch.observation.sigma() + 0.05) ** 2).mean()
        )
        return {"loss_main": loss, "psnr": -10 * error.detach().mean().log10(), "finite": finite}


build = Prior
