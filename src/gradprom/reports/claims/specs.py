"""Claims as declared in the papers' `claims.yaml`: statements as signed sums of tables' cells.

A cell is written `experiment | row | column`. The row is its group, title and details, or any
beginning of that text that fits only one row. With `columns: each` a contrast is repeated for every
column, and its cells may leave the column out; the columns are those of the experiment that the
first cell without a column names.

The file is a list of claims, or a mapping of `claims`, `margins` (by metric, in its unit: what is
smaller makes no difference) and `published_runs` (how many runs the paper's ± are over).
"""

import functools
import math
from dataclasses import dataclass, field
from pathlib import Path

from gradprom.experiments import folders, papers
from gradprom.experiments.declared import Column, Experiment, Row, known_metrics, read
from gradprom.experiments.papers import Paper, UnknownExperiment
from gradprom.experiments.yaml_reader import Reader, document
from gradprom.metrics.registry import METRICS, ranked


@dataclass(frozen=True)
class Term:
    """A cell of a declared table with its sign."""

    sign: int
    experiment: Experiment
    row: Row
    column: Column
    written: str
    """The row as the claim writes it."""

    @property
    def place(self) -> str:
        """Such as `Table I, σ = 0.1`."""
        return f"{self.experiment.title}, {self.column.title}"


@dataclass(frozen=True)
class Sum:
    """A signed sum of cells in one metric; above 0 where the claim is right.

    For a metric where lower is better, the signs of the claim are reversed.
    """

    metric: str
    terms: tuple[Term, ...]

    @property
    def text(self) -> str:
        """Such as `Table I, σ = 0.1, PSNR: Sup. GradProm − Sup. Frozen-params.`."""
        metric = METRICS[self.metric]
        heading = f"{metric.title} (lower is better)" if metric.sign < 0 else metric.title
        place, cells = self._place_and_cells
        return f"{', '.join(filter(None, [place, heading]))}: {cells}"

    @property
    def cells(self) -> str:
        """The same without the metric: `Table I, σ = 0.1: Sup. GradProm − Sup. Frozen-params.`."""
        return ": ".join(filter(None, self._place_and_cells))

    @property
    def _place_and_cells(self) -> tuple[str, str]:
        """The place that all cells share, or an empty text, and the signed cells."""
        by_place: dict[str, list[Term]] = {}
        for term in self.terms:
            by_place.setdefault(term.place, []).append(term)
        if len(by_place) == 1:
            [(place, terms)] = by_place.items()
            return place, _signed([(term.sign, term.written) for term in terms])
        # a place whose first cell is subtracted is subtracted as a whole
        parts = [
            (first, f"{place} ({_signed([(first * t.sign, t.written) for t in terms])})")
            for place, terms in by_place.items()
            if (first := terms[0].sign)
        ]
        return "", _signed(parts)


def _signed(parts: list[tuple[int, str]]) -> str:
    """Such as `a − b + c`."""
    text = "".join(f" {'+' if sign > 0 else '−'} {part}" for sign, part in parts)
    return text.removeprefix(" + ").strip()


@dataclass(frozen=True)
class Claim:
    """One statement of a paper."""

    name: str
    text: str
    source: str
    sums: tuple[Sum, ...]
    """The claim holds if all of them are above 0."""
    two_sided: bool = False
    """Whether the claim is only that the sums differ from 0, on either side."""
    margins: dict[str, float] = field(default_factory=dict)
    """By metric, in its unit: what is smaller does not count; 0 where none is given."""
    published_runs: int = 0
    """How many runs the paper's ± are over; 0: not known."""

    @property
    def paper(self) -> Paper | None:
        """That of the first table that it is about."""
        return self.sums[0].terms[0].experiment.paper if self.sums else None


def read_claims(path: Path | None = None) -> list[Claim]:
    """Read the claims of a file, or of all papers.

    Parameters
    ----------
    path
        A `claims.yaml`; None for those of all papers. An experiment written without a folder is
        looked for first in the paper whose folder holds the file.

    Raises
    ------
    ConfigError
        If a key, experiment, row, column or metric does not exist; with the file and the line.
    """
    if path is None:
        files = [folder / "claims.yaml" for folder in papers.paper_folders()]
        return [claim for file in files if file.is_file() for claim in read_claims(file)]
    root = document(path)
    if root.is_list:
        return [_claim(item, {}, 0) for item in root.items()]
    entries = root.known(("claims", "margins", "published_runs"), ("claims",))
    margins = _margins(entries["margins"]) if "margins" in entries else {}
    runs = _runs(entries["published_runs"]) if "published_runs" in entries else 0
    return [_claim(item, margins, runs) for item in entries["claims"].items()]


def margins_of(paper: Paper | None) -> dict[str, float]:
    """The margins that a table is judged by, by metric: its paper's, or those of the first paper.

    Parameters
    ----------
    paper
        None for the table of a sweep.
    """
    folders_of_papers = papers.paper_folders()
    own = paper.folder if paper is not None else folders_of_papers[0]
    return _margins_in(own / "claims.yaml") or _margins_in(folders_of_papers[0] / "claims.yaml")


