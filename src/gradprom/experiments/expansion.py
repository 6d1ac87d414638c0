"""From a declared experiment to the runs of its cells. Nothing here imports torch."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from hydra.core.override_parser.types import Override

from gradprom.errors import ConfigError
from gradprom.experiments.declared import Column, Experiment, Row, read, rows_named
from gradprom.experiments.narrowing import Words, narrow, require_used
from gradprom.experiments.overrides import (
    OverrideList,
    key_of,
    override_text,
    parse,
    patterns_of,
    values_of,
)
from gradprom.experiments.settings import ResultOf
from gradprom.runs.record import Record, value_of
from gradprom.runs.records import Study


@dataclass(frozen=True)
class Identity:
    """The id of the run that some overrides describe, or the reason why they describe none."""

    id: str = ""
    problem: str = ""


Identify = Callable[[list[OverrideList]], list[Identity]]
"""From the overrides of runs to their identities, in the same order."""
Lookup = Callable[[str], Record | None]
"""From a run's id to its record; None where there is none."""


@dataclass
class Cell:
    """A row in a column: the runs whose mean it shows."""

    row: Row
    column: Column
    overrides: dict[int, OverrideList] = field(default_factory=dict)
    """By seed."""
    runs: dict[int, str] = field(default_factory=dict)
    """Ids by seed."""
    problem: str = ""
    """Why it has no runs; empty where it has."""


@dataclass
class Expansion:
    """An experiment with the runs of every cell."""

    experiment: Experiment
    cells: list[Cell]

    def at(self, row: Row, column: Column) -> Cell:
        """The cell of a row and a column."""
        return next(cell for cell in self.cells if (cell.row, cell.column) == (row, column))

    @property
    def runs(self) -> set[str]:
        """The ids of all its runs."""
        return {run for cell in self.cells for run in cell.runs.values()}

    def finished(self, records: dict[str, Record]) -> int:
        """How many of its runs have finished.

        Parameters
        ----------
        records
            Records by run id.
        """
        return sum(run in records and records[run].finished for run in self.runs)


def expanded(
    names: list[str], narrowing: OverrideList, identify: Identify, study: Study
) -> list[Expansion]:
    """Read experiments, narrow them, and find the runs of their cells.

    Parameters
    ----------
    names
        Values of `experiment=`.
    narrowing
        Overrides of the command line that select cells or set values.
    identify
        Computes the ids of runs.
    study
        The study whose records provide results of other rows.

    Raises
    ------
    ConfigError
        If a name is unknown, an override adds or deletes a key, or no cell is left or can be run.
    """
    experiments = narrowed(names, narrowing)
    return _with_runs([_found(experiment, identify, study.record) for experiment in experiments])


def narrowed(names: list[str], narrowing: OverrideList) -> list[Experiment]:
    """Read experiments and narrow them; `names` and `narrowing` are as for `expanded`.

    Raises
    ------
    ConfigError
        If a name is unknown, an override adds or deletes a key, or no cell is left.
    """
    values = {key_of(override): values_of(override) for override in _settings(narrowing)}
    return [narrow(experiment, values) for experiment in _declared(names)]


def require_all_used(names: list[str], narrowing: OverrideList) -> None:
    """Check that each word of the command line selects a cell of one of the experiments.

    Experiments that refuse the overrides do not count, unless all do. What a plan has stored is not
    checked: its experiments may have changed since.

    Parameters
    ----------
    names, narrowing
        As for `expanded`.

    Raises
    ------
    ConfigError
        As `expanded`, and for a word that selects nothing, though others of its key do.
    """
    overrides, declared = _settings(narrowing), _declared(names)
    values = {key_of(override): values_of(override) for override in overrides}
    patterns = {key_of(override): patterns_of(override) for override in overrides}
    words = [Words(key, tuple(patterns[key] or values[key]), bool(patterns[key])) for key in values]
    left, problems = [], []
    for experiment in declared:
        try:
            left.append(narrow(experiment, values))
        except ConfigError as problem:
            problems.append(problem)
    if not left:
        raise problems[0]
    require_used(declared, left, words)


