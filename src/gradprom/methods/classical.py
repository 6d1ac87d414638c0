"""Classical denoising, to which trained enhancers are compared: nothing is learned, σ is known.

Poisson noise of a known rate is removed by the same filters, within Anscombe's transform.
Non-local means, total variation and wavelets come from scikit-image, BM3D from the package `bm3d`
where a user has installed it (its licence forbids commercial use). All see the same degraded images
as every other method, and σ, which trained enhancers see in their training data alone.
"""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom import metrics
from gradprom.config import Config, Trainer, split_reads
from gradprom.data.batches import Batches
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch
from gradprom.degradations import Degradation, Gaussian, LowCount, Poisson
from gradprom.errors import ConfigError, NotServed
from gradprom.methods import anscombe
from gradprom.methods.base import Description, Method
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.stage import Stage, Start

Image = NDArray[np.float32]
"""[H, W] or [H, W, 3] in [0, 1]."""


def non_local_means(image: Image, sigma: float) -> Image:
    """Buades et al. 2005: patches of 5×5 within 13×13 pixels, h = 0.6 σ."""
    from skimage.restoration import denoise_nl_means

    size = {"patch_size": 5, "patch_distance": 6}
    return denoise_nl_means(image, h=0.6 * sigma, sigma=sigma, channel_axis=_axis(image), **size)


def total_variation(image: Image, sigma: float) -> Image:
    """Chambolle 2004: weight 0.75 σ, all channels together."""
    from skimage.restoration import denoise_tv_chambolle

    return denoise_tv_chambolle(image, weight=0.75 * sigma, channel_axis=_axis(image))


def wavelets(image: Image, sigma: float) -> Image:
    """Chang et al. 2000: BayesShrink, soft, each channel of its own."""
    from skimage.restoration import denoise_wavelet

    return denoise_wavelet(image, sigma=sigma, channel_axis=_axis(image))


def bm3d(image: Image, sigma: float) -> Image:
    """Dabov et al. 2007, as the package `bm3d` has it; colour in its opponent space."""
    import bm3d as package

    return (package.bm3d if image.ndim == 2 else package.bm3d_rgb)(image, sigma)


def _axis(image: Image) -> int | None:
    return None if image.ndim == 2 else -1


FILTERS: dict[str, Callable[[Image, float], Image]] = {
    "non_local_means": non_local_means,
    "total_variation": total_variation,
    "wavelets": wavelets,
    "bm3d": bm3d,
}
"""By name: from an image and the standard deviation of its noise to the denoised image."""
SERVED = (Gaussian, Poisson, LowCount)
"""The degradations that they remove."""


@dataclass
class Options:
    """The choice of the filter."""

    name: str = "classical"
    filter: str = "non_local_means"
    """`non_local_means`, `total_variation`, `wavelets` or, where it is installed, `bm3d`."""

    def __post_init__(self) -> None:
        if self.filter not in FILTERS:
            raise ConfigError(
                f"method.filter={self.filter} is unknown; choose from {', '.join(FILTERS)}"
            )


def check(config: Config) -> None:
    """Raise NotServed for degradations other than such noise, and for a missing BM3D."""
    options, degradation = config.method, config.degradation
    assert isinstance(options, Options)
    if not isinstance(degradation, SERVED):
        raise NotServed(
            f"method=classical removes Gaussian and Poisson noise of a known level and "
            f"degradation={degradation.name} is another; choose degradation=gaussian, poisson or "
            f"low_count"
        )
    if options.filter == "bm3d" and importlib.util.find_spec("bm3d") is None:
        raise NotServed("method.filter=bm3d needs the package bm3d: pip install bm3d")


class Filter(nn.Module):
    """A filter as a network: noisy [B, C, H, W] in [0, 1] to denoised ones, not clamped.

    Parameters
    ----------
    name
        One of `FILTERS`.
    degradation
        One of `SERVED`; σ of Poisson noise is that of white pixels.
    """

    def __init__(self, name: str, degradation: Degradation) -> None:
        super().__init__()
        gaussian = isinstance(degradation, Gaussian)
        self.denoise = FILTERS[name] if gaussian else anscombe.of_counts(FILTERS[name])
        self.register_buffer("sigma", torch.tensor(_sigma(degradation)))

    def forward(self, images: Tensor, sigmas: Tensor | None = None) -> Tensor:
        """Denoise by the standard deviation of each image [B], by default the configured one."""
        levels = self.state_dict()["sigma"].expand(len(images)) if sigmas is None else sigmas
        pixels = images.permute(0, 2, 3, 1).cpu().numpy()
        pairs = zip(pixels, levels.tolist(), strict=True)
        # without noise there is nothing to remove, and some filters divide by σ
        filtered = [self.denoise(_squeezed(image), s) if s > 0 else image for image, s in pairs]
        stacked = np.stack(filtered).reshape(pixels.shape)
        return torch.from_numpy(stacked).to(images).permute(0, 3, 1, 2).contiguous()


class Classical(Method):
    """A filter with σ; its stage has no epochs, and its id no seed."""

    def __init__(self, config: Config):
        super().__init__(config)
        assert isinstance(config.method, Options)
        self.options = config.method

    def stage(self) -> Stage:
        """Nothing is trained; the artefact is σ."""
        c = self.config
        reads = {
            "dataset": c.dataset,
            "degradation": c.degradation,
            "method": self.options,
            **split_reads(c),
        }
        batches = Batches(8, c.degradation, augment=False)  # none is drawn
        return Stage("classical", 0, 0, reads, batches=batches, begin=self._begin)

    def _begin(self, start: Start) -> "Untrained":
        return Untrained(Networks(self.build_networks(), {}, Trainer(), start.device, 0))

    def describe(self) -> Description:
        """The filter."""
        counts = not isinstance(self.config.degradation, Gaussian)
        known = "within Anscombe's transform, rate known" if counts else "σ known"
        return Description(
            f"Classical denoising ({self.options.filter})",
            parts={"filter": f"{self.options.filter}, {known}"},
        )

    def metrics(self) -> tuple[str, ...]:
        return metrics.USUAL

    def build_networks(self) -> dict[str, nn.Module]:
        return {"filter": Filter(self.options.filter, self.config.degradation)}

    @torch.no_grad()
    def enhance(self, images: Tensor) -> Tensor:
        """Noisy [B, C, H, W] to denoised ones, clamped to [0, 1]."""
        return self.networks["filter"](images).clamp(0, 1)

    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor:
        """By the σ that was drawn for each image."""
        assert batch.observation is not None
        return self.networks["filter"](batch.input, batch.observation.sigma()).clamp(0, 1)

    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """Scores of the denoised images."""
        assert restored is not None
        return metrics.measure(restored, batch.target)


def _sigma(degradation: Degradation) -> float:
    """Of the noise, of Poisson noise where an image is white."""
    if isinstance(degradation, Gaussian):
        return degradation.sigma
    poisson = degradation.poisson if isinstance(degradation, LowCount) else degradation
    assert isinstance(poisson, Poisson)
    return math.sqrt(poisson.rate)


def _squeezed(image: NDArray[np.float32]) -> Image:
    """[H, W, C] without the axis of a single channel."""
    return image[..., 0] if image.shape[-1] == 1 else image


class Untrained(NetworkTraining):
    """A training of no steps; one that is taken changes nothing."""

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """The error of the noisy images."""
        loss = F.mse_loss(batch.input, batch.target)
        return {"loss_main": loss, "finite": loss.isfinite()}


build = Classical
