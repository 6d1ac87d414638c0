"""Iterative solvers of inverse problems y = A x + noise, with a network as prior.

`fixed_point` iterates what `iterations` and `admm` have, until each image has converged.
"""

from gradprom.solvers.admm import ADMM
from gradprom.solvers.anderson import Anderson
from gradprom.solvers.fixed_point import Iteration, Solution, Stopping, fixed_point
from gradprom.solvers.iterations import AdamDescent, ForwardBackward, GradientDescent
from gradprom.solvers.problem import Problem

__all__ = [
    "ADMM",
    "AdamDescent",
    "Anderson",
    "ForwardBackward",
    "GradientDescent",
    "Iteration",
    "Problem",
    "Solution",
    "Stopping",
    "fixed_point",
]
