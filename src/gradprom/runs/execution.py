"""One run, from its configuration to its record."""

import functools
import logging
import os
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from gradprom.data import base, targets
from gradprom.errors import NotWritable, Pruned, first_line
from gradprom.runs import (
    code,
    data_checks,
    dataset_changes,
    history,
    notices,
    provenance,
    ranks,
)
from gradprom.runs.loggers import follow, require_installed
from gradprom.runs.record import SCHEMA, DatasetInfo, ErrorInfo, Record, StageInfo
from gradprom.runs.run import Run
from gradprom.runs.run_progress import RunProgress
from gradprom.runs.scoring import describe, score
from gradprom.storage.files import read_json, write_json, write_text
from gradprom.storage.lease import exclusive
from gradprom.training import engine, longer, precision
from gradprom.training.artefact import all_rows, histories, joined
from gradprom.training.malloc import keep_freed_memory
from gradprom.training.parallel.distributed import RankLost
from gradprom.training.parallel.placement import Place, find_place, take_device
from gradprom.training.stage import Stage, Weights
from gradprom.training.store import Slot, StageStore
from gradprom.training.workspace import fix_workspace

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL = 0.5
"""Least seconds between two writes of `progress.json`."""
Watch = Callable[[engine.Progress], None]
"""Called after each row of the history."""


def execute(run: Run, watch: Watch | None = None, holds_lease: bool = False) -> Record | None:
    """Train the missing stages of a run, evaluate it, and write its record.

    Parameters
    ----------
    run
        The run.
    watch
        Called after each row of the history; may raise Pruned to end the run.
    holds_lease
        Whether this process holds the run's lease already; otherwise it waits for it.

    Returns
    -------
    Record or None
        The record; None where another process has finished the run and its record cannot be read.

    Raises
    ------
    Pruned
        From `watch`; the run's record then says `pruned`.
    Exception
        Any other error that stopped the run; its record then says `failed`, with the error and the
        line of code. After NotWritable it says `started`, as after a kill, and the same command
        resumes the run.
    """
    options = run.config.trainer
    fix_workspace()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    device, place = engine.choose_device(options.device), find_place(options.devices)
    take_device(place, device)
    precision.require_supported(options, device)
    data_checks.require_test_sets_on_disk(run)
    ranks.require_shares(run)
    require_installed(run.config.logger)
    if place.rank > 0:
        ranks.follow_leader(run, place, device)
        return run.study.record(run.id)
    with nullcontext() if holds_lease else exclusive(run.study.leases(run.id)):
        return _execute(run, place, device, watch)


def _execute(run: Run, place: Place, device: torch.device, watch: Watch | None) -> Record | None:
    images = run.images()
    state = run.study.state(run.id, run.fingerprints())
    dataset_changes.require_own_title(run)
    dataset_changes.require_same_data(run, state)
    if state == "done":
        return run.study.record(run.id)
    if state == "other data" or (state == "new" and run.study.has_record(run.id)):
        run.study.set_aside(run.study.run(run.id))
    for data in (images, *run.test_sets().values()):
        _write_splits(run, data)
    dataset_changes.save_contents(run, images.fingerprint)
    code.keep(run.study, provenance.uncommitted().diff)
    started = _started_record(run, images, device)
    _write_record(run, started)
    with follow.followed(run) as loggers:
        record = _finished_record(run, images, started, place, device, watch, loggers)
        _write_record(run, record)
        loggers.finished(record)
    for path in run.study.run(run.id).glob(".*"):
        path.unlink(missing_ok=True)  # a temporary file left by a killed process
    for path in (run.study.run(run.id) / "progress.json", ranks.rendezvous_file(run)):
        path.unlink(missing_ok=True)
    return record


def _finished_record(
    run: Run,
    images: base.Images,
    started: Record,
    place: Place,
    device: torch.device,
    watch: Watch | None,
    loggers: follow.Followed,
) -> Record:
    """Train and evaluate a run; what stops it is in its record before it is raised."""
    start_time = time.monotonic()
    try:
        artefact = _train(run, images, place, device, watch, loggers)
        history.write(run.study.run(run.id), all_rows(artefact))
        references = _reference_weights(run, images)
        with precision.deterministic(run.config.trainer, device):
            metrics, further = score(run, artefact["weights"], device, references)
    except (RankLost, NotWritable):
        raise  # not the run's fault: the same command resumes it
    except Pruned as reason:
        _write_record(run, replace(started, status="pruned", reason=str(reason)))
        raise
    except Exception as error:
        _write_record(run, replace(started, status="failed", error=_describe(error)))
        text = f"run {run.id} ({run.label}) failed: {type(error).__name__}: {first_line(error)}"
        notices.send(run.notify, "failed", run.study.name, text)
        raise
    stages = [StageInfo.from_json(stage) for stage in artefact["stages"]]
    return replace(
        started,
        status="finished",
        metrics=metrics,
        evaluate_on=further,
        training=_last_values(histories(artefact)[run.training_id], run.method.describe().logged),
        stages=stages,
        interruptions=sum(stage.interruptions for stage in stages),
        duration=time.monotonic() - start_time,
        peak_memory=provenance.peak_memory(device),
    )


def _write_splits(run: Run, images: base.Images) -> None:
    """Store the ids of each split, once for all runs of a study that share the data."""
    path = run.study.splits(images.fingerprint)
    ids = {name: [images.ids[row] for row in rows] for name, rows in images.splits.items()}
    if read_json(path) != ids:
        if path.exists():
            log.warning("%s is damaged; it is written again", path)
        write_json(path, ids)


