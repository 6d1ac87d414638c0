"""A declared table, filled from records: ours beside the published numbers, and every gap named.

Only pure functions of the expansion and the records; the renderers write what is found here.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gradprom.experiments.declared import Column, Experiment, Row
from gradprom.experiments.expansion import Cell, Expansion
from gradprom.identity import digest
from gradprom.metrics.registry import DEGRADED
from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.statistics.estimate import Estimate, estimate
from gradprom.reports.tables.published import Published, degraded_inputs, published
from gradprom.runs.record import Record, value_of

LONGEST = 100
"""Characters of what was asked in a file's name; many file systems take 255 in all."""
_STATES = {"failed": "failed", "started": "not finished"}


@dataclass
class Shown:
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
class Line:
    """One row of the table."""

    row: Row
    cells: dict[tuple[int, str], Shown]
    """By column (its number) and metric; metrics that the row does not have are left out."""
    expected: dict[int, dict[int, str]] = field(default_factory=dict)
    """Ids of the runs that should exist, by column and seed."""
    problems: list[str] = field(default_factory=list)
    """Why cells of the row cannot be run; without repetition."""


@dataclass
class Rebuilt:
    """A table as it stands."""

    experiment: Experiment
    """Narrowed as it was asked for."""
    asked: list[str]
    """The words that narrowed or changed it."""
    degraded: Line
    """What the degraded inputs themselves score."""
    lines: list[Line]
    setup: list[str]
    """What ran, such as `phantom, 64×64`; published numbers may be of another setup."""
    declared: str = ""
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


def rebuild(
    expansion: Expansion, records: dict[str, Record], asked: list[str], declared: Experiment
) -> Rebuilt:
    """Fill a table.

    Parameters
    ----------
    expansion
        The experiment, narrowed, with the run ids of its cells.
    records
        By run id.
    asked
        The words that narrowed it.
    declared
        The experiment as its file has it, before any narrowing: which dataset each cell is of.
    """
    experiment = expansion.experiment
    current = _current_data(records)
    datasets = declared.datasets()
    lines = [_line(expansion, row, records, current, datasets) for row in experiment.rows]
    _rank(lines)
    used = [records[i] for line in lines for c in line.cells.values() for i in c.finished.values()]
    degraded = _degraded(expansion, records, lines)
    for line in lines:
        _flag(experiment, line)
    named = ", ".join(dict.fromkeys(filter(None, datasets.values()))) or "no declared dataset"
    return Rebuilt(experiment, asked, degraded, lines, _setup(used), named)


def _line(
    expansion: Expansion,
    row: Row,
    records: dict[str, Record],
    current: dict[str, str],
    datasets: dict[tuple[str, str], str],
) -> Line:
    experiment = expansion.experiment
    line = Line(row, {})
    for number, column in enumerate(experiment.columns):
        cell = expansion.at(row, column)
        line.expected[number] = cell.runs
        if cell.problem and cell.problem not in line.problems:
            line.problems.append(cell.problem)
        for metric in experiment.metrics_of(row):
            shown = _shown(cell, metric, records, current)
            shown.published = published(experiment, row, column, metric)
            shown.comparable = _on(cell, records, datasets.get((row.label, column.title), ""))
            line.cells[number, metric] = shown
    return line


def _shown(cell: Cell, metric: str, records: dict[str, Record], current: dict[str, str]) -> Shown:
    there = {seed: records[run] for seed, run in cell.runs.items() if run in records}
    other = {s for s, r in there.items() if r.dataset.fingerprint != current[_data_key(r)]}
    kept = {s: r for s, r in there.items() if s not in other}
    values = {
        seed: value
        for seed, record in kept.items()
        if (value := value_of(record, metric, cell.row.test_set)) is not None
    }
    shown = Shown(metric, estimate(list(values.values())))
    shown.finished = {seed: cell.runs[seed] for seed in values}
    shown.states = _states(cell, kept, bool(other))
    return shown


