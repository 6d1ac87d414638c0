"""From a declared experiment to the runs of its cells, narrowed by what stands on the command line.

An override of a key that the experiment varies selects rows or columns; one of any other key
replaces it everywhere. `dataset` may also name one that the experiment does not have, to see a
table on one's own data. Nothing here imports torch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from gradprom.errors import ConfigError
from gradprom.experiments.declared import Column, Experiment, OpenShare, Overrides, Row, read
from gradprom.runs.records import Study, open_share

Words = list[str]
"""A run as it would be typed: `key=value` words."""


@dataclass(frozen=True)
class Identity:
    """What words lead to: a run's id, or the sentence that says why there is none."""

    id: str = ""
    problem: str = ""


Identify = Callable[[list[Words]], list[Identity]]
Share = Callable[[str], float | None]
"""From a run's id to its share of open gates; None until it has finished."""


@dataclass
class Cell:
    """A row in a column: the runs that it is the mean of."""

    row: Row
    column: Column
    words: dict[int, Words] = field(default_factory=dict)
    """By seed."""
    runs: dict[int, str] = field(default_factory=dict)
    """Ids by seed."""
    problem: str = ""
    """Why it has no runs; empty where it has."""


@dataclass
class Expansion:
    """An experiment, narrowed, with the runs of every cell."""

    experiment: Experiment
    cells: list[Cell]

    def at(self, row: Row, column: Column) -> Cell:
        """The cell of a row and a column."""
        return next(cell for cell in self.cells if (cell.row, cell.column) == (row, column))

    @property
    def runs(self) -> set[str]:
        """The ids of all its runs."""
        return {run for cell in self.cells for run in cell.runs.values()}

    def finished(self, records: dict[str, Any]) -> int:
        """How many of its runs have finished, by records by run id."""
        return sum(run in records and records[run]["status"] == "finished" for run in self.runs)


def expanded(names: list[str], asked: Words, identify: Identify, study: Study) -> list[Expansion]:
    """The experiments of some names, narrowed by words, with the runs of their cells."""
    given = {}
    for override in OverridesParser.create().parse_overrides(asked):
        if override.is_add() or override.is_delete():
            raise ConfigError(f"{override.input_line}: with experiment= keys can only be set")
        given[key_of(override)] = values_of(override)
    found = [experiment for name in names for experiment in read(name)]
    unique = list({experiment.name: experiment for experiment in found}.values())
    return [
        expand(narrow(experiment, given), identify, lambda run: open_share(study.record(run)))
        for experiment in unique
    ]


def key_of(override: Override) -> str:
    """`noise` of `noise=0.1`, `+noise=0.1` or `~noise`."""
    return override.get_key_element().lstrip("+~")


def values_of(override: Override) -> list[str]:
    """The values of an override, one or several, as they were typed."""
    if override.is_sweep_override():
        return [str(text) for text in override.sweep_string_iterator()]
    return [str(override.get_value_element_as_str())]


def expand(experiment: Experiment, identify: Identify, share: Share) -> Expansion:
    """Find the runs of an experiment that has been narrowed.

    Raises
    ------
    ConfigError
        If no cell of it can be run, with what stands against the first.
    """
    cells = [Cell(row, column) for row in experiment.rows for column in experiment.columns]
    result = Expansion(experiment, cells)
    derived = [cell for cell in cells if _sources(cell.row)]
    for batch in ([cell for cell in cells if cell not in derived], derived):
        for cell in batch:
            cell.problem = cell.row.waits_for and f"waits for {cell.row.waits_for}"
            if not cell.problem:
                _word(result, cell, share)
        _identify([cell for cell in batch if not cell.problem], identify)
    refused = [c for c in cells if c.problem and not c.row.waits_for and not _sources(c.row)]
    if refused and not any(cell.runs for cell in cells):
        raise ConfigError(refused[0].problem)
    return result


def _sources(row: Row) -> list[str]:
    """Titles of the rows whose results a row's configuration needs."""
    return [value.row for value in row.overrides.values() if isinstance(value, OpenShare)]


