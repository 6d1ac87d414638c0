"""Experiments as data: `experiments/<paper>/<name>.yaml` lists the rows and columns of a table.

A cell's configuration is what the table sets, then its column, then its row. The sweeper expands
the same file that the report reads, so that a cell can only show runs of its own configuration.
Every error names the file and the line. Nothing here imports torch.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from gradprom.experiments import papers
from gradprom.experiments.papers import Paper
from gradprom.experiments.settings import ResultOf, Settings, read_settings
from gradprom.experiments.yaml_reader import Reader, document
from gradprom.metrics.registry import METRICS


@dataclass(frozen=True)
class Column:
    """One condition of a table, such as σ = 0.1."""

    title: str
    overrides: Settings = field(default_factory=dict)
    published: dict[str, str] = field(default_factory=dict)
    """Values of the key columns of the paper's published.csv."""


@dataclass(frozen=True)
class Row:
    """One configuration of a table, in all columns."""

    title: str
    group: str = ""
    """A heading that rows share, such as `Sup.`."""
    overrides: Settings = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    """Those of the table that the row has; empty: all."""
    details: dict[str, str] = field(default_factory=dict)
    """Printed beside the title, such as the backbone and the publication."""
    published: dict[str, str] = field(default_factory=dict)
    """Values of the key columns of the paper's published.csv; they win over the column's."""
    test_set: str = ""
    """One of `evaluate_on`, whose scores are shown; empty: the test split of the dataset."""
    waits_for: str = ""
    """What the repository lacks to run it; empty: nothing."""
    place: str = field(default="", compare=False)
    """File and line, such as `gradprom/table1.yaml:17`; empty for a row that is in no file."""

    @property
    def label(self) -> str:
        """Group, title and details as one text."""
        return " ".join(filter(None, [self.group, self.title, *self.details.values()]))


@dataclass(frozen=True)
class Experiment:
    """A table, or a sweep that is shown like one."""

    name: str
    """As it is asked for, such as `table1` or `task_gan/table1`."""
    title: str
    caption: str
    overrides: Settings
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    published: int | str | None = None
    """The number of the paper's table, if it is one."""
    slips: tuple[str, ...] = ()
    """What is wrong in the paper's own table."""
    paper: Paper | None = None
    """Whose experiment it is; None for one that is in no file."""

    @property
    def key(self) -> str:
        """Its name where a file or an anchor is named after it, such as `task_gan-table1`."""
        return self.name.replace("/", "-")

    def cell(self, row: Row, column: Column) -> Settings:
        """What a cell sets; the row wins over the column, and that over the table."""
        return {**self.overrides, **column.overrides, **row.overrides}

    def datasets(self) -> dict[tuple[str, str], str]:
        """The declared dataset of each cell, by row label and column title; `""` if none is."""
        return {
            (row.label, column.title): str(self.cell(row, column).get("dataset", ""))
            for row in self.rows
            for column in self.columns
        }

    def metrics_of(self, row: Row) -> tuple[str, ...]:
        """The metrics that a row shows, in the table's order."""
        return tuple(m for m in self.metrics if not row.metrics or m in row.metrics)


def read(name: str, home: Paper | None = None) -> list[Experiment]:
    """An experiment by its name, or all those that `name` includes.

    Parameters
    ----------
    name
        With the paper's folder, `task_gan/table1`, or without.
    home
        The paper in which a name without folder is looked for first.

    Raises
    ------
    ConfigError
        If there is none of that name, or its file has a key, metric, group or value that means
        nothing; with the file and the line.
    """
    paper, stem = papers.find(name, home)
    root = document(paper.folder / f"{stem}.yaml")
    entries = root.mapping()
    if "include" in entries:
        included = entries["include"].texts()
        return [experiment for each in included for experiment in read(each, paper)]
    return [_experiment(paper, stem, entries, root)]


