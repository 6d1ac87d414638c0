"""From a declared experiment to the runs of its cells. Nothing here imports torch."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hydra.core.override_parser.overrides_parser import OverridesParser

from gradprom.errors import ConfigError
from gradprom.experiments.declared import Column, Experiment, Row, read, rows_called
from gradprom.experiments.narrowing import narrow
from gradprom.experiments.overrides import OverrideList, key_of, override_text, values_of
from gradprom.experiments.settings import ResultOf
from gradprom.runs.record import Record, value_of
from gradprom.runs.records import Study


@dataclass(frozen=True)
class Identity:
    """What overrides lead to: a run's id, or the sentence that says why there is none."""

    id: str = ""
    problem: str = ""


Identify = Callable[[list[OverrideList]], list[Identity]]
Lookup = Callable[[str], Record | None]
"""From a run's id to its record; None where there is none."""


@dataclass
class Cell:
    """A row in a column: the runs that it is the mean of."""

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

    def finished(self, records: dict[str, Record]) -> int:
        """How many of its runs have finished, by records by run id."""
        return sum(run in records and records[run].finished for run in self.runs)


def expanded(
    names: list[str], narrowing: OverrideList, identify: Identify, study: Study
) -> list[Expansion]:
    """The experiments of some names, narrowed by overrides, with the runs of their cells."""
    given = {}
    for override in OverridesParser.create().parse_overrides(narrowing):
        if override.is_add() or override.is_delete():
            raise ConfigError(f"{override.input_line}: with experiment= keys can only be set")
        given[key_of(override)] = values_of(override)
    declared = [experiment for name in names for experiment in read(name)]
    unique = list({experiment.name: experiment for experiment in declared}.values())
    return [expand(narrow(experiment, given), identify, study.record) for experiment in unique]


def expand(experiment: Experiment, identify: Identify, record_of: Lookup) -> Expansion:
    """Find the runs of an experiment that has been narrowed.

    Raises
    ------
    ConfigError
        If no cell of it can be run, with what stands against the first.
    """
    cells = [Cell(row, column) for row in experiment.rows for column in experiment.columns]
    result = Expansion(experiment, cells)
    derived = [cell for cell in cells if _references(cell.row)]
    for batch in ([cell for cell in cells if cell not in derived], derived):
        for cell in batch:
            cell.problem = cell.row.waits_for and f"waits for {cell.row.waits_for}"
            if not cell.problem:
                _spell_out(result, cell, record_of)
        _identify([cell for cell in batch if not cell.problem], identify)
    refused = [c for c in cells if c.problem and not c.row.waits_for and not _references(c.row)]
    if refused and not any(cell.runs for cell in cells):
        raise ConfigError(refused[0].problem)
    return result


def _references(row: Row) -> list[ResultOf]:
    """The results of other rows that a row's configuration needs."""
    return [value for value in row.overrides.values() if isinstance(value, ResultOf)]


def _spell_out(expansion: Expansion, cell: Cell, record_of: Lookup) -> None:
    """Write down the overrides of each seed, or say which results they wait for."""
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
    """What the run of another row has for a metric; None until it has finished."""
    for row in rows_called(reference.row, expansion.experiment.rows)[:1]:
        run = expansion.at(row, cell.column).runs.get(seed)
        value = value_of(record_of(run), reference.metric, row.test_set) if run else None
        return None if value is None else _rounded(value)
    return None


def _rounded(value: float) -> float:
    """Four decimals are enough for an override; what is smaller keeps three digits."""
    return round(value, 4) if abs(value) >= 1e-3 else float(f"{value:.3g}")


def _identify(cells: list[Cell], identify: Identify) -> None:
    wanted = [(cell, seed) for cell in cells for seed in cell.overrides]
    identities = identify([cell.overrides[seed] for cell, seed in wanted])
    for (cell, seed), identity in zip(wanted, identities, strict=True):
        if identity.problem:
            cell.problem = identity.problem
        else:
            cell.runs[seed] = identity.id