@functools.cache
def _margins_in(path: Path) -> dict[str, float]:
    """Empty where there is no such file, or none in it."""
    root = document(path) if path.is_file() else None
    if root is None or root.is_list:
        return {}
    entries = root.mapping()
    return _margins(entries["margins"]) if "margins" in entries else {}


def _margins(reader: Reader) -> dict[str, float]:
    margins = {name: entry.value() for name, entry in reader.known(ranked(), ()).items()}
    for name, entry in reader.mapping().items():
        if type(margins[name]) not in (int, float) or not 0 <= margins[name] < math.inf:
            raise entry.wrong(f"the margin of {name} must be a number >= 0, not {margins[name]}")
    return margins


def _runs(reader: Reader) -> int:
    runs = reader.value()
    if type(runs) is not int or runs < 2:
        raise reader.wrong(f"published_runs must be a whole number >= 2, not {runs}")
    return runs


def _claim(reader: Reader, margins: dict[str, float], published_runs: int) -> Claim:
    required = ("name", "text", "source", "metrics", "contrasts")
    entries = reader.known((*required, "two_sided"), required)
    metrics = known_metrics(entries["metrics"], ranked())
    return Claim(
        name=entries["name"].value(),
        text=" ".join(entries["text"].value().split()),
        source=entries["source"].value(),
        sums=tuple(s for item in entries["contrasts"].items() for s in _sums(item, metrics)),
        two_sided=entries["two_sided"].value() if "two_sided" in entries else False,
        margins=margins,
        published_runs=published_runs,
    )


def _sums(reader: Reader, metrics: tuple[str, ...]) -> list[Sum]:
    entries = reader.known(("columns", "plus", "minus"), ("plus", "minus"))
    if "columns" in entries and entries["columns"].value() != "each":
        raise entries["columns"].wrong("columns can only be each")
    cells = [(sign, c) for key, sign in (("plus", 1), ("minus", -1)) for c in entries[key].items()]
    columns = _columns([cell for _, cell in cells]) if "columns" in entries else [""]
    return [_sum(cells, column, metric) for column in columns for metric in metrics]


def _sum(cells: list[tuple[int, Reader]], column: str, metric: str) -> Sum:
    metric_sign = METRICS[metric].sign
    terms = [_term(metric_sign * sign, cell, column, metric) for sign, cell in cells]
    return Sum(metric, tuple(sorted(terms, key=lambda term: -term.sign)))  # added cells first


def _columns(cells: list[Reader]) -> list[str]:
    """The column titles of the experiment that the first cell without a column names."""
    for cell in cells:
        if len(parts := _parts(cell)) == 2:
            return [column.title for column in _experiment(cell, parts[0]).columns]
    raise cells[0].wrong("with columns: each, at least one cell must leave its column out")


def _parts(cell: Reader) -> list[str]:
    return [part.strip() for part in str(cell.value()).split("|")]


def _term(sign: int, cell: Reader, column: str, metric: str) -> Term:
    parts = _parts(cell)
    if column and len(parts) == 2:
        parts.append(column)
    if len(parts) != 3:
        raise cell.wrong(f"expected experiment | row | column, not {cell.value()}")
    experiment = _experiment(cell, parts[0])
    row = _row(cell, experiment, parts[1])
    if metric not in experiment.metrics_of(row):
        raise cell.wrong(f"{row.label} of {experiment.name} has no metric {metric}")
    return Term(sign, experiment, row, _column(cell, experiment, parts[2]), parts[1])


@functools.cache
def _declared(name: str, folder: Path, searched: tuple[Path, ...]) -> list[Experiment]:
    """The experiments of a name that is used in a file of a folder.

    Read once, as claims name many cells; `searched`, the folders of experiments, is only part of
    the cache's key.
    """
    paper = next((paper for paper in papers.papers() if paper.folder == folder), None)
    return read(name, paper)


def _experiment(cell: Reader, name: str) -> Experiment:
    try:
        searched = tuple(folders.experiment_folders())
        experiments = _declared(name, cell.path.parent, searched)
    except UnknownExperiment as error:
        raise cell.wrong(str(error)) from error
    if len(experiments) > 1:
        raise cell.wrong(f"{name} stands for several experiments; name one of them")
    return experiments[0]


def _row(cell: Reader, experiment: Experiment, name: str) -> Row:
    exact = [row for row in experiment.rows if row.label == name]
    rows = exact or [row for row in experiment.rows if row.label.startswith(name)]
    if not rows:
        labels = ", ".join(row.label for row in experiment.rows)
        raise cell.wrong(f"{experiment.name} has no row {name}; choose from {labels}")
    if len(rows) > 1:
        labels = ", ".join(row.label for row in rows)
        raise cell.wrong(
            f"row {name} of {experiment.name} fits several rows; "
            f"write more of its label, one of {labels}"
        )
    return rows[0]


def _column(cell: Reader, experiment: Experiment, title: str) -> Column:
    for column in experiment.columns:
        if column.title == title:
            return column
    titles = ", ".join(column.title for column in experiment.columns)
    raise cell.wrong(f"{experiment.name} has no column {title}; choose from {titles}")
