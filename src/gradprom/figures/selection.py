"""The runs that a figure shows: a paper's `figures.yaml`, and which of its runs have finished."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from gradprom.errors import RunError
from gradprom.experiments import papers
from gradprom.experiments.expansion import Cell, Expansion
from gradprom.experiments.yaml_reader import Reader, document
from gradprom.runs.record import Record


@dataclass(frozen=True)
class MethodRows:
    """One method of a panel: its title, and the rows that it may be taken from, best first."""

    title: str
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """The methods of one comparison, all from one column of one table."""

    table: str
    columns: tuple[str, ...]
    methods: tuple[MethodRows, ...]
    instead: str = ""
    """A table of the same columns and rows, for studies in which none of `table` has finished."""

    @property
    def tables(self) -> tuple[str, ...]:
        """`table`, and what may stand instead of it."""
        return (self.table, self.instead) if self.instead else (self.table,)


@dataclass(frozen=True)
class Declared:
    """A figure as `figures.yaml` declares it."""

    title: str
    panels: tuple[Panel, ...]
    either: bool = False
    """Whether only the first panel with a finished run is drawn."""


@dataclass(frozen=True)
class Entrant:
    """A method of a panel with its run."""

    title: str
    record: Record | None
    """The finished run of the lowest seed."""
    reason: str = "not run"
    """The text of its frame if there is no record."""


@dataclass(frozen=True)
class Choice:
    """A panel with the runs that it shows."""

    panel: Panel
    column: str
    """Title of the table's column, such as `σ = 0.3`; empty if the table was not run."""
    entrants: tuple[Entrant, ...]
    problem: str = ""
    """Why the overrides of the command line do not fit the panel's table."""

    @property
    def finished(self) -> list[Entrant]:
        """The methods that have a run."""
        return [entrant for entrant in self.entrants if entrant.record is not None]


def declared(path: Path | None = None) -> dict[str, Declared]:
    """Every figure of a file, by name; by default those of all papers' `figures.yaml`.

    Names are those of experiments: `fig4` is the first paper's, `regularizing_gradients/fig1`
    another's.

    Raises
    ------
    ConfigError
        If a key is missing or unknown, or a value should be a list; with the file and line.
    """
    if path is not None:
        return {name: _figure(reader) for name, reader in document(path).mapping().items()}
    return {
        paper.full_name(name): figure
        for paper in papers.papers()
        if (own := paper.folder / "figures.yaml").is_file()
        for name, figure in declared(own).items()
    }


def _figure(reader: Reader) -> Declared:
    values = reader.known(("title", "panels", "either"), ("title", "panels"))
    return Declared(
        title=values["title"].value(),
        panels=tuple(_panel(item) for item in values["panels"].items()),
        either=values["either"].value() if "either" in values else False,
    )


def _panel(reader: Reader) -> Panel:
    keys = ("table", "columns", "methods")
    values = reader.known((*keys, "instead"), keys)
    return Panel(
        table=values["table"].value(),
        columns=values["columns"].texts(),
        methods=tuple(_method(item) for item in values["methods"].items()),
        instead=values["instead"].value() if "instead" in values else "",
    )


def _method(reader: Reader) -> MethodRows:
    values = reader.known(("title", "rows"), ("title", "rows"))
    return MethodRows(values["title"].value(), values["rows"].texts())


def choose(
    name: str,
    expansions: dict[str, Expansion],
    records: dict[str, Record],
    problems: Mapping[str, str] = MappingProxyType({}),
) -> list[Choice]:
    """The runs of each panel of a figure.

    Parameters
    ----------
    name
        The figure.
    expansions
        By table; a missing one counts as not run.
    records
        By run id.
    problems
        By table, why the overrides of the command line do not fit it.

    Raises
    ------
    RunError
        If none of its runs has finished; the message names them, or the first problem.
    """
    figure = declared()[name]
    choices = [_first_with_runs(panel, expansions, records, problems) for panel in figure.panels]
    with_runs = [choice for choice in choices if choice.finished]
    if not with_runs and problems:
        raise RunError(f"{name} cannot be drawn: {next(iter(problems.values()))}")
    if not with_runs:
        rows = [f"{p.table} {' or '.join(m.rows)}" for p in figure.panels for m in p.methods]
        names = "; ".join(dict.fromkeys(rows))
        raise RunError(f"{name} cannot be drawn, because none of its runs has finished: {names}")
    return with_runs[:1] if figure.either else choices


def _first_with_runs(
    panel: Panel,
    expansions: dict[str, Expansion],
    records: dict[str, Record],
    problems: Mapping[str, str],
) -> Choice:
    """A panel's choice from the first of its tables that has a finished run, else from `table`."""
    choices = [
        replace(
            _choice(replace(panel, table=table), expansions.get(table), records),
            problem=problems.get(table, ""),
        )
        for table in panel.tables
    ]
    return next((choice for choice in choices if choice.finished), choices[0])


def _choice(panel: Panel, expansion: Expansion | None, records: dict[str, Record]) -> Choice:
    """The column and the rows for which most methods have finished, in the declared order."""
    if expansion is None:
        return Choice(panel, "", tuple(Entrant(method.title, None) for method in panel.methods))
    titles = [column.title for column in expansion.experiment.columns]
    columns = [*(c for c in panel.columns if c in titles), *reversed(titles)]
    depth = max(len(method.rows) for method in panel.methods)
    candidates = [
        Choice(
            panel, column, tuple(_entrant(m, n, column, expansion, records) for m in panel.methods)
        )
        for column in dict.fromkeys(columns)
        for n in range(depth)
    ]
    return max(candidates, key=lambda choice: len(choice.finished))


def _entrant(
    method: MethodRows, number: int, column: str, expansion: Expansion, records: dict[str, Record]
) -> Entrant:
    row = method.rows[min(number, len(method.rows) - 1)]
    cells = [
        cell
        for cell in expansion.cells
        if cell.column.title == column and f"{cell.row.label} ".startswith(f"{row} ")
    ]
    finished = [record for cell in cells for record in _finished(cell, records)]
    if finished:
        return Entrant(method.title, finished[0])
    return Entrant(method.title, None)


def _finished(cell: Cell, records: dict[str, Record]) -> list[Record]:
    """By seed, the lowest first."""
    existing = [records[run] for _, run in sorted(cell.runs.items()) if run in records]
    return [record for record in existing if record.finished]
