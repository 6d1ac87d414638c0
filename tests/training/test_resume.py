"""What is stopped at any step goes on, and ends with the bits of what was never stopped.

Processes that are killed are in tests/faults.
"""

import contextlib
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import cli_process, tiny_runs
from torch import Tensor

from gradprom.config import Trainer
from gradprom.data.loader import Batch, Loader
from gradprom.runs.run import Run
from gradprom.storage.files import load_state
from gradprom.storage.lease import Applicant
from gradprom.training import engine
from gradprom.training.engine import NonFinite, Progress
from gradprom.training.stage import Stage, Start, Training
from gradprom.training.store import Slot

# The engine by itself: stopped after every single step, without processes.


CPU = torch.device("cpu")


class Stopped(Exception):
    pass


def prepared(tmp_path: Path, *overrides: str) -> tuple[Run, Stage, Loader]:
    run = tiny_runs.make(tmp_path / "results", *tiny_runs.PHANTOM, *overrides)
    stage = run.method.stage().lineage()[0]
    loader = Loader(run.images(), "train", stage.batches, CPU)
    return run, stage, loader


def begins(stage: Stage) -> Callable[[int], Training]:
    return lambda epoch_steps: stage.begin(Start({}, epoch_steps, CPU))


def slot_in(folder: Path) -> Slot:
    lease = Applicant(folder).try_acquire()
    assert lease is not None
    return Slot(folder, lease)


@pytest.mark.parametrize("log_every", [1, 2, 3])
@pytest.mark.parametrize("stage", ["warmup", "recognizer.diagnosis"])
def test_stopped_after_every_row(tmp_path: Path, log_every: int, stage: str) -> None:
    run, _, _ = prepared(tmp_path, "trainer.warmup_epochs=4", "auxiliary.epochs=4")
    [chosen] = [s for s in run.method.stage().lineage() if s.name == stage]
    loader = Loader(run.images(), "train", chosen.batches, CPU)
    options = Trainer(log_every=log_every, checkpoint_seconds=0)

    def build(epoch_steps: int) -> Any:
        return chosen.begin(Start({}, epoch_steps, CPU))

    def train(slot: Slot, observe: Callable[[Progress], None]) -> dict[str, Any]:
        torch.manual_seed(random.randrange(10**6))  # what others drew before must not matter
        return engine.train(chosen, build, loader, slot, options, observe)

    whole = train(slot_in(tmp_path / "whole"), lambda progress: None)
    rows = len(whole["history"])
    assert rows == math.ceil(8 / log_every) and whole["history"][-1]["step"] == 8

    slot, told = slot_in(tmp_path / "stopped"), []

    def stop(progress: Progress) -> None:
        told.append(progress.step)
        if len(told) == 2:
            raise Stopped

    pieces = None
    while pieces is None:
        told.clear()
        with contextlib.suppress(Stopped):
            pieces = train(slot, stop)
    assert pieces["interruptions"] == rows - 1
    assert pieces["history"] == whole["history"]
    for network, state in whole["weights"].items():
        if network != "optimizer":
            for name, tensor in state.items():
                assert torch.equal(tensor, pieces["weights"][network][name]), name


def test_interruptions_between_two_checkpoints_count_too(tmp_path: Path) -> None:
    run, stage, loader = prepared(tmp_path, "trainer.warmup_epochs=4")
    slot, options = slot_in(tmp_path / "slot"), Trainer(log_every=1, checkpoint_seconds=0)
    build = begins(stage)

    def until(step: int) -> Callable[[Progress], None]:
        def observe(progress: Progress) -> None:
            if progress.step == step:
                raise Stopped

        return observe

    for step in (3, 3, 3, 5):  # after the first, none but the last gets as far as a checkpoint
        with pytest.raises(Stopped):
            engine.train(stage, build, loader, slot, options, until(step))
    assert engine.train(stage, build, loader, slot, options, until(0))["interruptions"] == 4


def test_checkpoints_keep_their_distance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, stage, loader = prepared(tmp_path, "trainer.warmup_epochs=4")
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(engine.time, "monotonic", lambda: float(next(clock)))
    slot = slot_in(tmp_path / "slot")
    saved: list[int] = []
    monkeypatch.setattr(slot, "save_checkpoint", lambda state: saved.append(state["step"]))
    options = Trainer(log_every=1, checkpoint_seconds=25)
    build = begins(stage)
    engine.train(stage, build, loader, slot, options, lambda progress: None)
    # ten seconds go by with each look at the clock: one a row, one more after each checkpoint
    assert saved == [3, 6]


class Diverges:
    """A training that becomes NaN at step 13 of 20."""

    def __init__(self) -> None:
        self.step = 0

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        self.step += 1
        value = math.nan if self.step >= 13 else 1 / self.step
        finite = torch.tensor(math.isfinite(value))
        return {"loss_main": torch.tensor(value), "finite": finite}

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]

    def artefact(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(("log_every", "seen", "last"), [(5, 13, 10), (10, 13, 10), (1, 13, 12)])
def test_a_loss_that_is_not_finite_stops_the_stage(
    tmp_path: Path, log_every: int, seen: int, last: int
) -> None:
    _, _, loader = prepared(tmp_path)
    stage = Stage("diverging", epochs=10, seed=0, reads={})
    slot = slot_in(tmp_path / "slot")
    options = Trainer(log_every=log_every, checkpoint_seconds=0)
    mean = sum(1 / step for step in range(last - log_every + 1, last + 1)) / log_every
    words = f"at step {seen} of stage diverging; last finite values: loss_main {mean:.4g} "
    for _ in range(2):  # the second time from the last good checkpoint, with the same end
        with pytest.raises(NonFinite) as caught:
            engine.train(stage, lambda n: Diverges(), loader, slot, options, lambda p: None)
        assert words + f"(step {last})" in str(caught.value)
        checkpoint = slot.load_checkpoint()
        assert checkpoint is not None and checkpoint["step"] == last
        assert checkpoint["training"] == {"step": last}


def test_a_run_that_diverges_fails_with_its_last_good_checkpoint_kept(tmp_path: Path) -> None:
    words = ("strategy=mainstream", "trainer.lr=1e30", "trainer.schedule=constant")
    code, text = cli_process.run(tmp_path, *words)
    assert code == 1
    [record] = cli_process.records(tmp_path).values()
    assert record["status"] == "failed" and record["error"]["type"] == "NonFinite"
    message = record["error"]["message"]
    assert "not finite at step 2 of stage warmup; last finite values: loss_main" in message
    assert "(step 1)" in message and message in text
    folder = cli_process.stage_folder(tmp_path, "warmup")
    assert folder is not None
    checkpoint = load_state(folder / "checkpoint.pt")
    assert checkpoint["step"] == 1
    networks = checkpoint["training"]["networks"]["enhancer"].values()
    assert all(tensor.isfinite().all() for tensor in networks)


def test_an_update_that_is_not_finite_changes_nothing(tmp_path: Path) -> None:
    run, stage, loader = prepared(tmp_path)
    training = stage.begin(Start({}, 2, CPU))
    batch = loader.batch(0, 0)
    assert training.update(batch, probe=True)["finite"]
    before = {name: p.clone() for name, p in training.networks["enhancer"].named_parameters()}
    batch.target[0, 0, 0, 0] = math.inf
    assert not training.update(batch, probe=True)["finite"]
    for name, parameter in training.networks["enhancer"].named_parameters():
        assert torch.equal(parameter, before[name])
