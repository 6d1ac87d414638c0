"""The engine by itself: where it stops, what it keeps, and what it goes on with."""

from typing import Any

import pytest
from support.coupled_steps import CPU, batch, config, training, without_sense

from gradprom.data.loader import Batch
from gradprom.methods.task_driven import EnhancerTraining
from gradprom.training import engine
from gradprom.training.stage import Stage


class Batches:
    """Stands for the loader: 10 steps an epoch, and one batch that makes no sense."""

    steps_per_epoch = 10

    device = CPU

    def __init__(self, bad: int | None):
        self.bad = bad

    def batch(self, seed: int, step: int) -> Batch:
        return without_sense("nan", step) if step == self.bad else batch(step)


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
