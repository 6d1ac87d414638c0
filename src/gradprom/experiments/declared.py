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
    in_columns: dict[str, Settings] = field(default_factory=dict)
    """What it sets in single columns, by their titles, such as a weight that each problem has."""
    metrics: tuple[str, ...] = ()
    """The metrics of the table that the row shows; empty: all."""
    details: dict[str, str] = field(default_factory=dict)
    """Printed beside the title, such as the backbone and the publication."""
    published: dict[str, str] = field(default_factory=dict)
    """Values of the key columns of the paper's published.csv; they win over the column's."""
    test_set: str = ""
    """One of `evaluate_on`, whose scores are shown; empty: the test split of the dataset."""
    waits_for: str = ""
    """What is missing to run it, such as a method; empty: nothing."""
    place: str = field(default="", compare=False)
    """File and line, such as `gradprom/table1.yaml:17`; empty for a row that no file declares."""

    @property
    def label(self) -> str:
        """Group, title and details as one text."""
        return " ".join(filter(None, [self.group, self.title, *self.details.values()]))


@dataclass(frozen=True)
class Experiment:
    """A table, or a sweep that is shown like one."""

    name: str
    """The value of `experiment=`, such as `table1` or `task_gan/table1`."""
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
    """Errors in the paper's own table."""
    paper: Paper | None = None
    """The paper of the experiment; None for one that no file declares."""

    @property
    def key(self) -> str:
        """Its name in names of files and anchors, such as `task_gan-table1`."""
        return self.name.replace("/", "-")

    def cell(self, row: Row, column: Column) -> Settings:
        """The overrides of a cell.

        A row's win over a column's, and those over the table's; a row's own in this column win
        over all.
        """
        own = row.in_columns.get(column.title, {})
        return {**self.overrides, **column.overrides, **row.overrides, **own}

    def datasets(self) -> dict[tuple[str, str], str]:
        """The declared dataset of each cell, by row label and column title; `""` if none is."""
        return {
            (row.label, column.title): str(self.cell(row, column).get("dataset", ""))
            for row in self.rows
            for column in self.columns
        }

    def metrics_of(self, row: Row) -> tuple[str, ...]:
        """The metrics that a row shows, in the table's order."""
        return tuple(name for name in self.metrics if not row.metrics or name in row.metrics)


def read(name: str, home: Paper | None = None) -> list[Experiment]:
    """Read an experiment, or all experiments that the file `name` includes.

    Parameters
    ----------
    name
        With the paper's folder, `task_gan/table1`, or without.
    home
        The paper in which a name without folder is looked for first.

    Raises
    ------
    ConfigError
        If there is no experiment of that name, or its file has an unknown key, metric, group or
        value; with the file and the line.
    """
    paper, stem = papers.find(name, home)
    root = document(paper.folder / f"{stem}.yaml")
    entries = root.mapping()
    if "include" in entries:
        names = entries["include"].texts()
        return [experiment for included in names for experiment in read(included, paper)]
    return [_experiment(paper, stem, entries, root)]


def default() -> list[Experiment]:
    """The experiments that a report shows unless others are named: those of every `all.yaml`."""
    papers_with_all = [paper for paper in papers.papers() if "all" in paper.experiments()]
    return [experiment for paper in papers_with_all for experiment in read("all", paper)]


def _experiment(paper: Paper, stem: str, entries: dict[str, Reader], root: Reader) -> Experiment:
    allowed = tuple(f.name for f in fields(Experiment) if f.name not in ("name", "paper"))
    root.known(allowed, ("title", "caption", "overrides", "seeds", "metrics", "columns", "rows"))
    metrics = known_metrics(entries["metrics"], tuple(METRICS))
    columns = tuple(_column(item, paper) for item in entries["columns"].items())
    titles = tuple(column.title for column in columns)
    experiment = Experiment(
        name=paper.full_name(stem),
        title=paper.full_title(entries["title"].value()),
        caption=" ".join(entries["caption"].value().split()),
        overrides=read_settings(entries["overrides"]),
        seeds=tuple(entries["seeds"].value()),
        metrics=metrics,
        columns=columns,
        rows=tuple(_row(item, paper, metrics, titles) for item in entries["rows"].items()),
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


def _row(reader: Reader, paper: Paper, metrics: tuple[str, ...], columns: tuple[str, ...]) -> Row:
    allowed = tuple(f.name for f in fields(Row) if f.name != "place")
    entries = reader.known(allowed, ("title",))
    plain = ("title", "group", "details", "test_set", "waits_for")
    values: dict[str, Any] = {key: entries[key].value() for key in plain if key in entries}
    if "metrics" in entries:
        values["metrics"] = known_metrics(entries["metrics"], metrics)
    if "overrides" in entries:
        values["overrides"] = read_settings(entries["overrides"], tuple(METRICS))
    if "in_columns" in entries:
        settings = entries["in_columns"].known(columns, ())
        values["in_columns"] = {title: read_settings(own) for title, own in settings.items()}
    return Row(**values, published=_published_keys(entries, paper), place=reader.place)


def _published_keys(entries: dict[str, Reader], paper: Paper) -> dict[str, str]:
    if "published" not in entries:
        return {}
    keys = entries["published"].known(paper.keys, ())
    return {key: str(value.value()) for key, value in keys.items()}


def known_metrics(reader: Reader, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Names of metrics from a YAML list.

    Raises
    ------
    ConfigError
        For a name that is not in `allowed`; with the file and the line.
    """
    for item in reader.items():
        if item.value() not in allowed:
            raise item.wrong(f"unknown metric {item.value()}; choose from {', '.join(allowed)}")
    return reader.texts()


def _check_references(experiment: Experiment, readers: list[Reader]) -> None:
    """Check that each row that takes a result of another row names exactly one earlier row."""
    for number, (row, reader) in enumerate(zip(experiment.rows, readers, strict=True)):
        for value in row.overrides.values():
            if not isinstance(value, ResultOf):
                continue
            targets = rows_named(value.row, experiment.rows[:number])
            if not targets:
                raise reader.wrong(f"of_row: there is no row {value.row} above this one")
            if len(targets) > 1:
                labels = ", ".join(target.label for target in targets)
                raise reader.wrong(f"of_row: {value.row} may be any of {labels}")


def rows_named(name: str, rows: tuple[Row, ...]) -> list[Row]:
    """The rows whose label is `name`; if there are none, those whose title is."""
    labelled = [row for row in rows if row.label == name]
    return labelled or [row for row in rows if row.title == name]
