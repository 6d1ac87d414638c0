"""The search space: keys of the configuration, each with values in Hydra's sweep syntax."""

import itertools
from collections.abc import Iterator
from typing import Any, cast

from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    RangeSweep,
    Sweep,
)
from hydra.errors import HydraException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from gradprom.errors import ConfigError, first_line
from gradprom.experiments.overrides import parse

Space = dict[str, BaseDistribution]
Params = dict[str, Any]
"""One value for each key of a space."""

CORNERS = 64
"""The largest number of corners of a space that are composed before training starts."""
_TASK = ("dataset", "degradation", "evaluation", "evaluate_on", "noise", "scale", "seed")
"""Keys of the task or of chance: the easiest task, or the luckiest seed, is not a finding."""
_RUN = ("experiment", "tune", "validation", "sweep", "study", "results", "data_root", "logger")


def read(texts: dict[str, str]) -> Space:
    """The values of each key, from Hydra's sweep syntax.

    `choice(a,b)` or `a,b` is one of these, `interval(low,high)` any number in between,
    `range(start,stop,step)` one of those that Hydra would sweep over; `tag(log, …)` samples the
    logarithm uniformly, `int(interval(…))` takes whole numbers.

    Parameters
    ----------
    texts
        The text of each key's values.

    Raises
    ------
    ConfigError
        For a key that cannot be tuned, or a text that is not a sweep.
    """
    if not texts:
        raise ConfigError("tune.space is empty: there is nothing to search")
    return {key: _distribution(key, text) for key, text in texts.items()}


def corners(space: Space) -> list[Params]:
    """The combinations of each key's lowest and highest value, or of all its choices."""
    ends = [
        d.choices if isinstance(d, CategoricalDistribution) else (d.low, d.high)
        for d in cast(list[Any], list(space.values()))
    ]
    combinations = (dict(zip(space, values, strict=True)) for values in itertools.product(*ends))
    return list(itertools.islice(combinations, CORNERS))


def overrides(params: Params) -> list[str]:
    """The parameters as `key=value` overrides."""
    return [f"{key}={value}" for key, value in params.items()]


def canonical(space: Space) -> dict[str, list[Any]]:
    """The space as plain values, whichever syntax it was written in."""
    return {
        key: [type(values).__name__, *sorted(vars(values).items())] for key, values in space.items()
    }


def _distribution(key: str, text: str) -> BaseDistribution:
    setting = f"tune.space: {key}={text}"
    top = key.lstrip("+~").replace("/", ".").split(".")[0]
    if top in _TASK:
        raise ConfigError(
            f"{setting}: {top} belongs to the task or to chance and cannot be tuned; give it one "
            f"value, and tune each value in a separate command"
        )
    if top in (*_RUN, "hydra"):
        raise ConfigError(f"{setting}: {key} cannot be tuned")
    try:
        override = parse([f"{key}={text}"])[0]
    except ConfigError as error:
        raise ConfigError(f"tune.space: {error}") from error
    except HydraException as error:
        raise ConfigError(f"{setting}: {first_line(error)}") from error
    try:
        return _of_sweep(override)
    except ValueError as error:
        raise ConfigError(f"{setting}: {first_line(error)}") from error


def _of_sweep(override: Override) -> BaseDistribution:
    """The distribution of a sweep; ValueError for one that Optuna cannot sample from."""
    sweep = override.value()
    unknown = sweep.tags - {"log"} if isinstance(sweep, Sweep) else set()
    if unknown:
        raise ValueError(f"the tag {', '.join(sorted(unknown))} is unknown; allowed is log")
    if isinstance(sweep, ChoiceSweep | Glob):
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    if isinstance(sweep, IntervalSweep):
        low, high, log = sweep.start, sweep.end, "log" in sweep.tags
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log)
        return FloatDistribution(cast(float, low), cast(float, high), log)
    if isinstance(sweep, RangeSweep):
        values = list(cast(Iterator[Any], sweep.range()))
        step = abs(sweep.step) if len(values) > 1 else 1
        return _of_range(values, step, "log" in sweep.tags)
    raise ValueError("allowed are sweeps: choice(…), range(…), interval(…) or tag(log, …)")


def _of_range(values: list[Any], step: Any, log: bool) -> BaseDistribution:
    low, high = min(values), max(values)
    if all(isinstance(value, int) for value in values):
        return IntDistribution(low, high, log, step)
    return FloatDistribution(float(low), float(high), log, float(step))
