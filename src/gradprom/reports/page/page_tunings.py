"""A study's tunings as the page's template `tuning.html` shows them.

They are read from the files that a tuning's own report has written.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gradprom.metrics.registry import METRICS
from gradprom.reports.page.data import relative_link
from gradprom.reports.page.page_runs import first_order
from gradprom.runs.record import read_record
from gradprom.runs.records import Study


@dataclass(frozen=True)
class TrialView:
    """One trial."""

    texts: tuple[str, ...]
    """The cells of its row, without the last: its run."""
    run: str
    """The id of its run; empty if it has none."""


@dataclass(frozen=True)
class TuningView:
    """One tuning: its best configuration and its trials."""

    name: str
    """The name of its folder, such as `lambda-0123456789ab`."""
    best: str
    """The command that trains the best configuration; empty while no trial has finished."""
    baseline: str
    """What the tuned metric is to be held against; empty if it has no baseline."""
    columns: tuple[tuple[str, str], ...]
    """Name and order at the first click of each column, that of the runs last."""
    trials: tuple[TrialView, ...]
    pictures: tuple[tuple[str, str], ...]
    """Title and link of each figure."""
    folder: str
    """A link to its folder, where the records of its trials are."""


def tunings(study: Study, page: Path) -> list[TuningView]:
    """The tunings that have a report, by name.

    Parameters
    ----------
    study
        The study that holds them.
    page
        The page's file, to which links are relative.
    """
    reports = sorted(study.folder.glob("tune/*/report/trials.csv"))
    return [_view(path.parent, page) for path in reports]


def _view(folder: Path, page: Path) -> TuningView:
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        columns, *lines = list(csv.reader(file)) or [["run"]]
    best = folder / "best.txt"
    trials = tuple(TrialView(tuple(map(_short, line[:-1])), line[-1]) for line in lines)
    return TuningView(
        name=folder.parent.name,
        best=best.read_text(encoding="utf-8").strip() if best.is_file() else "",
        baseline=baseline_text(folder.parent, columns, [trial.run for trial in trials]),
        columns=tuple((name, _first_order(name)) for name in columns),
        trials=trials,
        pictures=tuple(
            (path.stem, relative_link(path, page)) for path in sorted(folder.glob("*.png"))
        ),
        folder=relative_link(folder.parent, page),
    )


def baseline_text(tuning: Path, metrics: Iterable[str], runs: Iterable[str]) -> str:
    """What a tuning's metric is held against, such as `always the most frequent class: 0.533`.

    Parameters
    ----------
    tuning
        The folder of the tuning.
    metrics
        Names; those that are no metric, or have no baseline, are left out.
    runs
        Ids of trials' runs, all on one validation split; the first with a score tells it.
    """
    names = [METRICS[m].baseline for m in metrics if m in METRICS and METRICS[m].baseline]
    for run in filter(None, runs):
        record, _ = read_record(tuning / "runs" / run / "record.json")
        for name in names:
            if record is not None and name in record.metrics:
                shown = METRICS[name]
                return f"{shown.full_title}: {shown.text(record.metrics[name])}"
    return ""


def _first_order(column: str) -> str:
    return first_order(METRICS[column]) if column in METRICS else "ascending"


def _short(cell: str) -> str:
    """A number with five digits; other texts, and run ids of digits alone, as they are."""
    try:
        return f"{float(cell):.5g}" if "." in cell else cell
    except ValueError:
        return cell
