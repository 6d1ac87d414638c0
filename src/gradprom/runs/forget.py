"""Runs from before a fix are set aside; nothing that was computed is deleted."""

from contextlib import ExitStack
from pathlib import Path

from gradprom.errors import RunError
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.runs.restore import load_run
from gradprom.storage.lease import Applicant
from gradprom.training.store import StageStore


def forget(study: Study, prefixes: list[str], stages: bool) -> list[tuple[Path, Path]]:
    """Move runs and their last stages to `results/set-aside`.

    With `stages`, all stages that they are made of, which other runs may share. Returns what was
    moved and where to.

    Raises
    ------
    RunError
        If a run is not there or is running, or a stage is being trained; then nothing is moved.
    """
    records = _resolve(study, prefixes)
    folders = {f: None for r in records for f in _stage_folders(study, r, stages) if f.exists()}
    for record in records:
        if study.state(record.id) == "running":
            raise RunError(f"run {record.id} is running; stop it before it is set aside")
    paths = [*(study.run(record.id) for record in records), *folders]
    runs = [study.leases(record.id) for record in records]
    with ExitStack() as stack:
        for folder in [*runs, *folders]:
            # the lease keeps others from starting on the run or stage between look and move
            lease = Applicant(folder).try_acquire()
            if lease is None:
                kind = "run" if folder in runs else "stage"
                raise RunError(f"{kind} {folder.name} is being trained; wait, or stop it")
            stack.enter_context(lease.heartbeat())
        return [(path, study.set_aside(path)) for path in paths]


def _resolve(study: Study, prefixes: list[str]) -> list[Record]:
    """The records, each once."""
    records = [study.resolve(prefix) for prefix in prefixes]
    return list({record.id: record for record in records}.values())


def _stage_folders(study: Study, record: Record, every: bool) -> list[Path]:
    """Where a run's last stage is, or all of its stages."""
    store = StageStore(study.stages, record.dataset.fingerprint)
    if not every:
        return [store.place(record.training_id)]
    if record.stages:
        return [store.place(stage.id) for stage in record.stages]
    # a run that has not finished only has its configuration to tell
    return [store.folder(stage) for stage in load_run(study, record.id).method.stage().lineage()]
