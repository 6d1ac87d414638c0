"""What the network that restores a run's images costs: its parameters and multiply-adds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a report imports torch only where it counts
    from gradprom.methods.base import Method

SIDE = 256
"""Of the square restored image, in pixels, whose multiply-adds are counted."""


@dataclass(frozen=True)
class Cost:
    """The cost of a network."""

    parameters: int
    """All of them, whether they are trained or not."""
    multiply_adds: float
    """Those of convolutions and matrix products for one restored image of 256×256 pixels; of all
    passes, where a method takes several."""


def cost(method: "Method") -> Cost | None:
    """The cost of the network that a method restores images with; None if it has none.

    Counted on a network without memory (the device `meta`), so that no weights are needed. None
    also for a network that cannot be computed there.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    config, description = method.config, method.describe()
    side = SIDE // config.degradation.scale
    try:
        with torch.device("meta"):
            networks = method.build_networks()
            images = torch.empty(1, config.facts.inputs, side, side)
        restorer = networks[description.restorer or description.network or next(iter(networks))]
        parameters = sum(parameter.numel() for parameter in restorer.parameters())
        if "psnr" not in method.metrics() or not parameters:
            return None
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            restorer.eval()(*method.restorer_arguments(images))
    except (NotImplementedError, RuntimeError):
        return None
    return Cost(parameters, description.passes * counter.get_total_flops() / 2)