def default() -> list[Experiment]:
    """The experiments that a report shows unless others are named: those of every `all.yaml`."""
    having = [paper for paper in papers.papers() if "all" in paper.experiments()]
    return [experiment for paper in having for experiment in read("all", paper)]


def _experiment(paper: Paper, stem: str, entries: dict[str, Reader], root: Reader) -> Experiment:
    allowed = tuple(f.name for f in fields(Experiment) if f.name not in ("name", "paper"))
    root.known(allowed, ("title", "caption", "overrides", "seeds", "metrics", "columns", "rows"))
    metrics = known_metrics(entries["metrics"], tuple(METRICS))
    experiment = Experiment(
        name=paper.full_name(stem),
        title=paper.full_title(entries["title"].value()),
        caption=" ".join(entries["caption"].value().split()),
        overrides=read_settings(entries["overrides"]),
        seeds=tuple(entries["seeds"].value()),
        metrics=metrics,
        columns=tuple(_column(item, paper) for item in entries["columns"].items()),
        rows=tuple(_row(item, paper, metrics) for item in entries["rows"].items()),
        published=_published_table(entries["published"]) if "published" in entries else None,
        slips=entries["slips"].texts() if "slips" in entries else (),
        paper=paper,
    )
    _check_references(experiment, entries["rows"].items())
    return experiment


def _published_table(reader: Reader) -> int | str:
    """The number of the paper's table: `published: 3` or `published: {table: 3}`."""
    if isinstance(reader.value(), dict):
        reader = reader.known(("table",), ("table",))["table"]
    if not isinstance(reader.value(), int | str):
        raise reader.wrong("expected the number of the paper's table")
    number: int | str = reader.value()
    return number


def _column(reader: Reader, paper: Paper) -> Column:
    entries = reader.known(tuple(f.name for f in fields(Column)), ("title",))
    overrides = read_settings(entries["overrides"]) if "overrides" in entries else {}
    return Column(entries["title"].value(), overrides, _published_keys(entries, paper))


def _row(reader: Reader, paper: Paper, metrics: tuple[str, ...]) -> Row:
    allowed = tuple(f.name for f in fields(Row) if f.name != "place")
    entries = reader.known(allowed, ("title",))
    plain = ("title", "group", "details", "test_set", "waits_for")
    values: dict[str, Any] = {key: entries[key].value() for key in plain if key in entries}
    if "metrics" in entries:
        values["metrics"] = known_metrics(entries["metrics"], metrics)
    if "overrides" in entries:
        values["overrides"] = read_settings(entries["overrides"], tuple(METRICS))
    return Row(**values, published=_published_keys(entries, paper), place=reader.place)


def _published_keys(entries: dict[str, Reader], paper: Paper) -> dict[str, str]:
    if "published" not in entries:
        return {}
    keys = entries["published"].known(paper.keys, ())
    return {key: str(value.value()) for key, value in keys.items()}


def known_metrics(reader: Reader, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """A list of metrics that are allowed."""
    for item in reader.items():
        if item.value() not in allowed:
            raise item.wrong(f"unknown metric {item.value()}; choose from {', '.join(allowed)}")
    return reader.texts()


def _check_references(experiment: Experiment, readers: list[Reader]) -> None:
    """Rows that take a result of another row name one that stands before them, and only one."""
    for number, (row, reader) in enumerate(zip(experiment.rows, readers, strict=True)):
        for value in row.overrides.values():
            if not isinstance(value, ResultOf):
                continue
            meant = rows_called(value.row, experiment.rows[:number])
            if not meant:
                raise reader.wrong(f"of_row: {value.row} is no row above this one")
            if len(meant) > 1:
                labels = ", ".join(other.label for other in meant)
                raise reader.wrong(f"of_row: {value.row} may be any of {labels}")


def rows_called(name: str, rows: tuple[Row, ...]) -> list[Row]:
    """The rows that have a label, or else those that have it as their title."""
    labelled = [row for row in rows if row.label == name]
    return labelled or [row for row in rows if row.title == name]