def _settings(narrowing: OverrideList) -> list[Override]:
    overrides = parse(narrowing)
    for override in overrides:
        if override.is_add() or override.is_delete():
            raise ConfigError(
                f"{override.input_line}: with experiment= an override can only set a key"
            )
    return overrides


def _declared(names: list[str]) -> list[Experiment]:
    """The experiments of these names, each once."""
    declared = [experiment for name in names for experiment in read(name)]
    return list({experiment.name: experiment for experiment in declared}.values())


def expand(experiment: Experiment, identify: Identify, record_of: Lookup) -> Expansion:
    """Find the runs of an experiment that has been narrowed.

    Raises
    ------
    ConfigError
        If no cell can be run, with the reason for the first.
    """
    return _with_runs([_found(experiment, identify, record_of)])[0]


def _with_runs(expansions: list[Expansion]) -> list[Expansion]:
    """The same expansions; ConfigError if none has runs and a cell of one cannot have any."""
    invalid = [
        cell
        for cell in (cell for expansion in expansions for cell in expansion.cells)
        if cell.problem and not cell.row.waits_for and not _references(cell.row)
    ]
    if invalid and not any(expansion.runs for expansion in expansions):
        raise ConfigError(invalid[0].problem)
    return expansions


def _found(experiment: Experiment, identify: Identify, record_of: Lookup) -> Expansion:
    cells = [Cell(row, column) for row in experiment.rows for column in experiment.columns]
    result = Expansion(experiment, cells)
    derived = [cell for cell in cells if _references(cell.row)]
    for batch in ([cell for cell in cells if cell not in derived], derived):
        for cell in batch:
            cell.problem = cell.row.waits_for and f"waits for {cell.row.waits_for}"
            if not cell.problem:
                _set_overrides(result, cell, record_of)
        _identify([cell for cell in batch if not cell.problem], identify)
    return result


def _references(row: Row) -> list[ResultOf]:
    """The results of other rows that a row's configuration needs."""
    return [value for value in row.overrides.values() if isinstance(value, ResultOf)]


def _set_overrides(expansion: Expansion, cell: Cell, record_of: Lookup) -> None:
    """Set a cell's overrides of each seed, or its problem if it waits for other results."""
    for seed in expansion.experiment.seeds:
        settings = dict(expansion.experiment.cell(cell.row, cell.column))
        for key, value in settings.items():
            if isinstance(value, ResultOf):
                settings[key] = _result(expansion, cell, value, seed, record_of)
                if settings[key] is None:
                    rows = ", ".join(reference.row for reference in _references(cell.row))
                    cell.problem, cell.overrides = f"waits for the runs of {rows}", {}
                    return
        texts = [override_text(key, value) for key, value in settings.items()]
        cell.overrides[seed] = [*texts, f"seed={seed}"]


def _result(
    expansion: Expansion, cell: Cell, reference: ResultOf, seed: int, record_of: Lookup
) -> float | None:
    """A metric of the run of another row; None until that run has finished with a finite one."""
    for row in rows_named(reference.row, expansion.experiment.rows)[:1]:
        run = expansion.at(row, cell.column).runs.get(seed)
        value = value_of(record_of(run), reference.metric, row.test_set) if run else None
        return None if value is None or not math.isfinite(value) else _rounded(value)
    return None


def _rounded(value: float) -> float:
    """Four decimals, which are enough for an override; three digits of values below 0.001."""
    return round(value, 4) if abs(value) >= 1e-3 else float(f"{value:.3g}")


def _identify(cells: list[Cell], identify: Identify) -> None:
    runs = [(cell, seed) for cell in cells for seed in cell.overrides]
    identities = identify([cell.overrides[seed] for cell, seed in runs])
    for (cell, seed), identity in zip(runs, identities, strict=True):
        if identity.problem:
            cell.problem = identity.problem
        else:
            cell.runs[seed] = identity.id
