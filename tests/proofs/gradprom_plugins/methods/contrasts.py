"""One contrast from several: any backbone, from the stored contrasts to the one that is missing."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom import metrics
from gradprom.config import Config, batch_reads
from gradprom.data.batches import Batches
from gradprom.data.loader import Batch
from gradprom.errors import NotServed
from gradprom.methods.backbone import build_backbone
from gradprom.methods.base import Description, Method
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions
from gradprom.training.stage import Stage, Start


@dataclass
class Options:
    """How long and how the network is trained."""

    name: str = "contrasts"
    epochs: int = 10
    optimizer: OptimizerOptions = field(default_factory=lambda: OptimizerOptions(lr=1e-3))


def check(config: Config) -> None:
    """Refuse a dataset of one contrast."""
    facts = config.facts
    if facts.inputs <= facts.channels:
        raise NotServed(
            f"method=contrasts makes one image of several and dataset={config.dataset.name} has "
            f"inputs of {facts.inputs} channel(s) for {facts.channels}"
        )


class Contrasts(Method):
    """See the module's text."""

    def stage(self) -> Stage:
        """The one training there is."""
        c, own = self.config, self.config.method
        reads = {
            **batch_reads(c),
            "degradation": c.degradation,
            "backbone": c.backbone,
            "method": {"optimizer": own.optimizer},
        }
        batches = Batches(c.trainer.batch_size, c.degradation, c.trainer.augment)
        return Stage(
            "contrasts",
            own.epochs,
            c.seed,
            reads,
            batches=batches,
            begin=lambda start: Synthesis(c, build_backbone(c, fresh=True), start),
        )

    def describe(self) -> Description:
        """The network and its training."""
        c = self.config
        return Description(
            title=f"One contrast from {c.facts.inputs} ({c.backbone.name})",
            parts={
                "network": f"{c.backbone.name}, {c.facts.inputs} channels to {c.facts.channels}",
                "epochs": f"{c.method.epochs}, batches of {c.trainer.batch_size}",
            },
        )

    def metrics(self) -> tuple[str, ...]:
        """Those of images."""
        return metrics.USUAL

    def build_networks(self) -> dict[str, nn.Module]:
        """The backbone alone."""
        return {"network": build_backbone(self.config, fresh=False)}

    @torch.no_grad()
    def enhance(self, images: Tensor) -> Tensor:
        """All contrasts [B, inputs, H, W] to the missing one."""
        return self.networks["network"](images).clamp(0, 1)

    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """The usual measures."""
        assert restored is not None
        return metrics.measure(restored, batch.target)


class Synthesis(NetworkTraining):
    """Absolute errors, step by step."""

    def __init__(self, config: Config, network: nn.Module, start: Start):
        own = config.method
        steps = own.epochs * start.epoch_steps
        networks, options = {"network": network}, {"network": own.optimizer}
        super().__init__(Networks(networks, options, config.trainer, start.device, steps))

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        made = self.networks["network"](batch.input)
        loss, finite = self.networks.backward(F.l1_loss(made, batch.target))
        return {"loss_main": loss, "finite": finite}


build = Contrasts
