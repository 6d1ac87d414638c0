"""How a prior restores test images: the solver, its options, and the network that it uses."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradprom.metrics import psnr
from gradprom.solvers import (
    ADMM,
    AdamDescent,
    ForwardBackward,
    GradientDescent,
    Iteration,
    Problem,
    Solution,
    Stopping,
    fixed_point,
)

SOLVERS = {"adam": "gradient", "descent": "gradient", "admm": "proximal", "forward": "proximal"}
"""The network that each solver uses."""
LEAST_LEVEL = 1e-3
"""The smallest σ that a problem is solved with: without noise there would be no regularizer."""


@dataclass
class SolverOptions:
    """How test images are restored."""

    name: str = "adam"
    """With G: `adam`, gradient descent with Adam's steps, or `descent`; with P: `admm` or
    `forward`, forward-backward."""
    step: float = 0.004
    """The step of all solvers but `admm`."""
    level: float | None = None
    """σ, whose square weighs the regularizer, in image units; None: that of each image's noise."""
    iterations: int = 1500
    """At most."""
    tolerance: float = 0.0
    """An image stops where the mean square of its step is smaller; 0: it does not."""
    turns: bool = True
    """Whether G sees the image in one of 8 orientations in turn."""

    def __post_init__(self) -> None:
        if self.name not in SOLVERS:
            raise ValueError(f"solver.name={self.name}: must be one of {', '.join(SOLVERS)}")
        if not self.step > 0:
            raise ValueError(f"solver.step={self.step}: allowed are numbers > 0")
        if self.level is not None and not 0 < self.level <= 1:
            raise ValueError(
                f"solver.level={self.level}: allowed are numbers above 0 and up to 1, or null for "
                f"the level of each image's noise"
            )
        Stopping(self.iterations, self.tolerance)


def psnr_by_step(
    options: SolverOptions, problem: Problem, network: nn.Module, clean: Tensor
) -> Tensor:
    """PSNR of each image in dB after each step of the solver, [steps + 1, B].

    The first estimate comes first; an image that has stopped keeps its last score.
    """
    estimate = problem.start().clone()
    scores = [psnr(estimate, clean)]

    def note(rows: Tensor, present: Tensor) -> None:
        estimate[rows] = present
        scores.append(psnr(estimate, clean))

    solve(options, problem, network, note)
    return torch.stack(scores)


@torch.no_grad()
def solve(
    options: SolverOptions,
    problem: Problem,
    network: nn.Module,
    watch: Callable[[Tensor, Tensor], None] | None = None,
) -> Solution:
    """Solve problems from the degradation's first estimate.

    Parameters
    ----------
    options
        The solver and its options.
    problem
        The problems of a batch.
    network
        The one that the solver uses (`SOLVERS`).
    watch
        As of `fixed_point`.
    """
    iteration: Iteration
    if options.name == "admm":
        iteration = ADMM(problem, network, options.iterations)
    elif options.name == "forward":
        iteration = ForwardBackward(problem, network, options.step)
    else:
        kind = AdamDescent if options.name == "adam" else GradientDescent
        iteration = kind(problem, network, options.step, options.turns)
    return fixed_point(
        iteration, problem.start(), Stopping(options.iterations, options.tolerance), watch
    )
