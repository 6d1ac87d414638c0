"""Narrow an experiment by overrides of the command line.

An override of a key that the experiment varies selects rows or columns; one of any other key
replaces it everywhere. `dataset` may also be one that the experiment does not have, to fill a
table with results on other data.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import yaml

from gradprom.errors import ConfigError
from gradprom.experiments.declared import Column, Experiment, Row
from gradprom.experiments.settings import Settings


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


def _parse(text: str) -> Any:
    """A value as Hydra reads it: as YAML does, but `1e-4` is a number."""
    value = yaml.safe_load(text)
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _seeds(values: list[Any]) -> tuple[int, ...]:
    for value in values:
        if not isinstance(value, int) or value < 0:
            raise ConfigError(f"seed={value} must be a whole number >= 0")
    return tuple(dict.fromkeys(values))


def _cells(experiment: Experiment) -> Iterator[tuple[Row, Column, Settings]]:
    for row in experiment.rows:
        for column in experiment.columns:
            yield row, column, experiment.cell(row, column)


def _selects(experiment: Experiment, key: str, values: list[Any]) -> bool:
    """Whether a key is one that the experiment varies."""
    runnable = [cell for row, _, cell in _cells(experiment) if not row.waits_for]
    declared = [cell.get(key) for cell in runnable]
    if key == "dataset" and not any(value in declared for value in values):
        return False
    return any(value != declared[0] for value in declared)


def _select(experiment: Experiment, key: str, values: list[Any]) -> Experiment:
    selected = [
        (row, column)
        for row, column, cell in _cells(experiment)
        if not row.waits_for and key in cell and cell[key] in values
    ]
    if not selected:
        raise ConfigError(_no_such_cell(experiment, key, values))
    rows = tuple(row for row in experiment.rows if row in [r for r, _ in selected])
    columns = tuple(column for column in experiment.columns if column in [c for _, c in selected])
    if any(key in column.overrides for column in experiment.columns):
        # rows that cannot be run yet are shown in their columns all the same
        rows = tuple(row for row in experiment.rows if row in rows or row.waits_for)
    return replace(experiment, rows=rows, columns=columns)


def _no_such_cell(experiment: Experiment, key: str, values: list[Any]) -> str:
    declared = dict.fromkeys(
        str(cell[key]) for _, _, cell in _cells(experiment) if cell.get(key) is not None
    )
    return (
        f"{key}={', '.join(map(str, values))}: experiment={experiment.name} has no such cell; "
        f"it has {key} {', '.join(declared)}"
    )


def _replace(experiment: Experiment, key: str, text: str) -> Experiment:
    def without(part: Any) -> Any:
        return replace(part, overrides={k: v for k, v in part.overrides.items() if k != key})

    return replace(
        experiment,
        overrides={**experiment.overrides, key: text},
        rows=tuple(map(without, experiment.rows)),
        columns=tuple(map(without, experiment.columns)),
    )
