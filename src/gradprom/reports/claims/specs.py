"""Claims as declared in `experiments/claims.yaml`: statements as signed sums of tables' cells.

A cell is written `experiment | row | column`, its row as group, title and details, from the left
as far as it takes to be the only one. With `columns: each` a contrast is repeated in every column
of the experiment that its first such cell names, and its cells leave the column out.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

from gradprom.experiments.declared import (
    FOLDER,
    Column,
    Experiment,
    Row,
    known_metrics,
    names,
    read,
)
from gradprom.experiments.yaml_reader import Reader, document
from gradprom.metrics.registry import METRICS, ranked


@dataclass(frozen=True)
class Term:
    """A cell of a declared table with its sign."""

    sign: int
    experiment: Experiment
    row: Row
    column: Column
    told: str
    """The row as the claim writes it."""

    @property
    def place(self) -> str:
        """Such as `Table I, σ = 0.1`."""
        return f"{self.experiment.title}, {self.column.title}"


@dataclass(frozen=True)
class Sum:
    """A signed sum of cells in one metric; above 0 where the claim is right.

    Of a metric of which less is better, what a claim adds is subtracted and the other way round.
    """

    metric: str
    terms: tuple[Term, ...]

    @property
    def text(self) -> str:
        """Such as `Table I, σ = 0.1, PSNR: Sup. GradProm − Sup. Frozen-params.`."""
        metric = METRICS[self.metric]
        heading = f"{metric.title} (lower is better)" if metric.sign < 0 else metric.title
        by_place: dict[str, list[Term]] = {}
        for term in self.terms:
            by_place.setdefault(term.place, []).append(term)
        if len(by_place) == 1:
            [(place, terms)] = by_place.items()
            return f"{place}, {heading}: {_signed([(t.sign, t.told) for t in terms])}"
        # a place whose first cell is subtracted is subtracted as a whole
        parts = [
            (first, f"{place} ({_signed([(first * t.sign, t.told) for t in terms])})")
            for place, terms in by_place.items()
            if (first := terms[0].sign)
        ]
        return f"{heading}: {_signed(parts)}"


def _signed(parts: list[tuple[int, str]]) -> str:
    """Such as `a − b + c`."""
    text = "".join(f" {'+' if sign > 0 else '−'} {told}" for sign, told in parts)
    return text.removeprefix(" + ").strip()


@dataclass(frozen=True)
class Claim:
    """One statement of the paper."""

    name: str
    text: str
    source: str
    sums: tuple[Sum, ...]
    """All of which have to be above 0."""
    two_sided: bool = False
    """Whether the statement is that they differ from 0, on either side."""


def read_claims(path: Path = FOLDER / "claims.yaml") -> list[Claim]:
    """The claims of a file.

    Raises
    ------
    ConfigError
        If a key, experiment, row, column or metric is none; with the file and the line.
    """
    return [_claim(item) for item in document(path).items()]


def _claim(reader: Reader) -> Claim:
    needed = ("name", "text", "source", "metrics", "contrasts")
    found = reader.known((*needed, "two_sided"), needed)
    metrics = known_metrics(found["metrics"], ranked())
    return Claim(
        name=found["name"].value(),
        text=" ".join(found["text"].value().split()),
        source=found["source"].value(),
        sums=tuple(s for item in found["contrasts"].items() for s in _sums(item, metrics)),
        two_sided=found["two_sided"].value() if "two_sided" in found else False,
    )


def _sums(reader: Reader, metrics: tuple[str, ...]) -> list[Sum]:
    found = reader.known(("columns", "plus", "minus"), ("plus", "minus"))
    if "columns" in found and found["columns"].value() != "each":
        raise found["columns"].wrong("columns can only be each")
    cells = [(sign, c) for key, sign in (("plus", 1), ("minus", -1)) for c in found[key].items()]
    columns = _columns([cell for _, cell in cells]) if "columns" in found else [""]
    return [_sum(cells, column, metric) for column in columns for metric in metrics]


def _sum(cells: list[tuple[int, Reader]], column: str, metric: str) -> Sum:
    gain = METRICS[metric].sign
    terms = [_term(gain * sign, cell, column, metric) for sign, cell in cells]
    return Sum(metric, tuple(sorted(terms, key=lambda term: -term.sign)))  # what is added first


def _columns(cells: list[Reader]) -> list[str]:
    """Those of the experiment that the first cell without a column names."""
    for cell in cells:
        if len(parts := _parts(cell)) == 2:
            return [column.title for column in _experiment(cell, parts[0]).columns]
    raise cells[0].wrong("with columns: each, at least one cell leaves its column out")


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
def _declared() -> dict[str, Experiment]:
    return {one.name: one for name in names() for one in read(name)}


def _experiment(cell: Reader, name: str) -> Experiment:
    if name not in _declared():
        raise cell.wrong(f"unknown experiment {name}; choose from {', '.join(_declared())}")
    return _declared()[name]


def _row(cell: Reader, experiment: Experiment, told: str) -> Row:
    exact = [row for row in experiment.rows if row.label == told]
    found = exact or [row for row in experiment.rows if row.label.startswith(told)]
    if not found:
        labels = ", ".join(row.label for row in experiment.rows)
        raise cell.wrong(f"{experiment.name} has no row {told}; choose from {labels}")
    if len(found) > 1:
        labels = ", ".join(row.label for row in found)
        raise cell.wrong(f"row {told} of {experiment.name} may be any of {labels}")
    return found[0]


def _column(cell: Reader, experiment: Experiment, title: str) -> Column:
    for column in experiment.columns:
        if column.title == title:
            return column
    titles = ", ".join(column.title for column in experiment.columns)
    raise cell.wrong(f"{experiment.name} has no column {title}; choose from {titles}")
