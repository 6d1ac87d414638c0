"""The registry of metrics: what each is called, how it is printed, ranked and pooled.

A *family* is a module of `gradprom.metrics`, or of `gradprom_plugins.metrics` wherever that is on
`sys.path`, that has a tuple `METRICS`: the only place of a metric's title, unit, digits, direction
and pooling rule. Nothing here imports torch.
"""

import functools
import importlib
import math
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradprom.errors import ConfigError

Array = NDArray[np.float64]
Table = Mapping[str, Any]
"""A table of images: its columns of numbers by name, [images] each."""
Score = Callable[[Table, Array], Array]
"""From a table and weights [..., images] to scores [...]."""

PACKAGES = ("gradprom.metrics", "gradprom_plugins.metrics")
"""The packages of families; one that does not exist has none."""
DEGRADED = "degraded_"
"""Prefix of the columns and scores of the degraded input itself."""
RECOGNIZED_DEGRADED, RECOGNIZED_CLEAN = "pretrained_on_degraded_", "pretrained_on_clean_"
"""Prefixes of columns and scores of recognizers as pre-trained, on degraded and clean images."""
LEFT_OUT = "_left_out"
"""Suffix of a score's number of images that it leaves out, such as `psnr_left_out`."""
NO_NUMBER = "–"
"""Stands where there is no number, or one that is not finite."""


def _of_no_image(table: Table, weights: Array) -> Array:
    raise TypeError("this is a metric of training: it has no table of images")


@dataclass(frozen=True)
class Metric:
    """One score: what it is called, how it is printed and ranked, and how images pool into it."""

    name: str
    """Its name in columns, records and experiments, such as `psnr`."""
    title: str
    """Its title in tables and in published numbers, such as `PSNR`."""
    unit: str = ""
    """Such as `dB`; empty for shares and counts."""
    digits: int = 3
    """Decimals of a mean in tables."""
    better: Literal["higher", "lower", ""] = "higher"
    """Which direction is better; empty: neither, and the metric is not ranked, tuned or claimed."""
    score: Score = _of_no_image
    """The score if image i counts `weights[..., i]` times, for means and the bootstrap alike; NaN
    if the weights leave nothing to score."""
    columns: tuple[str, ...] = ()
    """Columns that a table of images must have; the first of numbered ones, such as `union_0`."""
    source: Literal["images", "training"] = "images"
    """Whether it is a score of images, or the mean over tasks of values logged in training."""
    main: bool = True
    """Whether it is shown by default: in tables of sweeps, on the page, in tuning."""
    label: str = ""
    """The full name, such as `accuracy`, if the title abbreviates it; empty: the title."""
    protocol: str = ""
    """A sentence for the card of an exported run: how it is measured."""
    baseline: str = ""
    """The metric that is shown wherever this one is: the score of a trivial answer to the same
    images, such as the share of the most frequent class; empty: none."""
    std_digits: int | None = None
    """Decimals of a published ± if they differ from those of the mean."""
    log: bool = False
    """Whether plots use a logarithmic axis for it."""
    brief: str = "{:.3g}"
    """Its short format, such as `{:.0%}`."""
    side: int = 1
    """Least height and width, in pixels, of an image that it can score."""
    logged: bool = False
    """Whether progress lines and training curves show values logged under its name."""

    @property
    def full_title(self) -> str:
        """Its full name, such as `accuracy`."""
        return self.label or self.title

    @property
    def axis(self) -> str:
        """Its name with its unit, such as `PSNR, dB`."""
        return f"{self.full_title}, {self.unit}" if self.unit else self.full_title

    @property
    def sign(self) -> int:
        """1, or -1 if lower is better: turns a difference into a gain."""
        return -1 if self.better == "lower" else 1

    def number(self, value: float) -> str:
        """A value with its digits, such as `24.610`; `–` if it is not finite."""
        return f"{value:.{self.digits}f}" if math.isfinite(value) else NO_NUMBER

    def text(self, value: float) -> str:
        """A value with its digits and unit, such as `24.610 dB`; `–` if it is not finite."""
        return f"{self.number(value)} {self.unit}".strip() if math.isfinite(value) else NO_NUMBER

    def brief_text(self, value: float) -> str:
        """A value in its short format, such as `71%`; `–` if it is not finite."""
        return self.brief.format(value) if math.isfinite(value) else NO_NUMBER

    def fits(self, table: Table) -> bool:
        """Whether a table of images has its columns."""
        return self.source == "images" and all(column in table for column in self.columns)

    def left_out(self, table: Table) -> int:
        """How many images of a table its score leaves out because their value is infinite."""
        count = getattr(self.score, "left_out", None)
        return count(table) if count else 0

    def logs(self, column: str) -> bool:
        """Whether a column of a history is this metric's: `gate`, or `gate_<task>`."""
        return column == self.name or column.startswith(f"{self.name}_")

    def of_training(self, training: Mapping[str, float]) -> float | None:
        """The mean over tasks of a record's `training`; None if it was not logged."""
        values = [v for k, v in training.items() if k.startswith(f"{self.name}_")]
        return sum(values) / len(values) if values else None


