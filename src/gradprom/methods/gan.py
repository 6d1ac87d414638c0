"""A GAN that restores images: L1 loss of pixels and feature matching (Eq. 1, 2 and 4 of Task-GAN).

The comparison "GAN without task network". The discriminator learns to tell clean images from
restored ones. The generator is not rewarded for deceiving it, but for images whose features in the
discriminator are those of clean ones (feature matching, Salimans et al. 2016).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom.config.checks import require_choice
from gradprom.data.loader import Batch
from gradprom.errors import ConfigError
from gradprom.methods import pixel
from gradprom.methods.base import Description
from gradprom.methods.pixel import Pixel, adam
from gradprom.models.discriminator import Discriminator, DiscriminatorOptions
from gradprom.training.optimization import OptimizerOptions
from gradprom.training.parallel import distributed
from gradprom.training.stage import Start

check = pixel.check


@dataclass
class Options(pixel.Options):
    """The weight of the game, and the discriminator, besides the generator's optimizer."""

    name: str = "gan"
    gan_weight: float = 0.01
    """λ of Eq. 4, the weight of the feature matching, >= 0."""
    expectation: str = "batch"
    """What feature matching compares: `batch`, the means over the batch (Eq. 2); `image`, each
    restored image with its own clean one, as in the first author's code."""
    discriminator: OptimizerOptions = field(default_factory=adam)
    network: DiscriminatorOptions = field(default_factory=DiscriminatorOptions)
    """The discriminator's size and its layer for feature matching."""

    def __post_init__(self) -> None:
        if not 0 <= self.gan_weight < float("inf"):
            raise ConfigError(f"method.gan_weight={self.gan_weight} must be a number >= 0")
        require_choice("method.expectation", self.expectation, ("batch", "image"))


class GAN(Pixel):
    """See the module's docstring."""

    title = "GAN"

    def begin(self, start: Start, networks: dict[str, nn.Module], epochs: int) -> "Training":
        """The training of these networks for some epochs."""
        return Training(self.config, networks, start, epochs)

    def describe(self) -> Description:
        """The discriminator too."""
        described, own = super().describe(), self.options
        size = f"{own.network.layers} layers from {own.network.channels}"
        described.parts["game"] = f"discriminator, {size}; λ {own.gan_weight:g}"
        return described

    def build_networks(self, fresh: bool = False) -> dict[str, nn.Module]:
        """Those of `pixel`, and the discriminator."""
        discriminator = Discriminator(self.config.facts.channels, self.options.network)
        return {**super().build_networks(fresh), "discriminator": discriminator}


class Training(pixel.Training):
    """One step of the discriminator, then one of the generator.

    Clean and restored images pass the discriminator as one batch: normalized each by themselves,
    they would lose what tells them apart.
    """

    def optimizers(self) -> dict[str, OptimizerOptions]:
        """The discriminator's too."""
        return {**super().optimizers(), "discriminator": self.options.discriminator}

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step of each network (Eq. 4)."""
        restored = self.networks["generator"](batch.input)
        watched, finite = self.discriminate(restored.detach(), batch.target)
        losses = {
            "pixel": F.l1_loss(restored, batch.target),
            "matching": self.matching(restored, batch.target),
        }
        losses["main"] = losses["pixel"] + self.options.gan_weight * losses["matching"]
        learned, also_finite = self.learn(losses, restored, batch, probe)
        names = ("main", "pixel", "matching")  # the first is shown while it trains
        logs = {f"loss_{name}": distributed.average(losses[name].detach()) for name in names}
        logs |= {**watched, **learned, **self.watched(restored, batch)}
        return {**logs, "finite": finite & also_finite}

    def discriminate(self, restored: Tensor, clean: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """A step of the discriminator towards D(x) = 1 and D(G(x̃)) = 0, by cross-entropy.

        Returns
        -------
        tuple
            What is logged, and whether all is finite, a 0-dim bool.
        """
        discriminator = self.networks["discriminator"].requires_grad_(True)
        real, made = discriminator(torch.cat([clean, restored])).chunk(2)
        loss = (F.softplus(-real) + F.softplus(made)).mean()
        loss.backward()
        [value], finite = self.networks.step([loss], ["discriminator"])
        # the generator's loss passes through it from here on, and leaves nothing in it
        discriminator.requires_grad_(False)
        right = ((real > 0).float() + (made < 0).float()).mean() / 2
        return {"loss_discriminator": value, "discriminated": distributed.average(right)}, finite

    def matching(self, restored: Tensor, clean: Tensor) -> Tensor:
        """L_GAN (Eq. 2), as a mean over features so that λ does not depend on their number."""
        features = self.networks["discriminator"].matched(torch.cat([clean, restored]))
        of_clean, of_restored = features.chunk(2)
        return matching_loss(of_clean, of_restored, self.options.expectation)

    def learn(
        self, losses: Mapping[str, Tensor], restored: Tensor, batch: Batch, probe: bool
    ) -> tuple[dict[str, Tensor], Tensor]:
        """A step of the generator on the loss `main`.

        Returns
        -------
        tuple
            What is logged besides the losses, and whether all is finite, a 0-dim bool.
        """
        losses["main"].backward()
        _, finite = self.networks.step([losses["main"]], ["generator"])
        return {}, finite


def matching_loss(clean: Tensor, restored: Tensor, expectation: str) -> Tensor:
    """Mean squared difference of features [B, K, h, w], of batch means or of each image; 0-dim.

    On several ranks the means are those of the whole batch.
    """
    if expectation == "batch":
        return distributed.average((restored - clean).mean(0)).square().mean()
    return F.mse_loss(restored, clean)


build = GAN
