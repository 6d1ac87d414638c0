"""Two processes on one run, and clocks that go backwards."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import pytest
from faults.lifecycle import MOMENTS, PAUSE, assert_same, finish, frozen_at
from support import cli_process, tiny_runs

from gradprom.runs import execution
from gradprom.runs.execution import execute
from gradprom.runs.run_progress import RunProgress
from gradprom.runs.run_state import HEARTBEAT_TIMEOUT
from gradprom.training import engine

WORDS = ("strategy=gradprom",)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("alone")
    finish(results, WORDS)
    return results


def test_of_two_that_want_a_run_one_trains_it(tmp_path: Path, reference: Path) -> None:
    children = [cli_process.start(tmp_path, *WORDS, pause=PAUSE) for _ in range(2)]
    for child in children:
        assert child.wait() == 0, child.text
        assert "table " in child.text
    assert_same(tmp_path, reference)
    assert set(cli_process.trained(tmp_path).values()) == {1}
    [record] = cli_process.records(tmp_path).values()
    assert record.interruptions == 0
    assert not (tmp_path / "set-aside").exists()


def test_one_that_waits_takes_over_from_one_that_is_killed(tmp_path: Path, reference: Path) -> None:
    first = cli_process.start(tmp_path, *WORDS, pause=PAUSE)
    assert frozen_at(MOMENTS["in the warm-up"], first, tmp_path), first.text
    second = cli_process.start(tmp_path, *WORDS)
    until = time.monotonic() + 60
    while "run 1/1" not in second.text and time.monotonic() < until:
        time.sleep(0.05)
    assert cli_process.trained(tmp_path)["warmup"] == 1, "both train"
    first.kill()
    assert second.wait() == 0, second.text
    assert_same(tmp_path, reference)
    [record] = cli_process.records(tmp_path).values()
    assert record.interruptions == 1


def test_a_clock_that_goes_backwards_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*tiny_runs.PHANTOM, "trainer.log_every=1", "trainer.checkpoint_seconds=0")
    usual = execute(tiny_runs.make(tmp_path / "usual", *words))
    real = time.time()
    ticks = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: real - 60 * next(ticks))
    run = tiny_runs.make(tmp_path / "backwards", *words)
    record = execute(run)
    assert next(ticks) > 0
    assert record.metrics == usual.metrics and record.duration > 0
    assert run.study.state(run.id, run.fingerprints()) == "done"


@pytest.fixture
def started(tmp_path: Path) -> Any:
    """A run whose record says that this very process trains it."""
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM)
    record = dataclasses.replace(execute(run), status="started")
    run.study.write_record(record)
    assert run.study.state(run.id) == "running"
    return run


def test_a_run_begun_before_the_clock_was_set_back_is_at_work_while_it_tells(started: Any) -> None:
    """Its record then looks older than its process; one that is silent has left its number."""
    os.utime(started.study.run(started.id) / "record.json", (1e9, 1e9))
    assert started.study.state(started.id) == "interrupted"
    started.study.heartbeat(started.id, RunProgress())
    assert started.study.state(started.id) == "running"


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_word_from_another_time_is_not_believed_for_ever(
    started: Any, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a clock was set back by hours, a dead run's word would be from the future for hours."""
    record = started.study.record(started.id)
    started.study.write_record(dataclasses.replace(record, host="elsewhere"))
    started.study.heartbeat(started.id, RunProgress())
    assert started.study.state(started.id) == "running"
    now = time.time()
    for seconds, state in ((HEARTBEAT_TIMEOUT / 2, "running"), (3600, "interrupted")):
        monkeypatch.setattr(time, "time", lambda s=seconds: now + s * (1 if hours > 0 else -1))
        assert started.study.state(started.id) == state


class Stopped(BaseException):
    """As a kill would: no handler of errors sees it."""


def test_a_training_begun_again_in_one_process_has_its_chances_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was no checkpoint yet; the gate's random numbers must not have moved on."""
    words = (*tiny_runs.PHANTOM, "strategy=random_gate", "trainer.coupled_epochs=4")
    words += ("trainer.log_every=1", "trainer.checkpoint_seconds=1000")
    usual = tiny_runs.make(tmp_path / "usual", *words)
    execute(usual)
    run = tiny_runs.make(tmp_path / "stopped", *words)

    def stop(progress: engine.Progress) -> None:
        if progress.stage.name == "coupled" and progress.step == 3:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(execution, "_heartbeat_writer", lambda run, store: stop)
        with pytest.raises(Stopped):
            execute(run)
    execute(run)
    texts = [(one.study.run(one.id) / "history.csv").read_text() for one in (usual, run)]
    assert texts[0] == texts[1]
