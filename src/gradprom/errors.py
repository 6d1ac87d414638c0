"""The errors that are reported as one sentence instead of a traceback."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

MOST_LINES = 10
"""Most offenders that a message shows."""


class GradpromError(Exception):
    """An error that the user can fix; the message says what is wrong and what is allowed."""


class ConfigError(GradpromError):
    """The configuration asks for something that cannot be run."""


class DataError(GradpromError):
    """The data on disk are not what the dataset expects; wrong files are named."""


class NotOnDisk(DataError):
    """A dataset's files are not where they were looked for."""


class RunError(GradpromError):
    """A run, record or checkpoint cannot be used as requested."""


class Pruned(RunError):
    """A tuning has stopped a run because its scores fell behind those of others."""


class NotWritable(RunError):
    """A result cannot be written for lack of space or permission; the run itself has not failed."""


class NotServed(ConfigError):
    """The dataset lacks what a configuration needs: labels, masks, or channels.

    Tables leave out the cells that need it; a run that was asked for by itself is refused.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def listed(names: Sequence[Any], most: int) -> str:
    """The first `most` names of a list, such as `a, b and 3 more`."""
    more = len(names) - most
    return ", ".join(map(str, names[:most])) + (f" and {more} more" if more > 0 else "")


def in_lines(items: Iterable[Any], most: int = MOST_LINES) -> str:
    """The items of a message, each on a line of its own; of many the first, and how many more."""
    everything = iter(items)
    shown = "".join(f"\n  {item}" for item in islice(everything, most))
    more = sum(1 for _ in everything)
    return shown + (f"\n  … and {more} more" if more else "")