def _started_record(run: Run, images: base.Images, device: torch.device) -> Record:
    """The record of a run that is about to be trained."""
    config, description = run.config, run.method.describe()
    return Record(
        schema=SCHEMA,
        id=run.id,
        training_id=run.training_id,
        seed=config.seed,
        choices=run.choices,
        overrides=run.overrides,
        config=asdict(config),
        dataset=DatasetInfo(
            name=config.dataset.name,
            split=getattr(config.dataset, "split", "its own"),
            **describe(images),
        ),
        git=provenance.revision(),
        packages=provenance.packages(),
        host=socket.gethostname(),
        pid=os.getpid(),
        job=provenance.slurm_job(),
        device=f"{device.type}: {provenance.device_name(device)}",
        precision=config.trainer.precision,
        deterministic=config.trainer.deterministic,
        title=description.title,
        setup=run.setup,
        reads=run.reads,
        scores=list(run.method.metrics()),
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        status="started",
    )


def _train(
    run: Run,
    images: base.Images,
    place: Place,
    device: torch.device,
    watch: Watch | None,
    loggers: follow.Followed,
) -> dict[str, Any]:
    """The last stage's artefact, with its ancestors' histories, trained where it is missing."""
    store = StageStore(run.study.stages, images.fingerprint)
    observe = _observer(run, store, watch, loggers)

    def obtain(stage: Stage) -> dict[str, Any]:
        artefact = store.obtain(stage, functools.partial(train, stage))
        loggers.stored(histories(artefact))
        return artefact

    def train(stage: Stage, slot: Slot) -> dict[str, Any]:
        parents = {parent.id: obtain(parent) for parent in stage.parents}
        if run.config.trainer.extend and stage.id == run.training_id:
            longer.take_up(store, stage, slot, run.config.trainer)
        if loggers.open and (checkpoint := engine.load_checkpoint(slot)):
            loggers.stored({stage.id: checkpoint["history"]})
        weights = {id: parent["weights"] for id, parent in parents.items()}
        with all_ranks(stage.id):
            trained = ranks.train_stage(run, stage, weights, device, slot, observe)
        return joined(stage, trained, list(parents.values()))

    with ranks.lead_ranks(run, place, device) as all_ranks:
        return obtain(run.method.stage())


def _reference_weights(run: Run, images: base.Images) -> dict[str, Weights]:
    """The weights of the method's reference stages, of those that are stored."""
    store = StageStore(run.study.stages, images.fingerprint)
    found = {name: store.find(stage) for name, stage in run.method.reference_stages().items()}
    return {name: artefact["weights"] for name, artefact in found.items() if artefact}


def _observer(run: Run, store: StageStore, watch: Watch | None, loggers: follow.Followed) -> Watch:
    """One observer that calls all: heartbeat, loggers and `watch`."""
    observers = [_heartbeat_writer(run, store), loggers.trained]
    if watch is not None:
        observers.append(watch)  # last, because it may end the run

    def observe(progress: engine.Progress) -> None:
        for observer in observers:
            observer(progress)

    return observe


def _heartbeat_writer(run: Run, store: StageStore) -> Watch:
    """Writes the run's progress at most every `HEARTBEAT_INTERVAL` seconds."""
    last, lineage = 0.0, run.method.stage().lineage()

    @functools.cache
    def majority_share(annotations: tuple[str, ...]) -> float | None:
        if len(annotations) != 1:
            return None
        return targets.majority_share(run.images(), annotations[0], "train")

    def write_heartbeat(progress: engine.Progress) -> None:
        nonlocal last
        if time.monotonic() - last < HEARTBEAT_INTERVAL:
            return
        last = time.monotonic()
        run.study.heartbeat(
            run.id,
            RunProgress(
                stage=progress.stage.name,
                stage_id=progress.stage.id,
                epoch=progress.epoch,
                epochs=progress.stage.epochs,
                step=progress.step,
                steps=progress.steps,
                seconds_per_step=progress.seconds_per_step,
                seconds_left=_seconds_left(progress, lineage, store),
                row=progress.row,
                majority_share=majority_share(progress.stage.batches.annotations),
            ),
        )

    return write_heartbeat


def _seconds_left(progress: engine.Progress, lineage: list[Stage], store: StageStore) -> float:
    """Seconds left of the run's training, if later stages take as long for a step as this one."""
    later = lineage[[stage.id for stage in lineage].index(progress.stage.id) + 1 :]
    epochs = sum(stage.epochs for stage in later if not store.has(stage))
    steps = progress.steps - progress.step + epochs * progress.steps / progress.stage.epochs
    return steps * progress.seconds_per_step


def _write_record(run: Run, record: Record) -> None:
    write_text(run.study.run(run.id) / "config.yaml", run.yaml)
    run.study.write_record(record)


def _last_values(rows: list[dict[str, Any]], prefixes: tuple[str, ...]) -> dict[str, float]:
    """Means over a stage's rows of the logged values whose names begin so, by name."""
    import pandas as pd  # late: slow to import, and not needed for training

    frame = pd.DataFrame(rows)
    names = [name for name in map(str, frame.columns) if name.startswith(prefixes)]
    return {name: float(frame[name].mean()) for name in names}


def _describe(error: Exception) -> ErrorInfo:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return ErrorInfo(
        type=type(error).__name__,
        message=str(error),
        where=f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}",
        traceback="".join(traceback.format_exception(error)),
    )
