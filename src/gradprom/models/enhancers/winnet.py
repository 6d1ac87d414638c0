"""WINNet, a wavelet-inspired invertible network (Huang and Dragotti 2022, TIP 31:4377).

A redundant 4×4 DCT splits the image into a coarse and fifteen detail channels. Lifting steps, each
of them invertible whatever its networks are, move what the coarse part predicts out of the details;
the details are denoised by a learned sparse code; the same steps backwards give the image. All
thresholds are proportional to the noise level. Colours are denoised one by one, as the network is
for grey images, or in an opponent space; for super-resolution it works on the enlarged image.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradprom.identity import added
from gradprom.models.enhancers.srresnet import require_scale, skipped

SIDE = 4
"""Of the DCT's filters."""
DETAILS = SIDE**2 - 1
SHARPNESS = 20
"""β of the softplus that keeps thresholds positive."""
CODE_WEIGHT = 10.0
"""Weight of ‖S∗A − δ‖²."""
SPECTRAL_WEIGHT = 0.1 / 10
"""Weight of the spectral norms; published is 0.1 at every tenth step."""
PIXELS = 40**2
"""Of the published patches. Their loss is half of the sum over a patch, that of this repository the
mean over its pixels: penalties are divided by half of this."""


OPPONENT = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))
"""Axes of a space in which the noise of colours stays white (Dabov et al. 2007)."""


@dataclass
class Options:
    """The size of the network and the noise level; the defaults are the published network."""

    name: str = "winnet"
    """Which backbone this is."""
    sigma: float = 0.1
    """Standard deviation of the noise in [0, 1], which is known to the network."""
    steps: int = 4
    """Lifting steps; >= 1."""
    features: int = added(32)
    """Channels inside the lifting steps' networks; >= 1."""
    blocks: int = 4
    """Residual blocks in each network of a lifting step; >= 1."""
    code: int = 64
    """Channels of the sparse code; >= 1."""
    iterations: int = 4
    """Thresholdings of the sparse code; >= 1."""
    opponent: bool = added(False)
    """Denoise three colours as their mean and two differences instead of one by one. White noise
    stays white and of the same σ, but each detail that colours share is looked for only once."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and 0 <= self.sigma <= 1):
            raise ValueError(f"sigma={self.sigma}: allowed are numbers in [0, 1]")
        for key in ("steps", "features", "blocks", "code", "iterations"):
            if (value := getattr(self, key)) < 1:
                raise ValueError(f"{key}={value}: allowed are whole numbers >= 1")


class SoftThreshold(nn.Module):
    """sign(x)·max(|x| − t, 0) with a learned t ≥ 0 for each channel, proportional to the noise."""

    def __init__(self, channels: int, sigma: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(-0.1 * torch.rand(1, channels, 1, 1))
        self.level = sigma * 255 / 50
        """Noise relative to a standard deviation of 50 grey levels of 255."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, channels, H, W]."""
        threshold = F.softplus(self.theta, beta=SHARPNESS) * self.level
        return x.sign() * F.relu(x.abs() - threshold)


def _convolution(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, padding=1, bias=False)


class Separable(nn.Module):
    """A 5×5 convolution of each channel, a 1×1 convolution over them, a soft threshold."""

    def __init__(self, features: int, sigma: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(features, features, 5, padding=2, groups=features, bias=False),
            nn.Conv2d(features, features, 1, bias=False),
            SoftThreshold(features, sigma),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, features, H, W] -> [B, features, H, W]."""
        return self.layers(x)


class Residual(nn.Module):
    """x + two separable convolutions of it."""

    def __init__(self, features: int, sigma: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(Separable(features, sigma), Separable(features, sigma))

    def forward(self, x: Tensor) -> Tensor:
        """[B, features, H, W] -> [B, features, H, W]."""
        return x + self.layers(x)


class Predictor(nn.Module):
    """From coarse to detail channels or back; it starts at zero, so that lifting does nothing."""

    def __init__(self, inside: int, outside: int, options: Options) -> None:
        super().__init__()
        features, sigma = options.features, options.sigma
        self.layers = nn.Sequential(
            _convolution(inside, features),
            SoftThreshold(features, sigma),
            *(Residual(features, sigma) for _ in range(options.blocks)),
        )
        self.last = _convolution(features, outside)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inside, H, W] -> [B, outside, H, W]."""
        return self.last(self.layers(x))