def _states(cell: Cell, records: dict[int, Record], other: bool) -> list[str]:
    if cell.problem or (not records and not other):
        return ["not run"]
    counts = Counter(record.status for record in records.values())
    told = []
    if counts["finished"] < len(cell.runs):
        told.append(f"{counts['finished']}/{len(cell.runs)} seeds")
    told += [f"{counts[s]} {text}" for s, text in _STATES.items() if counts[s]]
    done = [r for r in records.values() if r.finished]
    if len({(r.git.revision, r.git.dirty) for r in done}) > 1:
        told.append("mixed revisions")
    return told + ["other data"] * other


def _data_key(record: Record) -> str:
    config = record.config["dataset"]
    return str({k: v for k, v in sorted(config.items()) if k != "root"})


def _current_data(records: dict[str, Record]) -> dict[str, str]:
    """The fingerprint of each dataset (with its options) in the newest record that has it."""
    ordered = sorted(records.values(), key=lambda record: record.started)
    return {_data_key(record): record.dataset.fingerprint for record in ordered}


def _on(cell: Cell, records: dict[str, Record], dataset: str) -> bool:
    """Whether the cell's runs are of the dataset that the table declares for it."""
    there = [records[run] for run in cell.runs.values() if run in records]
    return all(record.setting("dataset.name") == dataset for record in there)


def _rank(lines: list[Line]) -> None:
    """Mark the best and the second of each column, as far as the printed digits tell."""
    for key in {key for line in lines for key in line.cells}:
        cells = [line.cells[key] for line in lines if key in line.cells]
        metric = metric_of(key[1])
        values = {
            id(c): round(c.value.mean, metric.digits)
            for c in cells
            if c.value is not None and metric.better
        }
        best = sorted(set(values.values()), reverse=metric.better == "higher")
        for cell in cells if len(best) > 1 else ():
            if id(cell) in values and values[id(cell)] in best[:2]:
                cell.place = best.index(values[id(cell)]) + 1


def _degraded(expansion: Expansion, records: dict[str, Record], lines: list[Line]) -> Line:
    """Scores of the inputs: equal for all runs of a column that are tested on one set."""
    experiment = expansion.experiment
    row = Row("degraded input")
    found = Line(row, {})
    for number in range(len(experiment.columns)):
        for metric in experiment.metrics:
            values = [
                value
                for line in lines
                for run in _finished(line, number)
                if (value := value_of(records[run], DEGRADED + metric, line.row.test_set))
                is not None
            ]
            if values:
                # one image set, one number: runs differ in the last bit at most
                found.cells[number, metric] = Shown(metric, Estimate(values[0], None, 1))
    return found


def _finished(line: Line, number: int) -> list[str]:
    runs = [c.finished for (n, _), c in line.cells.items() if n == number]
    return [run for by_seed in runs for run in by_seed.values()]


def _flag(experiment: Experiment, line: Line) -> None:
    """Published numbers that are worse than the degraded input of the paper's own dataset."""
    for (number, metric), cell in line.cells.items():
        floor = degraded_inputs().get((experiment.name, experiment.columns[number].title, metric))
        if cell.published is not None and floor is not None:
            cell.below_degraded = metric_of(metric).sign * (cell.published.mean - floor) < 0


def _setup(records: list[Record]) -> list[str]:
    """What ran, each aspect's values without repetition."""
    aspects = {
        "dataset": lambda c: (
            f"{c['dataset']['name']} {c['dataset']['size']}×{c['dataset']['size']}"
        ),
        "enhancer": lambda c: _network(c["backbone"]),
        "recognizer": lambda c: c["auxiliary"]["backbone"],
        "epochs": lambda c: (
            f"{c['auxiliary']['epochs']} + {c['trainer']['warmup_epochs']} + "
            f"{c['trainer']['coupled_epochs']}"
        ),
    }
    configs = [record.config for record in records]
    return [
        f"{title} {', '.join(dict.fromkeys(tell(config) for config in configs))}"
        for title, tell in aspects.items()
        if configs
    ]


def _network(backbone: dict[str, Any]) -> str:
    told = (
        backbone.get("encoder") or f"{backbone.get('blocks')} blocks × {backbone.get('channels')}"
    )
    return f"{backbone['name']} ({told})"
