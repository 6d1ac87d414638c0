"""Metrics of an iterative solver at test time, image by image.

A method's columns: `iterations`, and `converged` (1 where the solver met its tolerance, else 0).
"""

from gradprom.metrics.pooling import mean
from gradprom.metrics.registry import Metric

METRICS = (
    # fewer are cheaper, not better: a solver that stops too early takes the fewest
    Metric(
        "iterations",
        "iterations",
        digits=1,
        better="",
        score=mean("iterations"),
        columns=("iterations",),
    ),
    Metric("converged", "converged", score=mean("converged"), columns=("converged",)),
)
