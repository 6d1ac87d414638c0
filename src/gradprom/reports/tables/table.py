"""A filled table: our numbers beside the published ones, and the reason for every gap.

A `Row` here holds the results of a row that an experiment declares; `filling.fill` makes it.
"""

from dataclasses import dataclass, field

from gradprom.experiments.declared import Column, Experiment
from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.identity import digest
from gradprom.reports.statistics.estimate import Estimate
from gradprom.reports.tables.published import Published

MAX_NARROWING = 100
"""Most characters of the narrowing overrides in a file name; many file systems allow 255 in all."""


Slot = tuple[int, str]
"""A column of numbers: the number of the table's column, and the metric."""


@dataclass
class Cell:
    """One number of the table, or the reason why there is none."""

    metric: str
    """Name in the metric registry."""
    value: Estimate | None = None
    """Of our runs; None where none has finished."""
    finished: dict[int, str] = field(default_factory=dict)
    """Ids of the runs behind it, by seed."""
    states: list[str] = field(default_factory=list)
    """Such as `2/3 seeds`, `1 failed`, `not run`, `mixed revisions`, `differing results`,
    `other data`; and what its mean leaves out, such as `1 not finite` (a run) or `2 images left
    out`."""
    published: Published | None = None
    below_degraded: bool = False
    """Whether the published number is worse than the score of the degraded input itself."""
    below_classical: bool = False
    """Whether our number is not better than the best classical filter's on the same images."""
    comparable: bool = False
    """Whether our runs use the dataset that the table declares, which is the paper's."""
    best: bool = False
    """Whether no cell of its column is better, by the paired interval and the margin."""
    paired: bool = True
    """Whether that was judged by the scores of single images, and not by the margin alone."""

    @property
    def difference(self) -> float | None:
        """Our number minus the published one; None where the two are not comparable."""
        if self.value is None or self.published is None or not self.comparable:
            return None
        return self.value.mean - self.published.mean


@dataclass
class Row:
    """One row of the table."""

    declared: DeclaredRow
    cells: dict[tuple[int, str], Cell]
    """By column number and metric; metrics that the row does not have are left out."""
    expected: dict[int, dict[int, str]] = field(default_factory=dict)
    """Ids of the runs that should exist, by column number and seed."""
    problems: list[str] = field(default_factory=list)
    """Why cells of the row cannot be run; each reason once."""
    reference: bool = False
    """Whether no run of the table produced it: the degraded input itself, a classical filter, the
    recognizer before coupled training, or the baseline of a metric."""

    def finished_runs(self, column: int) -> list[str]:
        """Ids of the runs behind the numbers of a column, each once."""
        cells = [cell for (number, _), cell in self.cells.items() if number == column]
        return list(dict.fromkeys(run for cell in cells for run in cell.finished.values()))


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval, NaN twice where there is none."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """How a row stands among others, over all cells that they have in common."""

    row: DeclaredRow
    rank: Measured
    """The mean over cells of its rank, 1 for the best."""
    win_rate: Measured
    """Its share of wins against the other rows, of 1; a difference below the margin is half one."""


@dataclass(frozen=True)
class Summary:
    """Rows that were tested on the same images, compared over all their cells."""

    slots: tuple[Slot, ...]
    """The cells, as column number and metric."""
    standings: tuple[Standing, ...]
    """The best first."""
    seeds: int
    """How many seeds all of its runs share."""
    left_out: tuple[str, ...]
    """Labels of rows that lack some of the cells."""


@dataclass
class Table:
    """A filled table."""

    experiment: Experiment
    """With only the rows and columns that the overrides select."""
    narrowing: list[str]
    """The overrides that select rows and columns, or apply to every cell."""
    degraded: list[Row]
    """Scores of the degraded inputs themselves: one row, or one for each test set."""
    rows: list[Row]
    """In the order in which the experiment declares them."""
    setup: list[str]
    """What ran, such as `dataset phantom, 64×64`; published numbers may be of another setup."""
    datasets: str = ""
    """The datasets that the table declares, as text."""
    baselines: list[Row] = field(default_factory=list)
    """Scores of the baselines of its metrics: one row for each baseline and test set."""
    classical: list[Row] = field(default_factory=list)
    """Scores of classical filters: one row for each filter and test set."""
    recognizers: list[Row] = field(default_factory=list)
    """Scores of recognizers as pre-trained: on degraded images, then on clean ones."""
    margins: dict[str, float] = field(default_factory=dict)
    """By metric, in its unit: smaller differences make none."""
    summaries: list[Summary] = field(default_factory=list)
    """Its rows over all cells; one for each set of rows and metrics that can be compared."""
    floors: list[str] = field(default_factory=list)
    """What rounding alone moves, where it was measured on one of its runs: a sentence each."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The experiment's columns."""
        return self.experiment.columns

    @property
    def key(self) -> str:
        """A name for files: the experiment's, then the overrides or, if they are long, a digest."""
        joined = "-".join(override.replace("=", "_") for override in self.narrowing)
        suffix = "".join(c if c.isalnum() or c in "_.-" else "_" for c in joined)
        if len(suffix) > MAX_NARROWING:
            suffix = digest(self.narrowing)
        return "-".join(filter(None, [self.experiment.key, suffix]))