class SparseCode(nn.Module):
    """Convolutional LISTA: details to a sparse code and back, A and S shared by all iterations."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.analysis = _convolution(DETAILS, options.code)
        self.thresholds = nn.ModuleList(
            SoftThreshold(options.code, options.sigma) for _ in range(options.iterations)
        )
        self.synthesis = _convolution(options.code, DETAILS)

    def forward(self, details: Tensor) -> Tensor:
        """[B, DETAILS, H, W] -> denoised, of the same shape."""
        first, *others = self.thresholds
        code = first(self.analysis(details))
        for threshold in others:
            code = threshold(code + self.analysis(details - self.synthesis(code)))
        return self.synthesis(code)

    def penalty(self) -> Tensor:
        """‖S∗A − δ‖², 0 where the synthesis of an analysis is the identity."""
        impulses = torch.eye(DETAILS, device=self.analysis.weight.device)[..., None, None]
        response = self.synthesis(self.analysis(F.pad(impulses, (2, 2, 2, 2))))
        return (response - F.pad(impulses, (2, 2, 2, 2))).square().sum()


class WINNet(nn.Module):
    """Split, lift, denoise the details, undo the lifting, join."""

    filters: Tensor
    colours: Tensor

    def __init__(self, outputs: int, options: Options, scale: int) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, require_scale(scale)
        self.opponent = options.opponent and outputs == len(OPPONENT)
        self.register_buffer("filters", _dct())
        self.register_buffer("colours", _opponent(), persistent=False)
        self.code = SparseCode(options)
        # in the order of the inverse, which ends with the last of them
        self.update = nn.ModuleList(Predictor(DETAILS, 1, options) for _ in range(options.steps))
        self.predict = nn.ModuleList(Predictor(1, DETAILS, options) for _ in range(options.steps))

    def forward(self, x: Tensor) -> Tensor:
        """Degraded [B, inputs, H, W] in [0, 1] -> enhanced [B, outputs, scale·H, scale·W].

        Not clamped.
        """
        image = skipped(x, self.outputs, self.scale)
        planes = _turned(image, self.colours) if self.opponent else image
        coarse, details = self.lifted(planes.flatten(0, 1)[:, None])
        denoised = self.lowered(coarse, self.code(details)).view_as(image)
        return _turned(denoised, self.colours.T) if self.opponent else denoised

    def lifted(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """[N, 1, H, W] -> coarse [N, 1, H, W] and details [N, DETAILS, H, W]."""
        bordered = F.pad(image, (1, 2, 1, 2), mode="replicate")
        coarse, details = F.conv2d(bordered, self.filters).split((1, DETAILS), dim=1)
        for predict, update in zip(reversed(self.predict), reversed(self.update), strict=True):
            details = details - predict(coarse)
            coarse = coarse + update(details)
        return coarse, details

    def lowered(self, coarse: Tensor, details: Tensor) -> Tensor:
        """The inverse of `lifted`, exact but for the pixels that the filters' border touches."""
        for predict, update in zip(self.predict, self.update, strict=True):
            coarse = coarse - update(details)
            details = details + predict(coarse)
        channels = torch.cat([coarse, details], dim=1)
        bordered = F.pad(channels, (2, 1, 2, 1), mode="replicate")
        joined = F.conv2d(bordered, self.filters.flip(2, 3).transpose(0, 1))
        return joined / SIDE**2

    def penalty(self) -> Tensor:
        """What the loss has besides the image's error; per pixel, as the main loss is."""
        predictors = [*self.predict, *self.update]
        norms = [norm for predictor in predictors for norm in _spectral_norms(predictor)]
        spectral = torch.stack(norms).sum() / len(predictors)
        weighted = CODE_WEIGHT * self.code.penalty() + SPECTRAL_WEIGHT * spectral
        return weighted / (PIXELS / 2)


def _spectral_norms(network: nn.Module) -> list[Tensor]:
    """The largest singular value of each convolution's weights, output channels × the rest."""
    weights = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return [torch.linalg.matrix_norm(weight.flatten(1), ord=2) for weight in weights]


def _opponent() -> Tensor:
    """Orthonormal [3, 3]: what colours have in common, then their differences (CBM3D's space)."""
    return F.normalize(torch.tensor(OPPONENT), dim=1)


def _turned(image: Tensor, colours: Tensor) -> Tensor:
    """[B, 3, H, W] in another colour space, whose axes are the rows of `colours` [3, 3]."""
    return torch.einsum("oc,bchw->bohw", colours, image)


def _dct() -> Tensor:
    """The orthonormal DCT-II's products, [SIDE², 1, SIDE, SIDE], the constant one first."""
    places = torch.arange(SIDE, dtype=torch.float64)
    waves = torch.cos(math.pi / SIDE * places[:, None] * (places + 0.5))
    waves *= torch.where(places == 0, 1 / SIDE, 2 / SIDE).sqrt()[:, None]
    products = torch.einsum("iy,jx->ijyx", waves, waves)
    return products.reshape(SIDE**2, 1, SIDE, SIDE).float()


def build(options: Options, channels: int, scale: int = 1, inputs: int | None = None) -> nn.Module:
    """The network; parameters and errors are those of `srresnet.build`.

    Where input and output differ in their channels, the mean of the input's is denoised.
    """
    return WINNet(channels, options, scale)
