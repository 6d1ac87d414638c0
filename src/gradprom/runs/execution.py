"""One run, from its configuration to its record."""

import functools
import logging
import os
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from gradprom.data import base
from gradprom.errors import NotWritable, Pruned
from gradprom.runs import dataset_changes, history, provenance, ranks, tensorboard
from gradprom.runs.record import SCHEMA, DatasetInfo, ErrorInfo, Record, StageInfo
from gradprom.runs.run import Run
from gradprom.runs.run_progress import RunProgress
from gradprom.runs.scoring import describe, score
from gradprom.storage.files import read_json, write_json, write_text
from gradprom.storage.lease import exclusive
from gradprom.training import engine, precision
from gradprom.training.artefact import all_rows, histories, joined
from gradprom.training.malloc import keep_freed_memory
from gradprom.training.parallel.distributed import RankLost
from gradprom.training.parallel.placement import Place, find_place, take_device
from gradprom.training.stage import Stage
from gradprom.training.store import Slot, StageStore

log = logging.getLogger(__name__)

TELL = 0.5
"""Least seconds between two words on where a run stands."""


Watch = Callable[[engine.Progress], None]


def execute(run: Run, watch: Watch | None = None) -> Record | None:
    """Train what is missing of a run, evaluate it, and write its record, which is returned.

    None is returned where the record of a run that another process has finished cannot be read.

    `watch` is told of each row of the history as well; it may raise Pruned to end the run.

    Raises
    ------
    Pruned
        From `watch`; the run's record then says `pruned`.
    Exception
        What else stopped the run; its record then says `failed`, with the error and its place.
        After NotWritable it says `started`, as after a kill: the same command goes on.
    """
    options = run.config.trainer
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    device, place = engine.choose_device(options.device), find_place(options.devices)
    take_device(place, device)
    precision.require_supported(options, device)
    ranks.require_shares(run)
    if place.rank > 0:
        ranks.follow_leader(run, place, device)
        return run.study.record(run.id)
    with exclusive(run.study.leases(run.id)):
        return _execute(run, place, device, watch)


def _execute(run: Run, place: Place, device: torch.device, watch: Watch | None) -> Record | None:
    images = run.images()
    state = run.study.state(run.id, run.fingerprints())
    dataset_changes.require_same_data(run, state)
    if state == "done":
        return run.study.record(run.id)
    if state == "other data" or (state == "new" and run.study.has_record(run.id)):
        run.study.set_aside(run.study.run(run.id))
    for data in (images, *run.test_sets().values()):
        _keep_splits(run, data)
    dataset_changes.note(run, images.fingerprint)
    head = _head(run, images, device)
    _write_record(run, head)
    began = time.monotonic()
    try:
        artefact = _train(run, images, place, device, watch)
        rows = all_rows(artefact)
        history.write(run.study.run(run.id), rows)
        metrics, others = score(run, artefact["weights"], device)
    except (RankLost, NotWritable):
        raise  # no fault of the run: it goes on when it is asked for again
    except Pruned as reason:
        _write_record(run, replace(head, status="pruned", reason=str(reason)))
        raise
    except Exception as error:
        _write_record(run, replace(head, status="failed", error=_describe(error)))
        raise
    stages = [StageInfo.from_json(stage) for stage in artefact["stages"]]
    record = replace(
        head,
        status="finished",
        metrics=metrics,
        evaluate_on=others,
        training=_last_values(histories(artefact)[run.training_id], run.method.describe().logged),
        stages=stages,
        interruptions=sum(stage.interruptions for stage in stages),
        duration=time.monotonic() - began,
        peak_memory=provenance.peak_memory(device),
    )
    _write_record(run, record)
    for path in run.study.run(run.id).glob(".*"):
        path.unlink()  # a draft that a killed process has left
    for path in (run.study.run(run.id) / "progress.json", ranks.meeting(run)):
        path.unlink(missing_ok=True)
    return record


def _keep_splits(run: Run, images: base.Images) -> None:
    """The ids of each split, once for all runs of a study that share the data."""
    path = run.study.splits(images.fingerprint)
    ids = {name: [images.ids[row] for row in rows] for name, rows in images.splits.items()}
    kept = read_json(path)
    if kept != ids:
        if path.exists():
            log.warning("%s is damaged; it is written again", path)
        write_json(path, ids)


def _head(run: Run, images: base.Images, device: torch.device) -> Record:
    """What is known of a run before it is trained."""
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
        job=provenance.this_job(),
        device=f"{device.type}: {provenance.device_name(device)}",
        precision=config.trainer.precision,
        title=description.title,
        setup={"dataset": run.dataset_label, **description.parts},
        reads=run.reads,
        scores=list(run.method.metrics()),
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        status="started",
    )


def _train(
    run: Run, images: base.Images, place: Place, device: torch.device, watch: Watch | None
) -> dict[str, Any]:
    """The last stage's artefact, with its ancestors' histories, trained where it is missing."""
    store = StageStore(run.study.stages, images.fingerprint)
    observe = _observer(run, store, watch)

    def obtain(stage: Stage) -> dict[str, Any]:
        return store.obtain(stage, functools.partial(train, stage))

    def train(stage: Stage, slot: Slot) -> dict[str, Any]:
        parents = {parent.id: obtain(parent) for parent in stage.parents}
        weights = {id: parent["weights"] for id, parent in parents.items()}
        with together(stage.id):
            trained = ranks.train_stage(run, stage, weights, device, slot, observe)
        return joined(stage, trained, list(parents.values()))

    with ranks.leading(run, place, device) as together:
        return obtain(run.method.stage())


def _observer(run: Run, store: StageStore, watch: Watch | None) -> Watch:
    """What each row of the history goes to while a stage is trained."""
    told = [_teller(run, store)]
    if run.config.logger != "csv":
        told.append(tensorboard.writer(run.study.run(run.id) / "tensorboard"))
    if watch is not None:
        told.append(watch)  # the last, for it may end the run

    def observe(progress: engine.Progress) -> None:
        for tell in told:
            tell(progress)

    return observe


def _teller(run: Run, store: StageStore) -> Watch:
    """Leaves word of where the run stands, not more often than every `TELL` seconds."""
    last, lineage = 0.0, run.method.stage().lineage()

    def tell(progress: engine.Progress) -> None:
        nonlocal last
        if time.monotonic() - last < TELL:
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
            ),
        )

    return tell


def _seconds_left(progress: engine.Progress, lineage: list[Stage], store: StageStore) -> float:
    """Of the run's training, if the stages after this one go at its pace."""
    after = lineage[[stage.id for stage in lineage].index(progress.stage.id) + 1 :]
    epochs = sum(stage.epochs for stage in after if not store.has(stage))
    steps = progress.steps - progress.step + epochs * progress.steps / progress.stage.epochs
    return steps * progress.seconds_per_step


def _write_record(run: Run, record: Record) -> None:
    write_text(run.study.run(run.id) / "config.yaml", run.yaml)
    run.study.keep(record)


def _last_values(rows: list[dict[str, Any]], kept: tuple[str, ...]) -> dict[str, float]:
    """Means over a stage's rows of the logged values whose names begin so, by name."""
    import pandas as pd  # late, for it takes a while and training does without

    frame = pd.DataFrame(rows)
    names = [name for name in map(str, frame.columns) if name.startswith(kept)]
    return {name: float(frame[name].mean()) for name in names}


def _describe(error: Exception) -> ErrorInfo:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return ErrorInfo(
        type=type(error).__name__,
        message=str(error),
        where=f"{Path(place.filename).name}:{place.lineno} in {place.name}",
        traceback="".join(traceback.format_exception(error)),
    )
