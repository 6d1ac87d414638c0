"""A table of records: rows are configurations, columns degradation × metric, cells mean ± std."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from gradprom.identity import digest
from gradprom.metrics.registry import DEGRADED, main_metrics
from gradprom.reports.statistics.estimate import Estimate, estimate
from gradprom.reports.sweep_table.columns import rank, title
from gradprom.runs.record import Record

# shown first, in this order, when they vary; other keys of the configuration follow
CHOICES = ("method", "dataset", "backbone", "auxiliary", "strategy", "profile")
# what a cell averages over, what its column says, and what cannot change a result
_NOT_IN_ROWS = (
    "seed",
    "strategy.seed",
    "study",
    "results",
    "logger",
    "dataset.root",
)
_NOT_COMPARED = (
    "degradation.",
    "facts.",
    "trainer.device",
    "trainer.compile",
    "trainer.channels_last",
    "trainer.threads",
    "trainer.log_every",
    "trainer.checkpoint_seconds",
    "evaluation.batch_size",
    "evaluation.panels",
)
# what a method or strategy does not read: Benchmark-i is one row, whatever stood in the command
_NOT_READ = {
    "recognizer": ("backbone.", "strategy.", "supervision", "trainer.lr", "trainer.warmup_epochs"),
    "mainstream": ("auxiliary.", "supervision"),
}


@dataclass
class Cell:
    """One mean over seeds and the runs behind it."""

    value: Estimate | None
    """None where no run of the cell has finished."""
    runs: list[str]
    note: str = ""
    """Such as `1 failed` or `mixed revisions`."""


@dataclass
class Row:
    """One configuration (seed and degradation apart)."""

    label: str
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    """By column and metric."""
    decisions: dict[str, dict[str, float]] = field(default_factory=dict)
    """The means of what training logged, such as the share of open gates, by column and metric."""


@dataclass
class Table:
    """Rows of configurations; the first ones are the degraded inputs themselves."""

    columns: list[str]
    """Degradations in words, such as `σ=0.1`."""
    metrics: list[str]
    rows: list[Row]


def build(records: list[Record]) -> Table:
    """The table of some records, finished or not."""
    degradations = {_column(record): record.config["degradation"] for record in records}
    columns = sorted(degradations, key=lambda column: rank(degradations[column]))
    names = [metric.name for metric in main_metrics()]
    shown = [name for name in names if any(name in r.metrics for r in records)]
    grouped: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        grouped[digest(row_key(record))].append(record)
    labels = _labels([group[0] for group in grouped.values()])
    rows = [
        _row(label, group, shown) for label, group in zip(labels, grouped.values(), strict=True)
    ]
    return Table(columns, shown, [*_degraded(records, shown), *rows])


def _row(label: str, records: list[Record], shown: list[str]) -> Row:
    row = Row(label)
    by_column: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_column[_column(record)].append(record)
    for column, group in by_column.items():
        finished = [record for record in group if record.status == "finished"]
        for metric in shown:
            values = [r.metrics[metric] for r in finished if metric in r.metrics]
            if values or not finished:
                runs = [record.id for record in finished]
                row.cells[column, metric] = Cell(estimate(values), runs, _note(group))
        row.decisions[column] = _decisions(finished)
    return row


def _note(group: list[Record]) -> str:
    """What a reader must know of a cell's runs; nothing if all went well."""
    states = [record.status for record in group]
    notes = [f"{states.count(s)} {word}" for s, word in _STATES.items() if s in states]
    finished = [record for record in group if record.status == "finished"]
    if len({(r.git.revision, r.git.dirty) for r in finished}) > 1:
        notes.append("mixed revisions")
    if len({r.dataset.fingerprint for r in finished}) > 1:
        notes.append("mixed data")
    return ", ".join(notes)


_STATES = {"failed": "failed", "pruned": "pruned", "started": "not finished"}


