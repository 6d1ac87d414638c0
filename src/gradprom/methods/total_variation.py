"""Total variation for any inverse problem, with its operator and its data term: nothing is learned.

What trained priors are compared to. The best weight depends on the problem: sweep it on images that
are not those of the test.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradprom import metrics
from gradprom.config import Config, Trainer, split_reads
from gradprom.data.batches import Batches
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch
from gradprom.methods.base import Description, Method
from gradprom.methods.classical import Untrained
from gradprom.solvers import Problem, Solution, Stopping, fixed_point
from gradprom.solvers.total_variation import TotalVariation
from gradprom.training.networks import Networks
from gradprom.training.stage import Stage, Start


@dataclass
class Options:
    """The weight, and when an image stops."""

    name: str = "total_variation"
    weight: float = 0.003
    """Of the total variation, > 0; images are in [0, 1]."""
    iterations: int = 500
    """At most."""
    tolerance: float = 1e-9
    """An image stops where the mean square of its step is smaller."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"weight={self.weight}: allowed are numbers > 0")
        Stopping(self.iterations, self.tolerance)


def check(config: Config) -> None:
    """Any degradation will do: all have an operator."""


class Untouched(nn.Module):
    """Stands for the network that there is not; a run stores the weights of one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("nothing", torch.zeros(1))


class Variation(Method):
    """A solver; its stage has no epochs, and its id no seed."""

    def __init__(self, config: Config):
        super().__init__(config)
        assert isinstance(config.method, Options)
        self.options = config.method
        self.solution: Solution | None = None
        """Of the images restored last."""

    def stage(self) -> Stage:
        """Nothing is trained."""
        c = self.config
        reads = {"dataset": c.dataset, "method": {"name": self.options.name}, **split_reads(c)}
        batches = Batches(8, None, augment=False)  # none is drawn

        def begin(start: Start) -> Untrained:
            return Untrained(Networks(self.build_networks(), {}, Trainer(), start.device, 0))

        return Stage("total_variation", 0, 0, reads, batches=batches, begin=begin)

    def evaluation_reads(self) -> dict[str, Any]:
        """The problem, and how it is solved."""
        own = self.options
        solver = {key: getattr(own, key) for key in ("weight", "iterations", "tolerance")}
        return {"degradation": self.config.degradation, "method": solver}

    def describe(self) -> Description:
        """The solver."""
        own = self.options
        return Description(
            f"Total variation (weight {own.weight:g})",
            parts={"solver": f"total variation, at most {own.iterations} iterations"},
        )

    def metrics(self) -> tuple[str, ...]:
        """Those of images, and how the solver fared."""
        return (*metrics.USUAL, "iterations", "converged")

    def build_networks(self) -> dict[str, nn.Module]:
        """A placeholder."""
        return {"none": Untouched()}

    @torch.no_grad()
    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor:
        """The solver's last estimate, clamped to [0, 1]."""
        observation, own = batch.observation, self.options
        assert observation is not None
        sigma = observation.sigma().to(batch.input)
        problem = Problem(observation.prepared(), batch.input, sigma)
        weight = torch.full_like(problem.level, own.weight)
        stopping = Stopping(own.iterations, own.tolerance)
        self.solution = fixed_point(TotalVariation(problem, weight), problem.start(), stopping)
        return self.solution.estimate.clamp(0, 1)

    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """Scores of the last estimate, not clamped, as those of priors; and of the solver."""
        assert self.solution is not None
        return {
            **metrics.measure(self.solution.estimate, batch.target),
            "iterations": self.solution.iterations.float(),
            "converged": self.solution.converged.float(),
        }


build = Variation
