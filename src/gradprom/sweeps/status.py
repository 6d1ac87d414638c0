"""How a study stands: what is done, running, interrupted, failed, and missing.

Imports neither torch nor pandas, so that the answer comes at once.
"""

from collections import Counter
from typing import Any

from gradprom.sweeps.records import Study, read_plan

STATES = ("done", "running", "interrupted", "failed", "missing")


def overview(study: Study) -> str:
    """Counts, and a line for each run that has not finished.

    `missing` are runs that a sweep has planned and that have no record.
    """
    found, problems = study.load()
    records = {record["id"]: record for record in found}
    planned = _planned(study)
    states = {run_id: study.state(run_id) for run_id in records}
    states |= {run_id: "missing" for run_id in planned if run_id not in records}
    if not states and not problems:
        return f"study {study.name}: no runs in {study.folder}"
    counts = Counter(states.values())
    told = ", ".join(f"{counts[s]} {s}" for s in STATES if counts[s] or s == "done")
    lines = [f"study {study.name}: {len(states)} run{'s' * (len(states) != 1)}: {told}"]
    for state in STATES[1:]:
        for run_id in (i for i, s in states.items() if s == state):
            label = planned.get(run_id) or " ".join(records[run_id]["overrides"]) or "defaults"
            place = _place(study, run_id, records.get(run_id), state)
            lines.append(f"  {state:<12}{run_id}  {label}{place}")
    lines += [f"  unreadable  {problem}" for problem in problems]
    return "\n".join(lines)


def _planned(study: Study) -> dict[str, str]:
    """Labels of the runs that the study's sweeps expect, by id."""
    plans = [read_plan(path) for path in sorted(study.folder.glob("sweeps/*/plan.json"))]
    return {run["id"]: run["label"] for plan in plans for run in plan.get("runs", [])}


def _place(study: Study, run_id: str, record: dict[str, Any] | None, state: str) -> str:
    """How far a run has come, or what stopped it and where."""
    if state == "failed" and record is not None:
        error = record["error"]
        return f"\n{'':14}{error['type']}: {error['message']} ({error['where']})"
    progress = study.progress(run_id)
    if state == "missing" or progress is None:
        return ""
    return f"  {progress['stage']}, epoch {progress['epoch']} of {progress['epochs']}"
