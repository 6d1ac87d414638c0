"""The display and the forecast of a sweep, from what a run at work leaves on disk."""

import dataclasses
import io
import json
import os
import time
from typing import Any

import pytest
from rich.console import Console

from gradprom.runs import run as runs
from gradprom.runs.execution import execute
from gradprom.runs.run_progress import RunProgress
from gradprom.sweeps import progress
from gradprom.sweeps.plan import Job, Plan, make_plan
from gradprom.sweeps.progress import Display, Forecast, estimate
from gradprom.sweeps.text import duration


def at_work(run: runs.Run, **progress: Any) -> Plan:
    """A plan of two runs, the first of which is being trained by this process."""
    other = dataclasses.replace(run, config=dataclasses.replace(run.config, seed=1))
    run.overrides, other.overrides = ["noise=0.1"], ["noise=0.2"]
    plan = make_plan([run, other], retry_failed=False)
    folder = run.study.run(run.id)
    folder.mkdir(parents=True)
    record = {"id": run.id, "config": {}, "dataset": {}, "status": "started"}
    record |= {"host": os.uname().nodename, "pid": os.getpid()}
    (folder / "record.json").write_text(json.dumps(record))
    if progress:
        run.study.heartbeat(run.id, RunProgress(**progress))
    return plan


def coupled(run: runs.Run) -> dict[str, Any]:
    stage = run.method.stage()
    row = {"loss_main": 0.00312, "psnr": 25.04, "gate_a": 0.25, "gate_b": 0.75, "accuracy": 0.5}
    return {
        "stage": "coupled", "stage_id": stage.id, "epoch": 2, "epochs": 4, "step": 1, "steps": 2,
        "seconds_per_step": 60.0, "row": row,
    }  # fmt: skip


def shown(plan: Plan, monkeypatch: pytest.MonkeyPatch, terminal: bool, width: int = 120) -> str:
    monkeypatch.setattr(progress, "REDRAW", 0.01)
    monkeypatch.setattr(progress, "PLAIN", 0.01)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, _environ={})
    with Display(plan, console):
        time.sleep(0.6)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


LINE = "run 1/2  noise=0.1  coupled 2/4  loss 0.00312  PSNR 25.0 dB  accuracy 50%  gates open 50%"


def test_plain_lines_where_there_is_no_terminal(
    run: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(at_work(run, **coupled(run)), monkeypatch, terminal=False)
    assert text == LINE + "\n"  # once: nothing has changed


def test_a_terminal_is_redrawn_and_left_clean(
    run: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(at_work(run, **coupled(run)), monkeypatch, terminal=True)
    assert text.count(LINE) > 1 and "\x1b[2K" in text
    # the cursor is back, and the last thing done is to wipe the line
    assert "\x1b[?25h" in text[text.rindex(LINE) :] and text.endswith("\x1b[2K")


def test_a_narrow_terminal_shows_all_of_it(run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(at_work(run, **coupled(run)), monkeypatch, terminal=True, width=40)
    assert "run 1/2  noise=0.1" in text and "gates open 50%" in text and "accuracy 50%" in text


def test_a_run_without_a_word_yet_is_shown(run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(at_work(run), monkeypatch, terminal=False)
    assert text == "run 1/2  noise=0.1  starting, or waiting for a stage that another run trains\n"


def test_time_left_counts_shared_stages_once(run: runs.Run) -> None:
    plan = at_work(run, **coupled(run))  # two steps a stage; each seed has its own warm-up
    forecast = Forecast(plan)
    assert forecast.left(plan.jobs) is None  # how fast a warm-up goes is not known
    forecast.learn(RunProgress(stage="warmup", stage_id="", step=0, seconds_per_step=10.0))
    forecast.learn(RunProgress(**coupled(run)))
    assert forecast.left(plan.jobs) == pytest.approx(4 * 10 + (1 + 2) * 60)


def test_time_is_told_before_the_sweep_where_runs_have_shown_it(run: runs.Run) -> None:
    record = execute(run)
    more = dataclasses.replace(run, config=dataclasses.replace(run.config, seed=1))
    plan = make_plan([run, more], retry_failed=False)
    seconds = sum(stage.seconds for stage in record.stages)
    assert f"about {duration(seconds)}" in estimate(plan)
    assert estimate(Plan([Job(run, "done", {})], retry_failed=False)) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3599, "59 min 59 s"),
     (3599.9, "1 h 00 min"), (7500, "2 h 05 min")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
