"""Lines of progress and the time that is left, against numbers worked out by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.planned import finish, plan

from gradprom.runs.run_progress import RunProgress
from gradprom.sweeps.progress import Forecast, progress_line
from gradprom.sweeps.progress import estimate as time_needed
from gradprom.sweeps.text import duration


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (90000, "25 h 00 min"),
    ],
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_a_line_of_progress() -> None:
    row = {"clean_accuracy_diagnosis": 0.9, "loss_main": 0.0123456, "psnr": 19.08}
    row |= {"loss_diagnosis": 1.5, "gate_diagnosis": 0.5, "gate_segmentation": 1.0}
    progress = RunProgress(stage="coupled", epoch=2, epochs=4, row=row)
    assert progress_line(progress) == "coupled 2/4  loss 0.01235  PSNR 19.1 dB  gates open 75%"
    row = {"loss_diagnosis": 0.5, "accuracy_diagnosis": 0.875}
    progress = RunProgress(stage="recognizer.diagnosis", epoch=1, epochs=6, row=row)
    assert progress_line(progress) == "recognizer.diagnosis 1/6  loss 0.5  accuracy 88%"
    beside = replace(progress, majority_share=0.72)
    assert progress_line(beside).endswith("accuracy 88% (always the most frequent class: 72%)")


def test_the_time_left_follows_from_the_paces_seen(results: Path) -> None:
    """Two runs share warm-up and recognizer: stages of 2 steps, four of them."""
    made = plan(results, "strategy=joint", "strategy=frozen")
    forecast = Forecast(made)
    ids = {name: stage_id for stage_id, (name, _) in made.stages.items()}

    def learn(name: str, step: int, pace: float) -> None:
        forecast.learn(
            RunProgress(stage=name, stage_id=ids[name], step=step, seconds_per_step=pace)
        )

    assert forecast.left(made.pending) is None
    learn("warmup", 1, 3.0)
    learn("recognizer.diagnosis", 0, 5.0)
    assert forecast.left(made.pending) is None  # coupled training has not been seen yet
    learn("coupled", 1, 7.0)
    # a step of warm-up, two of the recognizer, one and two of coupled training
    assert forecast.left(made.pending) == pytest.approx(1 * 3 + 2 * 5 + (1 + 2) * 7)
    learn("coupled", 2, 2.0)  # a pace is a moving mean: 0.8 · 7 + 0.2 · 2
    assert forecast.left(made.pending) == pytest.approx(3 + 10 + 2 * 6.0)


def test_finished_runs_tell_the_time_a_plan_takes(results: Path) -> None:
    commands = ["strategy=joint", "strategy=frozen", "strategy=joint noise=0.3"]
    assert "known once the first run" in time_needed(plan(results, *commands))
    finish(plan(results, *commands).jobs[0], seconds=10.0)
    made = plan(results, *commands)
    steps = sum(count for _, count in made.stages.values())
    assert f"about {duration(10 * steps)}, " in time_needed(made)
