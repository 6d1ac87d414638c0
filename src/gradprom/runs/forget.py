"""Set runs aside, such as those from before a fix; nothing that was computed is deleted."""

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

    Parameters
    ----------
    study
        The study of the runs.
    prefixes
        The runs' ids, or their first digits.
    stages
        Move all stages of the runs, which other runs may share, and not the last ones alone.

    Returns
    -------
    list
        Each folder that was moved, and its new path.

    Raises
    ------
    RunError
        If a run does not exist or is running, or a stage is being trained; then nothing is moved.
    """
    records = _resolve(study, prefixes)
    folders = {f: None for r in records for f in _stage_folders(study, r, stages) if f.exists()}
    for record in records:
        if study.state(record.id) == "running":
            raise RunError(f"run {record.id} is running; stop it before you set it aside")
    paths = [*(study.run(record.id) for record in records), *folders]
    runs = [study.leases(record.id) for record in records]
    with ExitStack() as stack:
        for folder in [*runs, *folders]:
            # the lease keeps other processes from starting the run or stage before it is moved
            lease = Applicant(folder).try_acquire()
            if lease is None:
                kind = "run" if folder in runs else "stage"
                raise RunError(f"{kind} {folder.name} is being trained; wait, or stop it")
            stack.enter_context(lease.heartbeat())
        moved = [(path, study.set_aside(path)) for path in paths]
    study.drop_from_plans({record.id for record in records})
    return moved


def _resolve(study: Study, prefixes: list[str]) -> list[Record]:
    """The records, each once."""
    records = [study.resolve(prefix) for prefix in prefixes]
    return list({record.id: record for record in records}.values())


def _stage_folders(study: Study, record: Record, all_stages: bool) -> list[Path]:
    """The folder of a run's last stage, or of all its stages."""
    store = StageStore(study.stages, record.dataset.fingerprint)
    if not all_stages:
        return [store.folder_by_id(record.training_id)]
    if record.stages:
        return [store.folder_by_id(stage.id) for stage in record.stages]
    # the record of an unfinished run lists no stages; its configuration defines them
    return [store.folder(stage) for stage in load_run(study, record.id).method.stage().lineage()]
