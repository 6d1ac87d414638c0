"""`gradprom runs`: the runs of a study, with what tells them apart, scores, age and state."""

import time

from gradprom.errors import MOST_LINES
from gradprom.metrics.registry import METRICS, Metric
from gradprom.reports.finding.find import candidates, select
from gradprom.reports.finding.labels import labels
from gradprom.reports.finding.words import Candidate
from gradprom.runs.record import value_of
from gradprom.runs.records import Study
from gradprom.sweeps.text import age

_BESIDE = ("balanced_accuracy",)
"""Scores that are shown although tables leave them out: accuracy says little without them."""


def listing(study: Study, words: list[str]) -> str:
    """A line for each run that all words select, the newest first; unreadable records last.

    Parameters
    ----------
    study
        The study of the runs.
    words
        As for `find.select`; none select every run.

    Raises
    ------
    RunError
        If a word selects no run.
    """
    everything = candidates(study)
    problems = [] if words else study.load()[1]
    if not everything and not problems:
        return f"study {study.name}: no runs in {study.folder}"
    texts = [text for word in words for text in word.split()]
    runs = select(study, everything, texts) if texts else everything
    shown = f"{len(runs)} of {len(everything)}" if texts else str(len(runs))
    lines = [f"study {study.name}: {shown} run{'s' * (len(everything) != 1)}"]
    lines += _table(_rows(runs, labels(runs, everything))) if runs else []
    lines += [f"unreadable  {problem}" for problem in problems[:MOST_LINES]]
    if len(problems) > MOST_LINES:
        lines.append(f"unreadable  {len(problems) - MOST_LINES} more")
    return "\n".join(lines)


def _rows(runs: list[Candidate], texts: dict[str, str]) -> list[list[str]]:
    scores = _scores(runs)
    rows = [["id", "run", *(metric.title for metric in scores), "age", "state"]]
    now = time.time()
    for run in runs:
        values = [value_of(run.record, metric.name) for metric in scores]
        numbers = ["–" if v is None else m.number(v) for m, v in zip(scores, values, strict=True)]
        since = age(now - run.started) if run.started else "–"
        rows.append([run.id, texts[run.id], *numbers, since, run.state])
    return rows


def _scores(runs: list[Candidate]) -> list[Metric]:
    """The scores that any of the runs has."""
    return [
        metric
        for name, metric in METRICS.items()
        if metric.source == "images"
        and (metric.main or name in _BESIDE)
        and any(value_of(run.record, name) is not None for run in runs)
    ]


def _table(rows: list[list[str]]) -> list[str]:
    """Columns as wide as their cells; numbers and ages to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.rjust(width) if 2 <= place < last else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