def discover(packages: Sequence[str] = PACKAGES) -> dict[str, Metric]:
    """The metrics of all families of these packages, in the order in which they are shown.

    Raises
    ------
    ConfigError
        If two families define one name, or a metric's baseline does not exist.
    """
    families = [module for package in packages for module in _families(package)]
    families.sort(key=lambda module: (getattr(module, "ORDER", 100), module.__name__))
    metrics: dict[str, Metric] = {}
    for family in families:
        for metric in family.METRICS:
            if metric.name in metrics:
                raise ConfigError(f"{family.__name__}: metric {metric.name} is defined twice")
            metrics[metric.name] = metric
    for metric in metrics.values():
        if metric.baseline and metric.baseline not in metrics:
            raise ConfigError(f"metric {metric.name}: there is no baseline {metric.baseline}")
    return metrics


def _families(package: str) -> list[ModuleType]:
    try:
        path = importlib.import_module(package).__path__
    except ModuleNotFoundError as error:
        if error.name is None or not package.startswith(error.name):
            raise
        return []
    modules = [importlib.import_module(f"{package}.{m.name}") for m in pkgutil.iter_modules(path)]
    return [module for module in modules if isinstance(getattr(module, "METRICS", None), tuple)]


class _Metrics(Mapping[str, Metric]):
    """The metrics by name, discovered at the first access."""

    @functools.cached_property
    def _by_name(self) -> dict[str, Metric]:
        return discover()

    def __getitem__(self, name: str) -> Metric:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


METRICS: Mapping[str, Metric] = _Metrics()
"""Every metric by name, in the order in which they are shown."""


def metric(name: str) -> Metric:
    """The metric of a name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name not in METRICS:
        raise ConfigError(f"unknown metric {name}; choose from {', '.join(METRICS)}")
    return METRICS[name]


def main_metrics(source: str = "images") -> list[Metric]:
    """The metrics of images (or of `training`) that are shown by default."""
    return [metric for metric in METRICS.values() if metric.main and metric.source == source]


def with_baselines(metrics: Iterable[Metric]) -> list[Metric]:
    """The metrics, each followed by its baseline; each once."""
    names = [name for metric in metrics for name in (metric.name, metric.baseline) if name]
    return [METRICS[name] for name in dict.fromkeys(names)]


def ranked() -> tuple[str, ...]:
    """Names of the metrics that have a better direction."""
    return tuple(metric.name for metric in METRICS.values() if metric.better)


def tunable() -> tuple[str, ...]:
    """Names of the metrics that a tuning can optimize; validation logs these."""
    return tuple(metric.name for metric in main_metrics() if metric.better)


def require_size(names: Iterable[str], height: int, width: int) -> None:
    """Check that images are large enough for some metrics.

    Raises
    ------
    ValueError
        If they are not.
    """
    for metric in (METRICS[name] for name in names):
        if min(height, width) < metric.side:
            raise ValueError(
                f"images of {height}×{width} pixels are too small: {metric.title} needs at least "
                f"{metric.side}×{metric.side}"
            )


def scores(table: Table) -> dict[str, float]:
    """Every score whose columns a table of images has, the method's own last.

    Those of the degraded input, and of recognizers as pre-trained, are the same metrics, of the
    columns with their prefix. A score that leaves images out is followed by their number, such as
    `psnr_left_out`.
    """
    means: dict[str, float] = {}
    for prefix in (DEGRADED, RECOGNIZED_DEGRADED, RECOGNIZED_CLEAN, ""):
        part = {c.removeprefix(prefix): table[c] for c in table if c.startswith(prefix)}
        for name, metric in METRICS.items():
            if metric.fits(part):
                ones = np.ones(len(part[metric.columns[0]]))
                means[f"{prefix}{name}"] = float(metric.score(part, ones))
                if left_out := metric.left_out(part):
                    means[f"{prefix}{name}{LEFT_OUT}"] = left_out
    return means
