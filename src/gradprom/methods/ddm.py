"""DDM (Stevens et al. 2023, arXiv 2307.11204), adapted to B-mode images: a diffusion prior.

The publication removes haze from radio-frequency ultrasound with two diffusion models, of tissue
and of haze. Here there is one, of clean images, and noise of a known σ. As y = x + σ·n is a sample
of the variance-exploding process at level σ, the reverse process *started there* draws from the
posterior of x given y, without any guidance. Clamped inputs break this assumption a little (open
choice 8).

The denoiser is the configured backbone with the noise level as a further input channel, inside the
preconditioning of Karras et al. 2022 (EDM), trained on all levels. A sample of the posterior has
about 3 dB less than its mean, which a regressor estimates: `method.samples` averages several.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradprom import metrics
from gradprom.config import Config, batch_reads
from gradprom.data.batches import Batches
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch
from gradprom.degradations import Gaussian
from gradprom.errors import NotServed
from gradprom.methods.backbone import build_backbone
from gradprom.methods.base import Description, Method
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions, bound_to_length
from gradprom.training.stage import Stage, Start

SPREAD = 0.25
"""Standard deviation of clean pixels that the preconditioning assumes."""
LEVELS = (0.002, 0.5)
"""The noise levels of training, log-uniform; sampling ends at the first."""


@dataclass
class Options:
    """Averaged weights, and the sampler."""

    name: str = "ddm"
    average: float = 0.99
    """Decay of the averaged weights; the publication has 0.99999 in long trainings."""
    steps: int = 30
    """Noise levels of the reverse process, evenly spaced in their logarithm; >= 1."""
    samples: int = 1
    """Draws from the posterior whose mean is the restored image; >= 1."""

    def __post_init__(self) -> None:
        for key in ("steps", "samples"):
            if (value := getattr(self, key)) < 1:
                raise ValueError(f"{key}={value}: allowed are whole numbers >= 1")
        if not 0 <= self.average < 1:
            raise ValueError(f"average={self.average}: allowed are numbers in [0, 1)")


def check(config: Config) -> None:
    """Raise NotServed for other degradations than noise of a known σ."""
    degradation = config.degradation
    if not isinstance(degradation, Gaussian):
        raise NotServed(
            f"method=ddm removes Gaussian noise of a known σ and degradation={degradation.name} "
            f"is another; choose degradation=gaussian"
        )


class Denoiser(nn.Module):
    """EDM's D(x; σ): the input and the backbone's output, weighted so that both have unit size."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """Noisy [B, C, H, W] and its noise level [B] -> denoised, not clamped."""
        level = sigma.view(-1, 1, 1, 1)
        total = (level.square() + SPREAD**2).sqrt()
        noise_map = (level.log() / 4).expand(-1, 1, *noisy.shape[-2:])
        # in units of its spread, around the middle of the range
        scaled = torch.cat([(noisy - 0.5) / total, noise_map], dim=1)
        kept, changed = SPREAD**2 / total.square(), level * SPREAD / total
        return 0.5 + kept * (noisy - 0.5) + changed * self.backbone(scaled)


class DDM(Method):
    """A denoiser of all noise levels, and reverse diffusion from the degraded image."""

    def __init__(self, config: Config):
        super().__init__(config)
        assert isinstance(config.method, Options)
        self.options = config.method

    def stage(self) -> Stage:
        """One stage, on clean images, as long as warm-up and coupled training together."""
        c, t = self.config, self.config.trainer
        rates = {"lr": t.lr, "schedule": t.schedule, "clip": t.clip}
        return Stage(
            "diffusion",
            t.warmup_epochs + t.coupled_epochs,
            c.seed,
            reads={
                **batch_reads(c),
                "backbone": c.backbone,
                "optimizer": rates,
                "method": {"average": self.options.average},
            },
            batches=Batches(t.batch_size, None, t.augment),
            bound_to_length=bound_to_length(t.schedule),
            begin=lambda start: Training(c, self._denoiser(fresh=True), start),
        )

    def evaluation_reads(self) -> dict[str, Any]:
        """The noise and the sampler, which training does not know."""
        sampler = {key: getattr(self.options, key) for key in ("steps", "samples")}
        return {"degradation": self.config.degradation, "method": sampler}

    def describe(self) -> Description:
        """The denoiser, its epochs, and the sampler."""
        c, own, t = self.config, self.options, self.config.trainer
        epochs = t.warmup_epochs + t.coupled_epochs
        return Description(
            title=f"Diffusion prior ({c.backbone.name})",
            parts={
                "denoiser": f"{c.backbone.name}, noise levels {LEVELS[0]} to {LEVELS[1]}",
                "sampler": f"{own.steps} steps, mean of {own.samples}",
                "epochs": f"{epochs}, batches of {t.batch_size}",
            },
            network="denoiser",
            inputs={"sigma": "the noise level of each image, float32 tensor [B]"},
            passes=own.steps * own.samples,
        )

    def metrics(self) -> tuple[str, ...]:
        """Those of images."""
        return metrics.USUAL

    def build_networks(self) -> dict[str, nn.Module]:
        """The denoiser."""
        return {"denoiser": self._denoiser(fresh=False)}

    def _denoiser(self, fresh: bool) -> Denoiser:
        return Denoiser(build_backbone(self.config, fresh, further=1))

    def restorer_arguments(self, images: Tensor) -> tuple[Tensor, ...]:
        """Noisy images and their levels."""
        return images, images.new_ones(len(images))

    @torch.no_grad()
    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor:
        """The mean of posterior samples, clamped to [0, 1]."""
        assert batch.observation is not None
        denoiser, sigma = self.networks["denoiser"], batch.observation.sigma()
        draws = [
            posterior_sample(denoiser, batch.input, sigma, self.options.steps, noise)
            for _ in range(self.options.samples)
        ]
        return torch.stack(draws).mean(0).clamp(0, 1)

    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """Scores of the restored images."""
        assert restored is not None
        return metrics.measure(restored, batch.target)


class Training(NetworkTraining):
    """Denoising score matching: EDM's weighted squared error at a random level an image."""

    def __init__(self, config: Config, denoiser: Denoiser, start: Start):
        assert isinstance(config.method, Options)
        t, average = config.trainer, config.method.average
        options = OptimizerOptions(lr=t.lr, schedule=t.schedule, clip=t.clip, average=average)
        steps = (t.warmup_epochs + t.coupled_epochs) * start.epoch_steps
        networks = {"denoiser": denoiser.train()}
        super().__init__(Networks(networks, {"denoiser": options}, t, start.device, steps))

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step on fresh noise."""
        clean = batch.target
        least, most = map(math.log, LEVELS)
        places = torch.rand(len(clean), device=clean.device)
        sigma = (least + (most - least) * places).exp()
        noisy = clean + sigma.view(-1, 1, 1, 1) * torch.randn_like(clean)
        error = (self.networks["denoiser"](noisy, sigma) - clean).square().mean((1, 2, 3))
        weight = (sigma.square() + SPREAD**2) / (sigma * SPREAD).square()
        loss, finite = self.networks.backward((weight * error).mean())
        return {"loss_denoising": loss, "finite": finite}


def posterior_sample(
    denoiser: nn.Module, degraded: Tensor, sigma: Tensor, steps: int, noise: ImageNoise
) -> Tensor:
    """Run the reverse process from the degraded image down to the lowest level.

    Parameters
    ----------
    denoiser
        From noisy images [B, C, H, W] and their levels [B] to the mean of the clean ones.
    degraded
        Images with noise of the levels `sigma`, [B, C, H, W].
    sigma
        [B]; images of a lower level than `LEVELS[0]` are only denoised once.
    steps
        Levels from `sigma` to `LEVELS[0]`, evenly spaced in their logarithm.
    noise
        Fresh noise of each step.

    Returns
    -------
    Tensor
        The last estimate of the clean image, [B, C, H, W], not clamped.
    """
    start = sigma.clamp(min=LEVELS[0])
    shares = torch.linspace(0, 1, steps, device=sigma.device)[:, None]
    levels = (start.log() * (1 - shares) + math.log(LEVELS[0]) * shares).exp()
    image = degraded
    for now, following in zip(levels[:-1], levels[1:], strict=True):
        mean = denoiser(image, now)
        share = (following / now).square().view(-1, 1, 1, 1)
        fresh = noise.normal(*degraded.shape[1:])
        # equal levels may differ by rounding, in either direction
        spread = following.view(-1, 1, 1, 1) * (1 - share).clamp(min=0).sqrt()
        image = mean + share * (image - mean) + spread * fresh
    return denoiser(image, levels[-1])


build = DDM
