"""The engine by itself: where it stops, what it keeps, and what it goes on with."""

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.coupled_steps import (
    CPU,
    batch,
    config,
    equal,
    non_finite_batch,
    optimizer_state,
    training,
)

from gradprom.data.loader import Batch
from gradprom.methods.coupled_training import EnhancerTraining
from gradprom.training import engine
from gradprom.training.stage import Stage


class Batches:
    """Stands for the loader: 10 steps an epoch, and one batch that makes no sense.

    `last` is the step, from 1, whose batch was given last.
    """

    steps_per_epoch = 10

    device = CPU

    def __init__(self, bad: int | None):
        self.bad = bad
        self.last = 0

    def batch(self, seed: int, step: int) -> Batch:
        self.last = step + 1
        return non_finite_batch("nan", step) if step == self.bad else batch(step)


class Shelf:
    """Stands for the stage's place in the store."""

    def __init__(self) -> None:
        self.kept: list[int] = []

    def load_checkpoint(self) -> None:
        return None

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        self.kept.append(state["step"])


def engine_run(bad: int | None, log_every: int) -> tuple[dict[str, Any] | str, list[int]]:
    made = config("strategy=gradprom", f"trainer.log_every={log_every}")
    made.trainer.checkpoint_seconds = 0.0
    stage, shelf = Stage("coupled", 2, 0, {}), Shelf()

    def build(epoch_steps: int) -> EnhancerTraining:
        return training(made)

    try:
        found = engine.train(
            stage,
            build,
            Batches(bad),
            shelf,
            made.trainer,
            lambda progress: None,  # type: ignore
        )
    except engine.NonFinite as error:
        return str(error), shelf.kept
    return found, shelf.kept


@pytest.mark.parametrize(
    ("bad", "log_every", "read", "kept"),
    # batches count from 0, steps from 1
    [(0, 5, 0, []), (4, 5, 0, []), (5, 5, 5, [5]), (13, 5, 10, [5, 10]), (19, 7, 14, [7, 14])],
)
def test_the_engine_stops_and_says_where(
    bad: int, log_every: int, read: int, kept: list[int]
) -> None:
    """`read`: the last row of the history, before the one in which it happened."""
    told, saved = engine_run(bad, log_every)
    assert isinstance(told, str)
    assert told.startswith(f"a loss or gradient is not finite at step {bad + 1} of stage coupled; ")
    assert saved == kept
    if not read:
        assert told.endswith("last finite values: none (step 0)")
        return
    whole, _ = engine_run(None, log_every)
    assert isinstance(whole, dict)
    row = next(row for row in whole["history"] if row["step"] == read)
    values = ", ".join(f"{key} {row[key]:.4g}" for key in ("loss_main", "loss_diagnosis"))
    assert told.endswith(f"last finite values: {values} (step {read})")


# asked to make room


class Memory(Shelf):
    """A place that keeps a checkpoint as a file would, and counts how often it was taken up."""

    def __init__(self) -> None:
        super().__init__()
        self.content = b""
        self.resumed = 0

    def load_checkpoint(self) -> Any:
        return torch.load(io.BytesIO(self.content), weights_only=True) if self.content else None

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        super().save_checkpoint(state)
        file = io.BytesIO()
        torch.save(state, file)
        self.content = file.getvalue()

    def count_resume(self) -> int:
        self.resumed += 1
        return self.resumed


STEPS = 20


def train(
    shelf: Memory, log_every: int, stops: set[int] | None, patch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], Any]:
    """A training that is asked to stop after these steps, or after every single one, until its
    end; what the engine returns, and the training."""
    made = config("strategy=random_gate", f"trainer.log_every={log_every}")
    made.trainer.checkpoint_seconds = 1e9
    loader, left = Batches(None), set(stops or ())

    def asked() -> bool:
        if stops is None:
            return True
        asks = loader.last in left
        left.discard(loader.last)
        return asks

    trained: list[Any] = []

    def build(epoch_steps: int) -> EnhancerTraining:
        # each life begins otherwise, so that what a checkpoint lacks would show
        trained.append(training(replace(made, strategy=replace(made.strategy)), len(trained)))
        return trained[-1]

    patch.setattr(engine.preemption, "requested", asked)
    while True:
        # not at every row, so that a life must know where the one before it probed
        stage = Stage("coupled", 2, 0, {}, probe_every=7)
        arguments: Any = (stage, build, loader, shelf, made.trainer)
        try:
            return engine.train(*arguments, lambda progress: None), trained[-1]
        except engine.Interrupted:
            assert shelf.kept[-1] == loader.last


def assert_equal_runs(one: tuple[dict[str, Any], Any], other: tuple[dict[str, Any], Any]) -> None:
    assert one[0]["history"] == other[0]["history"]
    for name, weights in one[0]["weights"].items():
        assert equal([*weights.values()], [*other[0]["weights"][name].values()]), name
    assert equal(optimizer_state(one[1]), optimizer_state(other[1]))


@pytest.mark.parametrize("log_every", [1, 4, 50])
@pytest.mark.parametrize("stops", [None, {1}, {3, 4, 6}, {10, 11, 19}])
def test_asked_to_stop_at_any_step_it_ends_with_the_same_bits(
    stops: set[int] | None, log_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History, weights, statistics and moments; the checkpoint is of the very step."""
    whole = train(Memory(), log_every, set(), monkeypatch)
    shelf = Memory()
    stopped = train(shelf, log_every, stops, monkeypatch)
    assert_equal_runs(whole, stopped)
    assert shelf.kept == sorted(stops or range(1, STEPS))
    assert stopped[0]["interruptions"] == shelf.resumed == len(shelf.kept)
    assert [row["step"] for row in whole[0]["history"]][-1] == STEPS


@pytest.mark.parametrize("other", [{}, {"format": 1}, {"format": engine.FORMAT + 1}])
def test_a_checkpoint_of_another_format_is_not_taken_up(
    other: dict[str, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole, shelf = train(Memory(), 4, set(), monkeypatch), Memory()
    shelf.save_checkpoint({"step": 7, "training": {"networks": {}}, **other})
    again = train(shelf, 4, set(), monkeypatch)
    assert_equal_runs(whole, again)
    assert again[0]["interruptions"] == shelf.resumed == 0
    assert "starts again" in caplog.text


def test_a_row_that_was_cut_tells_where_it_was_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step before the cut, though the row is read in the next life."""
    shelf, made = Memory(), config("strategy=gradprom", "trainer.log_every=10")
    loader = Batches(2)
    monkeypatch.setattr(engine.preemption, "requested", lambda: loader.last == 6)
    arguments: Any = (
        Stage("coupled", 2, 0, {}), lambda n: training(made), loader, shelf, made.trainer,
    )  # fmt: skip
    with pytest.raises(engine.Interrupted):
        engine.train(*arguments, lambda progress: None)
    with pytest.raises(engine.NonFinite, match="not finite at step 3 of stage coupled"):
        engine.train(*arguments, lambda progress: None)
