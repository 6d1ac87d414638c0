"""`python run.py -m tune=…`: drawn, pruned, failed, killed, resumed, at once, and reported."""

import csv
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.plugins.launcher import Launcher
from optuna.trial import FrozenTrial, TrialState
from PIL import Image
from support import cli_process

from gradprom import cli
from gradprom.config import composing
from gradprom.config.composing import Composer
from gradprom.errors import RunError
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.tuning import journal
from gradprom.tuning.command import Search
from gradprom.tuning.report import importance
from gradprom.tuning.tuning import read_tuning

WORDS = ("-m", "tune=lambda_lr", "tune.trials=5", "tune.startup=2", "trainer.coupled_epochs=3")


def place(results: Path) -> Path:
    """The folder of the one tuning that is there."""
    [journal] = results.glob("local/tune/*/journal.log")
    return journal.parent


def trials(results: Path) -> list[FrozenTrial]:
    return journal.load(place(results)).get_trials()


def outcomes(results: Path) -> list[tuple[Any, ...]]:
    """All that an undisturbed study and one that was killed must have alike."""
    return [(t.number, t.params, t.value, t.state, t.intermediate_values) for t in trials(results)]


def records(results: Path) -> dict[str, Record]:
    study = Study(results, f"local/tune/{place(results).name}")
    return {record.id: record for record in study.records()}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five trials, one after another."""
    results = tmp_path_factory.mktemp("tuned")
    code, text = cli_process.run(results, *WORDS)
    assert code == 0, text
    return results


def text_of(results: Path) -> str:
    return (results / "output-0.txt").read_text()


def test_a_trials_value_is_its_runs_score_on_validation(tuned: Path) -> None:
    found = records(tuned)
    done = [t for t in trials(tuned) if t.state == TrialState.COMPLETE]
    assert len(done) >= 2
    for trial in done:
        record = found[trial.user_attrs["run"]]
        config = record.config
        assert trial.value == record.metrics["psnr"]
        assert record.dataset.counts == {"train": 13, "validation": 3}
        assert trial.params == {
            "lam": config["strategy"]["lam"],
            "trainer.lr": config["trainer"]["lr"],
        }
        # the enhancer's epochs, of which two are warm-up
        assert list(trial.intermediate_values) == [3, 4, 5]
        assert trial.intermediate_values[5] == trial.value
    assert 1e-6 <= min(t.params["lam"] for t in trials(tuned))
    assert not (tuned / "local" / "runs").exists()  # the study's own tables show none of them


def test_a_trial_that_falls_behind_is_pruned_and_no_failure(tuned: Path) -> None:
    found = records(tuned)
    pruned = [t for t in trials(tuned) if t.state == TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        record = found[trial.user_attrs["run"]]
        assert record.status == "pruned" and not record.metrics
        last = max(trial.intermediate_values)
        before = [t for t in trials(tuned)[: trial.number] if t.state == TrialState.COMPLETE]
        # the median rule, in the open: its best so far against the others' values there
        others = sorted(t.intermediate_values[last] for t in before)
        middle = len(others) // 2
        median = (others[middle] + others[~middle]) / 2
        assert last < 5 and max(trial.intermediate_values.values()) < median
    trained = cli_process.trained(tuned)["coupled"]
    assert trained == len(trials(tuned)) == 5
    command = [sys.executable, "-m", "gradprom.cli", "status", f"results={tuned}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"5 runs: {5 - len(pruned)} done, {len(pruned)} pruned" in told and "failed" not in told


def test_typed_again_it_trains_nothing_and_with_more_only_what_is_new(tuned: Path) -> None:
    before, trained = outcomes(tuned), cli_process.trained(tuned)
    code, text = cli_process.run(tuned, *WORDS)
    assert code == 0 and "5 trials: 5 so far" in text and "0 to do" in text
    assert outcomes(tuned) == before and cli_process.trained(tuned) == trained
    assert text.split("best ")[1] == text_of(tuned).split("best ")[1]


def test_killed_and_resumed_it_is_the_same_study(tuned: Path, tmp_path: Path) -> None:
    """Killed in a trial's training, and once more in the next command."""
    for checkpoints in (4, 8):
        child = cli_process.start(tmp_path, *WORDS, pause=0.05)
        while cli_process.saved(tmp_path) < checkpoints:
            assert child.alive, child.text
            time.sleep(0.002)
        child.kill()
        assert sum(t.state == TrialState.RUNNING for t in trials(tmp_path)) == 1
    code, text = cli_process.run(tmp_path, *WORDS)
    assert code == 0, text
    assert "1 begun" in text
    assert outcomes(tmp_path) == outcomes(tuned)
    interruptions = [r.interruptions for r in records(tmp_path).values()]
    assert sum(interruptions) >= 1


def test_the_best_line_trains_on_everything_and_tests(tuned: Path) -> None:
    line = (place(tuned) / "report" / "best.txt").read_text().strip()
    assert f"  {line}\n" in text_of(tuned)
    best = max((t for t in trials(tuned) if t.value is not None), key=lambda t: t.value or 0)
    python, script, *words = shlex.split(line)
    assert [python, script] == ["python", "run.py"]
    given = dict(word.split("=", 1) for word in words)
    assert {key: float(given[key]) for key in best.params} == best.params
    code, text = cli_process.run(tuned, *words)
    assert code == 0, text
    [record] = cli_process.study(tuned).records()
    assert record.dataset.counts == {"train": 16, "test": 8}
    assert record.config["validation"] == 0


