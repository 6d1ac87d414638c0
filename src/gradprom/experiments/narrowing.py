"""Narrow an experiment by overrides of the command line.

An override of a key that the experiment varies selects rows or columns; one of any other key
replaces it everywhere. `dataset` may also be one that the experiment does not have, to fill a
table with results on other data. Numbers are compared as ids compare them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import yaml

from gradprom.errors import ConfigError
from gradprom.experiments.declared import Column, Experiment, Row
from gradprom.experiments.settings import ResultOf, Settings
from gradprom.identity import canonical


def narrow(experiment: Experiment, overrides: dict[str, list[str]]) -> Experiment:
    """Apply overrides of the command line to an experiment.

    Parameters
    ----------
    experiment
        The experiment as declared.
    overrides
        The values of each key, as typed.

    Raises
    ------
    ConfigError
        If no cell is left, or a key that the experiment does not vary has several values.
    """
    for key, texts in overrides.items():
        values = [_parse(text) for text in texts]
        if key == "seed":
            experiment = replace(experiment, seeds=_seeds(values))
        elif _selects(experiment, key, values):
            experiment = _select(experiment, key, values)
        elif len(texts) == 1:
            experiment = _replace(experiment, key, texts[0])
        else:
            raise ConfigError(
                f"{key}={','.join(texts)}: experiment={experiment.name} does not vary {key}; "
                f"give it one value"
            )
    return experiment


@dataclass(frozen=True)
class Words:
    """What the command line says of one key: values, or patterns of `glob(…)`."""

    key: str
    texts: tuple[str, ...]
    are_patterns: bool = False

    def unused(self, cells: Sequence[Settings]) -> list[str]:
        """The words that no value of these cells fits."""
        values = [_comparable(cell[self.key]) for cell in cells if self.key in cell]
        if self.are_patterns:
            return [w for w in self.texts if not any(fnmatchcase(str(v), w) for v in values)]
        return [word for word in self.texts if _parse(word) not in values]


def require_used(
    declared: Sequence[Experiment], narrowed: Sequence[Experiment], words: Sequence[Words]
) -> None:
    """Check that each word selects something: that it is in a cell of some experiment.

    Parameters
    ----------
    declared, narrowed
        The experiments before `narrow`, and those that it left cells of.
    words
        What the command line says of each key.

    Raises
    ------
    ConfigError
        With the words of a key that select nothing, and the values that it has.
    """
    left = [cell for experiment in narrowed for cell in _told(experiment)]
    for said in words:
        unused = said.unused(left) if said.key != "seed" else []
        if not unused:
            continue
        names = ",".join(experiment.name for experiment in declared)
        everywhere = [cell for experiment in declared for cell in _told(experiment)]
        if unknown := said.unused(everywhere):
            raise ConfigError(_no_such_cell(said.key, unknown, names, everywhere))
        # a word of the table that the other words leave no cell of
        others = " ".join(f"{w.key}={','.join(w.texts)}" for w in words if w is not said)
        raise ConfigError(_no_such_cell(said.key, unused, names, left, f" with {others}"))


def _runnable(experiment: Experiment) -> list[Settings]:
    return [cell for row, _, cell in _cells(experiment) if not row.waits_for]


def _told(experiment: Experiment) -> list[Settings]:
    """The cells that a word can select; all of a table that waits as a whole."""
    return _runnable(experiment) or [cell for _, _, cell in _cells(experiment)]


def _parse(text: str) -> Any:
    """A value as Hydra reads it: as YAML does, but `1e-4` is a number."""
    value: Any = text
    with contextlib.suppress(ValueError, TypeError, yaml.YAMLError):
        value = yaml.safe_load(text)
        value = canonical(float(value) if isinstance(value, str) else value)
    return value


def _comparable(value: Any) -> Any:
    """A value as ids compare it: numbers to 12 significant digits."""
    if isinstance(value, str):
        return _parse(value)
    return value if isinstance(value, ResultOf) else canonical(value)


def _seeds(values: list[Any]) -> tuple[int, ...]:
    for value in values:
        if type(value) is not int or value < 0:
            raise ConfigError(f"seed={value} must be a whole number >= 0")
    return tuple(dict.fromkeys(values))


def _cells(experiment: Experiment) -> Iterator[tuple[Row, Column, Settings]]:
    for row in experiment.rows:
        for column in experiment.columns:
            yield row, column, experiment.cell(row, column)


def _selects(experiment: Experiment, key: str, values: list[Any]) -> bool:
    """Whether a key is one that the experiment varies."""
    declared = [_comparable(cell.get(key)) for cell in _runnable(experiment)]
    if key == "dataset" and not any(value in declared for value in values):
        return False
    return any(value != declared[0] for value in declared)


def _select(experiment: Experiment, key: str, values: list[Any]) -> Experiment:
    selected = [
        (row, column)
        for row, column, cell in _cells(experiment)
        if not row.waits_for and key in cell and _comparable(cell[key]) in values
    ]
    if not selected:
        cells = [cell for _, _, cell in _cells(experiment)]
        raise ConfigError(_no_such_cell(key, values, experiment.name, cells))
    rows = tuple(row for row in experiment.rows if row in [r for r, _ in selected])
    columns = tuple(column for column in experiment.columns if column in [c for _, c in selected])
    if any(key in column.overrides for column in experiment.columns):
        # rows that cannot be run yet are shown in their columns all the same
        rows = tuple(row for row in experiment.rows if row in rows or row.waits_for)
    return replace(experiment, rows=rows, columns=columns)


def _no_such_cell(
    key: str, words: Sequence[Any], names: str, cells: Sequence[Settings], beside: str = ""
) -> str:
    declared = dict.fromkeys(str(cell[key]) for cell in cells if cell.get(key) is not None)
    return (
        f"{key}={','.join(map(str, words))}: experiment={names} has no such cell{beside}; "
        f"it has {key} {', '.join(declared)}"
    )


def _replace(experiment: Experiment, key: str, text: str) -> Experiment:
    def without(part: Any) -> Any:
        return replace(part, overrides=_without(part.overrides, key))

    def row_without(row: Row) -> Row:
        own = {title: _without(settings, key) for title, settings in row.in_columns.items()}
        return replace(without(row), in_columns=own)

    return replace(
        experiment,
        overrides={**experiment.overrides, key: text},
        rows=tuple(map(row_without, experiment.rows)),
        columns=tuple(map(without, experiment.columns)),
    )


def _without(settings: Settings, key: str) -> Settings:
    return {k: v for k, v in settings.items() if k != key}
