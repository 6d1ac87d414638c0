"""How a study stands: what is done, queued, running, interrupted, lost, failed, and missing.

Imports neither torch nor pandas, so that the answer comes at once.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gradprom.runs.plan_note import PlanNote
from gradprom.runs.record import ErrorInfo, Record
from gradprom.runs.records import Study
from gradprom.sweeps import queue
from gradprom.sweeps.duration import duration

STATES = ("done", "running", "queued", "interrupted", "lost", "pruned", "failed", "missing")
BETWEEN = 5.0
"""Seconds between two looks of `--watch`."""


def watch(study: Study) -> None:
    """Show the overview anew every few seconds, until nothing is queued or running any more."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            seen = look(study)
            live.update(Text(overview(study, seen)), refresh=True)
            if not {"queued", "running"} & set(seen.states.values()):
                return
            time.sleep(BETWEEN)


@dataclass(frozen=True)
class Look:
    """What one look at a study's files and at its cluster has found."""

    states: dict[str, str]
    """Where each run stands, by id: one of `STATES`.

    `missing` are runs that a sweep has planned, that have no record and no job. `lost` ones began
    in a job of a cluster that is gone; both are for the next sweep.
    """
    problems: list[str]
    """A sentence for each record that is of no use."""
    plans: list[PlanNote]
    jobs: queue.Jobs


def look(study: Study) -> Look:
    """See how a study stands."""
    records, problems = study.load()
    plans, jobs = study.plans(), queue.jobs(study)
    ids = dict.fromkeys([record.id for record in records] + list(_planned(plans)))
    found = {run_id: queue.state(study, run_id, jobs) for run_id in ids}
    states = {run_id: "missing" if word == "new" else word for run_id, word in found.items()}
    return Look(states, problems, plans, jobs or {})


def overview(study: Study, seen: Look | None = None) -> str:
    """Counts, in sum and for each table, and a line for each run that has not finished."""
    seen = seen or look(study)
    found, tunings = seen.states, _tunings(study)
    if not found and not seen.problems and not tunings:
        return f"study {study.name}: no runs in {study.folder}"
    lines = [f"study {study.name}: {_counts(found.values())}"]
    lines += [
        f"  {title}: {_counts(found[run_id] for run_id in runs)}"
        for title, runs in _tables(seen.plans).items()
    ]
    labels = _planned(seen.plans)
    for state in STATES[1:]:
        for run_id in (i for i, s in found.items() if s == state):
            record = study.record(run_id)
            overrides = record.overrides if record else []
            label = labels.get(run_id) or " ".join(overrides) or "defaults"
            place = _place(study, run_id, record, state, seen.jobs.get(run_id))
            lines.append(f"  {state:<12}{run_id}  {label}{place}")
    lines += [f"  unreadable  {problem}" for problem in seen.problems]
    return "\n".join([*lines, *tunings])


def _tunings(study: Study) -> list[str]:
    """A line for each study inside this one; its name shows it on its own."""
    inner = [
        Study(study.results, f"{study.name}/tune/{path.name}")
        for path in sorted(study.folder.glob("tune/*"))
    ]
    return [f"study {each.name}: {_counts(look(each).states.values())}" for each in inner]


def _counts(words: Iterable[str]) -> str:
    counts = Counter(words)
    told = ", ".join(f"{counts[s]} {s}" for s in STATES if counts[s] or s == "done")
    return f"{counts.total()} run{'s' * (counts.total() != 1)}: {told}"


def _planned(plans: list[PlanNote]) -> dict[str, str]:
    """Labels of the runs that sweeps expect, by id."""
    return {run.id: run.label for plan in plans for run in plan.runs}


def _tables(plans: list[PlanNote]) -> dict[str, list[str]]:
    """The runs of each table that sweeps asked for, by its title."""
    found: dict[str, dict[str, None]] = {}
    for plan in plans:
        for title, runs in plan.tables.items():
            found.setdefault(title, {}).update(dict.fromkeys(runs))
    return {title: list(runs) for title, runs in found.items()}


def _place(
    study: Study,
    run_id: str,
    record: Record | None,
    state: str,
    job: queue.ClusterJob | None,
) -> str:
    """How far a run has come and where, or what stopped it."""
    if state == "failed" and record is not None:
        error = record.error or ErrorInfo()
        return f"\n{'':14}{error.type}: {error.message} ({error.where})"
    if state == "pruned" and record is not None:
        return f"  {record.reason}"
    told = []
    progress = study.progress(run_id)
    if state != "missing" and progress is not None:
        told.append(f"{progress.stage}, epoch {progress.epoch} of {progress.epochs}")
        if state == "running" and progress.seconds_left is not None:
            told.append(f"about {duration(progress.seconds_left)} left")
    if job is not None:
        told.append(f"job {job.id} on {job.node}" if job.node else f"job {job.id}: {job.reason}")
    if state == "lost" and record is not None:
        told.append(f"job {record.job} on {record.host} is gone")
        told.append(f"see {queue.log_of(study, run_id)}")
    return "".join(f"  {part}" for part in told)
