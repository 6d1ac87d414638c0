"""The errors that reach a person as one sentence instead of a traceback."""

from collections.abc import Sequence
from typing import Any


class GradpromError(Exception):
    """Something a person can put right; the message says what was wrong and what is allowed."""


class ConfigError(GradpromError):
    """The configuration asks for something that cannot be run."""


class DataError(GradpromError):
    """The data on disk are not what the dataset expects; every offender is listed."""


class RunError(GradpromError):
    """A run, record or checkpoint cannot be used as asked."""


class Pruned(RunError):
    """A tuning has given a run up, because it fell behind the others."""


class NotWritable(RunError):
    """There is no room for a result, or no permission: nothing is wrong with the run itself."""


class NotServed(ConfigError):
    """The dataset lacks what a configuration asks of it: labels, masks, or channels."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def listed(names: Sequence[Any], most: int) -> str:
    """The first names of a list that may be long, such as `a, b and 3 more`."""
    more = len(names) - most
    return ", ".join(map(str, names[:most])) + (f" and {more} more" if more > 0 else "")
