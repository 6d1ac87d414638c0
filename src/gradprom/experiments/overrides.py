"""Overrides as Hydra takes them: a list of `key=value` texts for each run.

Hydra's own parser, with two differences: `glob(…)` is expanded without a running Hydra, for
experiments too, and `range(…)` counts in decimals, as it is written: Hydra's gives
0.30000000000000004 for 0.3, and includes or leaves out the end by the last bit of a float.
Words that stand for nothing are an error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep
from hydra.errors import HydraException

from gradprom.config.folders import choices
from gradprom.errors import ConfigError
from gradprom.experiments import papers

OverrideList = list[str]
"""The overrides of one run as typed on the command line, `key=value` each."""


def parse(texts: Sequence[str]) -> list[Override]:
    """Parse overrides of the command line.

    Raises
    ------
    HydraException
        For a text that is not an override.
    ConfigError
        For a sweep without a value, or a word of `glob(…)` that matches nothing.
    """
    loader: Any = _Choices()
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(texts))
    for override in overrides:
        value = override.value()
        if isinstance(value, Glob):
            _require_matches(override, value)
        if isinstance(value, RangeSweep):
            override._value = _Range(**{f.name: getattr(value, f.name) for f in fields(value)})
        if override.is_discrete_sweep() and not values_of(override):
            raise ConfigError(f"{override.input_line} has no value")
    return overrides


class _Choices:
    """What the parser asks of Hydra's loader: the names that `glob(…)` chooses from."""

    def get_group_options(self, group_name: str, **_: Any) -> list[str]:
        return papers.names() if group_name == "experiment" else choices(group_name)


def _require_matches(override: Override, glob: Glob) -> None:
    names = _Choices().get_group_options(override.key_or_group)
    if not names:
        raise ConfigError(
            f"{override.input_line}: glob(…) chooses files of a group, and "
            f"{override.key_or_group} is not a group"
        )
    for pattern in (*glob.include, *glob.exclude):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"{override.input_line}: {pattern} matches none of {', '.join(names)}"
            )


@dataclass
class _Range(RangeSweep):
    """Hydra's `range(start, stop, step)`, `stop` excluded, computed in decimals."""

    def range(self) -> Any:
        numbers = [self.start, self.stop, self.step]
        if all(isinstance(number, int) for number in numbers):
            return super().range()
        return _decimals(*(Decimal(str(number)) for number in numbers))


def _decimals(start: Decimal, stop: Decimal, step: Decimal) -> Iterator[float]:
    if not step:
        raise HydraException(f"Invalid range values (start:{start}, stop:{stop}, step:{step})")
    value = start
    while value < stop if step > 0 else value > stop:
        yield float(value)
        value += step


def key_of(override: Override) -> str:
    """`noise` of `noise=0.1`, `+noise=0.1` or `~noise`."""
    return override.get_key_element().lstrip("+~")


def values_of(override: Override) -> list[str]:
    """The values of an override as typed; several if it is a sweep."""
    if override.is_sweep_override():
        return [str(text) for text in override.sweep_string_iterator()]
    return [str(override.get_value_element_as_str())]


def patterns_of(override: Override) -> list[str]:
    """The patterns of `glob(…)` of which something is not excluded; none for other values."""
    value = override.value()
    if not isinstance(value, Glob):
        return []
    names = _Choices().get_group_options(override.key_or_group)
    return [word for word in value.include if Glob([word], value.exclude).filter(names)]


def override_text(key: str, value: Any) -> str:
    """`key=value`, as Hydra reads it."""
    if isinstance(value, list):
        return f"{key}=[{','.join(map(str, value))}]"
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"
