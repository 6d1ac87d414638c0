"""A table as it stands: numbers of ours beside the published ones, and every gap named.

A row here holds what has come of a row that an experiment declares; `filling.fill` makes it.
"""

from dataclasses import dataclass, field

from gradprom.experiments.declared import Column, Experiment
from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.identity import digest
from gradprom.reports.statistics.estimate import Estimate
from gradprom.reports.tables.published import Published

LONGEST = 100
"""Characters of what was asked in a file's name; many file systems take 255 in all."""


@dataclass
class Cell:
    """One number of the table, or the reason why there is none."""

    metric: str
    value: Estimate | None = None
    """Ours; None where no run has finished."""
    finished: dict[int, str] = field(default_factory=dict)
    """Ids of the runs behind it, by seed."""
    states: list[str] = field(default_factory=list)
    """Such as `2/3 seeds`, `1 failed`, `not run`, `mixed revisions`, `other data`."""
    published: Published | None = None
    below_degraded: bool = False
    """Whether the published number is worse than that of the degraded input itself."""
    comparable: bool = False
    """Whether ours is of the dataset that the paper names."""
    place: int = 0
    """1 best of its column, 2 second, 0 neither."""

    @property
    def difference(self) -> float | None:
        """Ours less the published number, where both are of one dataset."""
        if self.value is None or self.published is None or not self.comparable:
            return None
        return self.value.mean - self.published.mean


@dataclass
class Row:
    """One row of the table."""

    declared: DeclaredRow
    cells: dict[tuple[int, str], Cell]
    """By column (its number) and metric; metrics that the row does not have are left out."""
    expected: dict[int, dict[int, str]] = field(default_factory=dict)
    """Ids of the runs that should exist, by column and seed."""
    problems: list[str] = field(default_factory=list)
    """Why cells of the row cannot be run; without repetition."""
    degraded: bool = False
    """Whether it is of the degraded input itself, which no run has made."""


@dataclass
class Table:
    """A table as it stands."""

    experiment: Experiment
    """Narrowed as it was asked for."""
    asked: list[str]
    """The words that narrowed or changed it."""
    degraded: list[Row]
    """What the degraded inputs themselves score: a row, or one for each test set."""
    rows: list[Row]
    setup: list[str]
    """What ran, such as `phantom, 64×64`; published numbers may be of another setup."""
    datasets: str = ""
    """The datasets that the paper's table is of, as text."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.experiment.columns

    @property
    def key(self) -> str:
        """A name for files: the experiment's, with what was asked, or a digest of it if long."""
        told = "-".join(word.replace("=", "_") for word in self.asked)
        kept = "".join(c if c.isalnum() or c in "_.-" else "_" for c in told)
        if len(kept) > LONGEST:
            kept = digest(self.asked)
        return "-".join(filter(None, [self.experiment.key, kept]))
