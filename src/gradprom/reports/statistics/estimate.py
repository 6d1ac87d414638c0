"""Means and their spread over seeds."""

import math
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A mean over n runs; `std` is the sample standard deviation (ddof 1), None at n = 1."""

    mean: float
    std: float | None
    n: int

    def text(self, digits: int) -> str:
        """Such as `24.61 ± 0.03 (3)`, or `24.61 (1)` without a spread."""
        spread = "" if self.std is None else f" ± {self.std:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread} ({self.n})"


def estimate(values: list[float]) -> Estimate | None:
    """Estimate mean and sample standard deviation of the finite values; None if there are none."""
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Estimate(math.fsum(values) / len(values), std, len(values))
