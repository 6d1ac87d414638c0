"""Plans of tiny runs, and files as their jobs would write them."""

import json
from pathlib import Path
from typing import Any

from support import tiny_runs

from gradprom.sweeps.plan import Job, Plan, make_plan
from gradprom.training.stage import Stage
from gradprom.training.store import StageStore


def plan(results: Path, *commands: str, retry_failed: bool = False) -> Plan:
    runs = [tiny_runs.make(results, *tiny_runs.PHANTOM, *c.split()) for c in commands]
    return make_plan(runs, retry_failed)


def put(job: Job, stage: Stage) -> None:
    """Leave a stage in the store; a plan only checks that it exists."""
    folder = StageStore(job.run.study.stages, job.run.images().fingerprint).folder(stage)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "artefact.pt").touch()


def finish(job: Job, seconds: float, **changes: Any) -> None:
    """Leave the stages and the record of a job that took so many seconds a step."""
    lineage = job.run.method.stage().lineage()
    stages = [
        {"name": s.name, "id": s.id, "steps": job.steps[s.id], "seconds": job.steps[s.id] * seconds}
        for s in lineage
    ]
    for stage in lineage:
        put(job, stage)
    record = {
        "id": job.run.id,
        "status": "finished",
        "dataset": {"fingerprint": job.run.images().fingerprint},
        "stages": stages,
        "config": {},
        "metrics": {},
        "training": {},
        **changes,
    }
    path = job.run.study.run(job.run.id) / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