def _word(expansion: Expansion, cell: Cell, share: Share) -> None:
    """Spell out the words of each seed, or say what they wait for."""
    for seed in expansion.experiment.seeds:
        overrides = dict(expansion.experiment.cell(cell.row, cell.column))
        for key, value in overrides.items():
            if isinstance(value, OpenShare):
                overrides[key] = _share_of(expansion, cell, value.row, seed, share)
        if None in overrides.values():
            cell.problem = f"waits for the runs of {', '.join(_sources(cell.row))}"
            cell.words = {}
            return
        cell.words[seed] = [*map(word, overrides.items()), f"seed={seed}"]


def _share_of(
    expansion: Expansion, cell: Cell, title: str, seed: int, share: Share
) -> float | None:
    source = next((row for row in expansion.experiment.rows if row.title == title), None)
    run = expansion.at(source, cell.column).runs.get(seed) if source else None
    found = share(run) if run else None
    return None if found is None else round(found, 4)


def _identify(cells: list[Cell], identify: Identify) -> None:
    asked = [(cell, seed) for cell in cells for seed in cell.words]
    found = identify([cell.words[seed] for cell, seed in asked])
    for (cell, seed), identity in zip(asked, found, strict=True):
        if identity.problem:
            cell.problem = identity.problem
        else:
            cell.runs[seed] = identity.id


def word(item: tuple[str, Any]) -> str:
    """`key=value`, as Hydra reads it."""
    key, value = item
    if isinstance(value, list):
        return f"{key}=[{','.join(map(str, value))}]"
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def narrow(experiment: Experiment, given: dict[str, list[str]]) -> Experiment:
    """Apply the words of the command line, as key → values.

    Raises
    ------
    ConfigError
        If nothing is left, or a key that the experiment does not vary has several values.
    """
    for key, texts in given.items():
        values = [_parse(text) for text in texts]
        if key == "seed":
            experiment = replace(experiment, seeds=_seeds(values))
        elif _selects(experiment, key, values):
            experiment = _select(experiment, key, values)
        elif len(texts) == 1:
            experiment = _replace(experiment, key, texts[0])
        else:
            raise ConfigError(
                f"{key}={','.join(texts)}: experiment={experiment.name} does not vary {key}, so "
                f"that it takes one value"
            )
    return experiment


def _parse(text: str) -> Any:
    """A value as YAML reads it, and `1e-4` as the number that it is to Hydra."""
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


def _cells(experiment: Experiment) -> Iterator[tuple[Row, Column, Overrides]]:
    for row in experiment.rows:
        for column in experiment.columns:
            yield row, column, experiment.cell(row, column)


def _selects(experiment: Experiment, key: str, values: list[Any]) -> bool:
    """Whether a key is one that the experiment varies."""
    runnable = [cell for row, _, cell in _cells(experiment) if not row.waits_for]
    found = [cell.get(key) for cell in runnable]
    if key == "dataset" and not any(value in found for value in values):
        return False
    return any(value != found[0] for value in found)


def _select(experiment: Experiment, key: str, values: list[Any]) -> Experiment:
    kept = [
        (row, column)
        for row, column, cell in _cells(experiment)
        if not row.waits_for and key in cell and cell[key] in values
    ]
    if not kept:
        there = dict.fromkeys(
            str(cell[key]) for _, _, cell in _cells(experiment) if cell.get(key) is not None
        )
        told = ", ".join(map(str, values))
        raise ConfigError(
            f"{key}={told}: experiment={experiment.name} has no such cell; "
            f"it has {key} {', '.join(there)}"
        )
    rows = tuple(row for row in experiment.rows if row in [r for r, _ in kept])
    columns = tuple(column for column in experiment.columns if column in [c for _, c in kept])
    if any(key in column.overrides for column in experiment.columns):
        # rows that wait for their method have their columns all the same
        rows = tuple(row for row in experiment.rows if row in rows or row.waits_for)
    return replace(experiment, rows=rows, columns=columns)


def _replace(experiment: Experiment, key: str, text: str) -> Experiment:
    def without(part: Any) -> Any:
        return replace(part, overrides={k: v for k, v in part.overrides.items() if k != key})

    return replace(
        experiment,
        overrides={**experiment.overrides, key: text},
        rows=tuple(map(without, experiment.rows)),
        columns=tuple(map(without, experiment.columns)),
    )