def _decisions(records: list[Record]) -> dict[str, float]:
    """What training logged, such as the share of open gates: means over tasks and seeds."""
    means = {}
    for metric in main_metrics("training"):
        values = [metric.of_training(record.training) for record in records]
        if logged := [value for value in values if value is not None]:
            means[metric.name] = sum(logged) / len(logged)
    return means


def _degraded(records: list[Record], shown: list[str]) -> list[Row]:
    """A row for each test set: what the input itself scores."""
    sets: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "finished":
            sets[digest(_test_set(record))].append(record)
    labels = _test_labels([_test_set(group[0]) for group in sets.values()])
    rows = [Row(" ".join(["degraded input", *told])) for told in labels]
    for row, group in zip(rows, sets.values(), strict=True):
        for record in group:
            for metric in shown:
                if (value := record.metrics.get(DEGRADED + metric)) is not None:
                    row.cells.setdefault((_column(record), metric), Cell(estimate([value]), []))
    return rows


def _test_set(record: Record) -> dict[str, Any]:
    """What degraded inputs depend on, the degradation apart."""
    read = {k: v for k, v in row_key(record).items() if k.startswith(_READ_IN_TESTS)}
    return {**read, "data": record.dataset.fingerprint[:8]}


_READ_IN_TESTS = ("dataset.", "evaluation.seed")


def _test_labels(sets: list[dict[str, Any]]) -> list[list[str]]:
    """The dataset's name if there are several, then the keys that vary between its test sets."""
    labels = []
    for own in sets:
        alike = [other for other in sets if other["dataset.name"] == own["dataset.name"]]
        varied = [k for k in own if any(other.get(k) != own[k] for other in alike)]
        # another fingerprint follows from another size or split, and is not worth its place
        told = [f"{k}={own[k]}" for k in varied if k != "data" or varied == ["data"]]
        labels.append([own["dataset.name"], *told] if len(alike) < len(sets) else told)
    return labels


def _column(record: Record) -> str:
    return title(record.config["degradation"])


_YOUNGER = {
    "validation": 0.0,
    "strategy.gate_on": "all",
    "trainer.precision": "float32",
    "trainer.compile": False,
    "trainer.channels_last": False,
}
"""Keys that are younger than stored records, with the value that those would have."""


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested configuration as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat if prefix else {**flat, **{k: v for k, v in _YOUNGER.items() if k not in flat}}


def row_key(record: Record) -> dict[str, Any]:
    """What a run reads of its configuration, but for seed and degradation, as dotted keys."""
    config = record.config
    idle = _NOT_COMPARED + _NOT_READ.get(
        config["method"]["name"], _NOT_READ.get(config["strategy"]["name"], ())
    )
    return {
        key: value
        for key, value in flatten(config).items()
        if key not in _NOT_IN_ROWS and not key.startswith(idle)
    }


def _labels(records: list[Record]) -> list[str]:
    """What tells rows apart: the strategy, the groups that vary, then single keys that vary."""
    chosen_of = {
        group: {choice_of(record, group) for record in records} - {""} for group in CHOICES
    }
    varied = [g for g, names in chosen_of.items() if g == "strategy" or len(names) > 1]
    chosen = [tuple(choice_of(record, group) for group in varied) for record in records]
    labels = []
    for record, choice in zip(records, chosen, strict=True):
        alike = [row_key(r) for r, c in zip(records, chosen, strict=True) if c == choice]
        own = row_key(record)
        # two rows may be told apart by a key that a choice of group does not show
        differing = [k for k in own if any(other.get(k) != own[k] for other in alike)]
        told = [*filter(None, choice), *(f"{k}={own[k]}" for k in differing)]
        labels.append(" ".join(told) or record.choices["method"])
    return labels


def choice_of(record: Record, group: str) -> str:
    """The file a group was taken from; nothing where it has no effect on the run."""
    choices = record.choices
    if choices["method"] == "recognizer" and group in ("strategy", "backbone"):
        return ""
    if choices["strategy"] == "mainstream" and group == "auxiliary":
        return ""
    return choices[group]