def test_the_report_has_a_row_a_trial_and_the_figures(
    tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["report", "tune=lambda_lr", f"results={tuned}"])
    told = capsys.readouterr().out
    folder = place(tuned) / "report"
    assert (folder / "best.txt").read_text().strip() in told
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == list(range(5))
    values = [float(row["psnr"]) for row in rows if row["psnr"]]
    assert values == [t.value for t in trials(tuned) if t.state == TrialState.COMPLETE]
    with Image.open(folder / "history.png") as picture:
        assert picture.width > 300
    assert (folder / "history.svg").exists()
    assert "no importance: it takes 8 finished trials" in told
    with pytest.raises(SystemExit, match="study local has no tuning other; it has: lambda_lr-"):
        cli.main(["report", "tune=other", f"results={tuned}"])


def test_importance_finds_the_parameter_that_matters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "local" / "tune" / "made-000000000000"
    study = journal.create(folder, {"words": [], "metric": "psnr"})
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    ranges = {key: optuna.distributions.FloatDistribution(0, 1) for key in ("lam", "trainer.lr")}
    for _ in range(60):
        trial = study.ask(ranges)
        study.tell(trial, -abs(trial.params["trainer.lr"] - 0.5))
    cli.main(["report", "tune=made", f"results={tmp_path}"])
    assert "no importance" not in capsys.readouterr().out
    assert (folder / "report" / "importance.png").exists()
    found, problem = importance(journal.load(folder))
    assert not problem and found["trainer.lr"] > 2 * found["lam"]


def test_a_failing_trial_is_told_and_equal_ones_are_trained_once(tmp_path: Path) -> None:
    words = ("-m", "tune=lambda", "lam=1e38,0.0001", "strategy=joint", "tune.trials=5")
    code, text = cli_process.run(tmp_path, *words)
    assert code == 0, text
    found = trials(tmp_path)
    assert {t.params["lam"] for t in found} == {"1e+38", "0.0001"}
    for trial in found:
        if trial.params["lam"] == "1e+38":
            assert trial.state == TrialState.FAIL
            assert trial.user_attrs["reason"].startswith("NonFinite: a loss or gradient")
        else:
            assert trial.state == TrialState.COMPLETE
    assert len({t.value for t in found if t.value is not None}) == 1
    assert cli_process.trained(tmp_path)["coupled"] == 2
    assert "no importance: " in text

    code, text = cli_process.run(
        tmp_path, *words[:2], "lam=1e37,1e38", *words[3:4], "tune.trials=2"
    )
    assert code == 1 and "no trial has finished" in text


class Losing(Launcher):
    """Loses every job, as a cluster does when a machine goes down."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def setup(self, **_: Any) -> None:
        """Nothing is needed."""

    def launch(self, job_overrides: Any, initial_job_idx: int) -> Any:
        self.asked.append(job_overrides)
        raise OSError("node 7 went down")


def test_a_job_that_is_lost_is_tried_again_but_not_for_ever(tmp_path: Path) -> None:
    words = [*cli_process.TINY, "tune=lambda", "tune.trials=1", f"results={tmp_path}"]
    tuning = read_tuning(words, Composer(composing.compose))
    launcher = Losing()
    study = journal.create(tuning.study.folder, {"words": [], "metric": "psnr"})
    for _ in range(3):
        assert [t.state for t in trials(tmp_path)] in ([], [TrialState.RUNNING])
        with pytest.raises(RunError, match="node 7 went down"):
            Search(tuning, study, launcher).run()
    [trial] = trials(tmp_path)
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["reason"] == "its job was lost 3 times"
    assert len(launcher.asked) == 3 and launcher.asked[0] == launcher.asked[1] == launcher.asked[2]
    Search(tuning, study, launcher).run()
    assert len(launcher.asked) == 3


def test_several_at_once_in_processes_of_their_own(tmp_path: Path) -> None:
    words = ["-m", "tune=lambda", "tune.trials=2", "tune.at_once=2"]
    words += ["runs_per_device=2", f"results={tmp_path}"]
    command = [sys.executable, str(cli_process.ROOT / "run.py"), *words, *cli_process.TINY]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 at once" in done.stdout
    found = trials(tmp_path)
    assert [t.state for t in found] == [TrialState.COMPLETE] * 2
    assert found[0].params != found[1].params
    there = records(tmp_path).values()
    assert len({record.pid for record in there}) == 2
    assert all(list(t.intermediate_values) == [3, 4] for t in found)


def test_a_tuning_is_asked_for_with_m(tmp_path: Path) -> None:
    code, text = cli_process.run(tmp_path, "tune=lambda")
    assert code == 1 and "python run.py -m tune=" in text
    code, text = cli_process.run(tmp_path, "-m", "tune=lambda", "sweep.dry_run=true")
    assert code == 0 and "40 trials: 0 so far, 40 to do" in text
    assert "lam 1e-06 to 0.1 (log)" in text and "3 images held out" in text
    assert not list(tmp_path.glob("local/tune/*/journal.log"))
