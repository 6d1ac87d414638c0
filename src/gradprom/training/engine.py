"""The engine: trains one stage from its last checkpoint to its end.

Everything random at step t follows from (seed, stage name, t), so that a checkpoint needs no
random state, a resumed stage continues bit for bit, and runs that differ in their strategy see the
same batches, augmentations and noise.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradprom.config import Trainer
from gradprom.data.loader import Loader
from gradprom.errors import RunError
from gradprom.randomness import stream
from gradprom.storage import preemption
from gradprom.storage.preemption import Interrupted
from gradprom.training.graph import Updates
from gradprom.training.parallel import distributed
from gradprom.training.stage import Stage, Training
from gradprom.training.store import Slot


@dataclass
class Progress:
    """The progress of a stage's training, after each row of its history."""

    stage: Stage
    step: int
    """Steps done."""
    steps: int
    """Steps in all epochs of the stage."""
    epoch: int
    """The present epoch, from 1."""
    row: dict[str, float]
    """The row: means of logged values since the previous one, by name."""
    seconds_per_step: float


log = logging.getLogger(__name__)

FORMAT = 2
"""Version of the checkpoint's content; a checkpoint of another version is not resumed."""
Observe = Callable[[Progress], None]
"""Called after each row of the history."""
Measure = Callable[[Training], dict[str, float]]
"""From a stage in training to validation scores by name."""


class NonFinite(RunError):
    """A loss or gradient became NaN or infinite; the update was skipped."""


def train(
    stage: Stage,
    build: Callable[[int], Training],
    loader: Loader,
    slot: Slot,
    options: Trainer,
    observe: Observe,
    measure: Measure | None = None,
) -> dict[str, Any]:
    """Train a stage to its end, from its last checkpoint if it has one.

    Parameters
    ----------
    stage
        The stage.
    build
        Makes the training, given the number of steps in an epoch.
    loader
        Draws its batches.
    slot
        Where checkpoints are stored.
    options
        The section `trainer` of the configuration.
    observe
        Called after each row of the history.
    measure
        Measures validation scores after each epoch; each epoch then ends a row, which has them.

    Returns
    -------
    dict
        `weights`; `history`, a row for each `log_every` steps with the mean of each value over
        them; `interruptions`, how often it was resumed; `seconds`; `updates`, how they were taken
        (`graph.Updates.kind`).

    Raises
    ------
    NonFinite
        With the step and the last finite values; the last good checkpoint stays.
    Interrupted
        After a preemption signal and a checkpoint: at once on one device, at the end of the row
        on several, which must all stop at the same step.
    """
    seed = stream(stage.seed, stage.name)
    steps = stage.epochs * loader.steps_per_epoch
    torch.manual_seed(stream(seed, "initial weights"))
    training = build(loader.steps_per_epoch)

    step, history, interruptions, seconds = 0, [], 0, 0.0
    meter: list[dict[str, Tensor]] = []
    checkpoint = distributed.share(load_checkpoint(slot))
    if checkpoint is not None:
        # counted at once, so that a resume that ends before the next checkpoint counts too
        # but not the beginning that a longer stage takes from a shorter one
        if "begun_by" not in checkpoint:
            interruptions = slot.count_resume()
        training.load_state_dict(checkpoint["training"])
        step, history = checkpoint["step"], checkpoint["history"]
        seconds = checkpoint["seconds"]
        meter = [_to_device(loader.device, logs) for logs in checkpoint["meter"]]
    update = Updates(stage.name, training, options, loader.device)

    def state() -> dict[str, Any]:
        return {
            "format": FORMAT,
            "training": training.state_dict(),
            "step": step,
            "history": history,
            "seconds": seconds + time.monotonic() - row_began,
            "meter": meter,
        }

    def save() -> None:
        slot.save_checkpoint(state())

    row_began = saved = time.monotonic()
    while step < steps:
        if options.extend and not stage.bound_to_length and 0 < step == steps - 1:
            slot.save_end({**state(), "log_every": options.log_every})
        # each rank sees other images, and so needs random numbers of its own
        torch.manual_seed(stream(seed, step, "networks") + distributed.rank())
        batch = loader.batch(seed, step)
        step += 1
        measured = measure is not None and step % loader.steps_per_epoch == 0
        ends_row = step % options.log_every == 0 or step == steps or measured
        probes = ends_row and _probe_is_due(stage, step, steps, rows_end=step - 1 - len(meter))
        logs = update(batch, probe=probes)
        meter.append({key: value.detach() for key, value in logs.items()})
        if not ends_row:
            if distributed.ranks() == 1 and preemption.requested():
                save()
                raise Interrupted
            continue

        # the only place where the host waits for the device
        row = _read(meter, stage, step, history)
        if measure is not None and measured:
            row |= measure(training)
        epoch = math.ceil(step / loader.steps_per_epoch)
        history.append({"stage": stage.name, "epoch": epoch, "step": step, **row})
        now = time.monotonic()
        seconds += now - row_began
        pace = (now - row_began) / len(meter)
        meter, row_began = [], now
        observe(Progress(stage, step, steps, epoch, row, pace))
        stops = distributed.share(preemption.requested())  # all ranks at the same row
        if step < steps and (stops or now - saved >= options.checkpoint_seconds):
            save()
            saved = time.monotonic()
            if stops:
                raise Interrupted
    return {
        "weights": training.artefact(),
        "history": history,
        "interruptions": interruptions,
        "seconds": seconds,
        "updates": update.kind,
    }


def _probe_is_due(stage: Stage, step: int, steps: int, rows_end: int) -> bool:
    """Whether a row that ends at a step ends with a probe; the one before ended at `rows_end`.

    A function of the steps alone, so that a resumed stage probes where it would have anyway.
    """
    return step == steps or step // stage.probe_every > rows_end // stage.probe_every


def _to_device(device: torch.device, logs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.to(device) for key, value in logs.items()}


def load_checkpoint(slot: Slot) -> dict[str, Any] | None:
    """The last checkpoint of a stage, with its `history`; None if there is none to resume from."""
    checkpoint = slot.load_checkpoint()
    if checkpoint is not None and checkpoint.get("format") != FORMAT:
        log.warning("a checkpoint of another version cannot be resumed; the stage starts again")
        return None
    return checkpoint


def _read(
    meter: list[dict[str, Tensor]], stage: Stage, step: int, history: list[dict[str, Any]]
) -> dict[str, float]:
    """Mean of each logged value over the steps that logged it; raises NonFinite."""
    keys = list(dict.fromkeys(key for logs in meter for key in logs))
    values = {
        key: torch.stack([logs[key].float() for logs in meter if key in logs]).tolist()
        for key in keys
    }
    values = distributed.average_rows(values)
    finite = values.pop("finite")
    if not all(finite):
        failed_step = step - len(meter) + finite.index(0.0) + 1
        last = history[-1] if history else {}
        losses = ", ".join(f"{k} {v:.4g}" for k, v in last.items() if k.startswith("loss"))
        raise NonFinite(
            f"a loss or gradient is not finite at step {failed_step} of stage {stage.name}; "
            f"last finite values: {losses or 'none'} (step {last.get('step', 0)})"
        )
    return {key: sum(items) / len(items) for key, items in values.items()}


def choose_device(name: str) -> torch.device:
    """The device that `trainer.device` names; `auto` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    RunError
        If the machine does not have it.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, present in available.items() if present)
    if not available[name]:
        raise RunError(f"trainer.device={name} is not available on this machine; use auto or cpu")
    return torch.device(name)
