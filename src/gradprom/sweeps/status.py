"""The state of a study: which runs are done, queued, running, interrupted, lost, failed, missing.

Imports neither torch nor pandas, so that `gradprom status` answers at once.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gradprom import streams
from gradprom.runs.plan_note import PlanNote
from gradprom.runs.record import ErrorInfo, Record
from gradprom.runs.records import Study
from gradprom.sweeps import queue
from gradprom.sweeps.text import duration

STATES = ("done", "running", "queued", "interrupted", "lost", "pruned", "failed", "missing")
BETWEEN = 5.0
"""Seconds between two updates of `--watch`."""


def watch(study: Study) -> None:
    """Update the overview every `BETWEEN` seconds until nothing is queued or running any more.

    It also ends when there is no display any more.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            status = study_status(study)
            live.update(Text(overview(study, status)), refresh=True)
            if not {"queued", "running"} & set(status.states.values()) or streams.failure():
                return
            time.sleep(BETWEEN)


@dataclass(frozen=True)
class StudyStatus:
    """The state of a study at one moment, from its files and its cluster."""

    states: dict[str, str]
    """The state of each run, by id: one of `STATES`.

    A run is `missing` if a sweep has planned it and it has no record and no job, and `lost` if it
    started in a cluster job that is gone. The next sweep runs both.
    """
    problems: list[str]
    """A sentence for each record that cannot be used."""
    plans: list[PlanNote]
    jobs: queue.Jobs


def study_status(study: Study) -> StudyStatus:
    """Read the state of a study."""
    records, problems = study.load()
    plans, jobs = study.plans(), queue.jobs(study)
    ids = dict.fromkeys([record.id for record in records] + list(_planned(plans)))
    states = {run_id: queue.state(study, run_id, jobs) for run_id in ids}
    by_id = {run_id: "missing" if state == "new" else state for run_id, state in states.items()}
    return StudyStatus(by_id, problems, plans, jobs or {})


def overview(study: Study, status: StudyStatus | None = None) -> str:
    """Counts, in total and for each table, and a line for each run that has not finished."""
    status = status or study_status(study)
    states, tunings = status.states, _tunings(study)
    if not states and not status.problems and not tunings:
        return f"study {study.name}: no runs in {study.folder}"
    lines = [f"study {study.name}: {_counts(states.values())}"]
    lines += [
        f"  {title}: {_counts(states[run_id] for run_id in runs)}"
        for title, runs in _tables(status.plans).items()
    ]
    labels = _planned(status.plans)
    for state in STATES[1:]:
        for run_id in (i for i, s in states.items() if s == state):
            record = study.record(run_id)
            overrides = record.overrides if record else []
            label = labels.get(run_id) or " ".join(overrides) or "defaults"
            place = _place(study, run_id, record, state, status.jobs.get(run_id))
            lines.append(f"  {state:<12}{run_id}  {label}{place}")
    lines += [f"  unreadable  {problem}" for problem in status.problems]
    return "\n".join([*lines, *tunings])


def _tunings(study: Study) -> list[str]:
    """A line for each tuning of this study; `study=` with the printed name shows its runs."""
    inner = [
        Study(study.results, f"{study.name}/tune/{path.name}")
        for path in sorted(study.folder.glob("tune/*"))
    ]
    return [
        f"study {tuning.name}: {_counts(study_status(tuning).states.values())}" for tuning in inner
    ]


def _counts(states: Iterable[str]) -> str:
    counts = Counter(states)
    parts = ", ".join(f"{counts[s]} {s}" for s in STATES if counts[s] or s == "done")
    return f"{counts.total()} run{'s' * (counts.total() != 1)}: {parts}"


def _planned(plans: list[PlanNote]) -> dict[str, str]:
    """Labels of the runs that sweeps expect, by id; all overrides where sweeps share a label."""
    runs = {run.id: run for plan in plans for run in plan.runs}
    counts = Counter(run.label for run in runs.values())
    return {
        run.id: run.label if counts[run.label] == 1 else " ".join(run.overrides) or run.label
        for run in runs.values()
    }


def _tables(plans: list[PlanNote]) -> dict[str, list[str]]:
    """The runs of each table that sweeps asked for, by its title."""
    tables: dict[str, dict[str, None]] = {}
    for plan in plans:
        for title, runs in plan.tables.items():
            tables.setdefault(title, {}).update(dict.fromkeys(runs))
    return {title: list(runs) for title, runs in tables.items()}


def _place(
    study: Study,
    run_id: str,
    record: Record | None,
    state: str,
    job: queue.ClusterJob | None,
) -> str:
    """How far a run has come and where it runs, or what stopped it."""
    if state == "failed" and record is not None:
        error = record.error or ErrorInfo()
        return f"\n{'':14}{error.type}: {error.message} ({error.where})"
    if state == "pruned" and record is not None:
        return f"  {record.reason}"
    parts = []
    progress = study.progress(run_id)
    if state != "missing" and progress is not None:
        parts.append(f"{progress.stage}, epoch {progress.epoch} of {progress.epochs}")
        if state == "running" and progress.seconds_left is not None:
            parts.append(f"about {duration(progress.seconds_left)} left")
    if job is not None:
        parts.append(f"job {job.id} on {job.node}" if job.node else f"job {job.id}: {job.reason}")
    if state == "lost" and record is not None:
        parts.append(f"job {record.job} on {record.host} is gone")
        parts.append(f"see {queue.log_of(study, run_id)}")
    return "".join(f"  {part}" for part in parts)
