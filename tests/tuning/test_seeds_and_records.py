"""Trials of several seeds, pruned by a paired test over images, and trials that are records."""

import csv
import statistics
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import wilcoxon
from support import tiny_runs

from gradprom.config import composing
from gradprom.config.composing import Composer
from gradprom.errors import ConfigError, RunError
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.sweeps.request import make_run
from gradprom.tuning import journal, known_runs, report
from gradprom.tuning.attempt import attempt
from gradprom.tuning.command import Search, describe
from gradprom.tuning.tuning import Tuning, read_tuning

BASE = (*tiny_runs.SMALL, "dataset.train=20", "dataset.test=4", "auxiliary=none")
SEEDS = (*BASE, "strategy=mainstream", "tune=lr", "auxiliary.coupled_lr=1e-4")
SPACE = ("trainer.lr=tag(log,interval(1e-6,1e-2))", "trainer.schedule=constant", "trainer.clip=0")
WORDS = (*SEEDS, *SPACE, "tune.validation=0.4", "tune.startup=1", "tune.seeds=2", "seed=5")


class Here(Launcher):
    """Each job in this process, one after another; it breaks down when it is told to."""

    def __init__(self, breaks_at: int = -1) -> None:
        self.trained: list[str] = []
        self.breaks_at = breaks_at

    def setup(self, **_: Any) -> None:
        """Nothing is needed."""

    def launch(self, job_overrides: Any, initial_job_idx: int) -> list[JobReturn]:
        for words in job_overrides:
            if len(self.trained) == self.breaks_at:
                raise OSError("node 7 went down")
            node, choices = Composer(composing.compose)(words)
            run = make_run(node, choices, words)
            attempt(run, node.tune)
            self.trained.append(run.id)
        return [JobReturn() for _ in job_overrides]


def read(results: Path, *words: str) -> Tuning:
    return read_tuning([*words, f"results={results}"], Composer(composing.compose))


def search(tuning: Tuning, launcher: Launcher) -> list[FrozenTrial]:
    attributes: dict[str, Any] = {"words": tuning.overrides, "metric": tuning.options.metric}
    attributes |= {"seeds": [*map(str, tuning.seeds)]} if len(tuning.seeds) > 1 else {}
    study = journal.create(tuning.study.folder, attributes)
    list(known_runs.bring(tuning, study))
    Search(tuning, study, launcher).run()
    return study.get_trials()


def images(study: Study, record: Record) -> list[float]:
    """The PSNR of each image, by id."""
    with (study.run(record.id) / "scores.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["id"])
    return [float(row["psnr"]) for row in rows]


def outcomes(trials: list[FrozenTrial]) -> list[Any]:
    return [(t.params, t.value, t.state, t.intermediate_values, t.user_attrs) for t in trials]


def test_the_pruning_is_that_of_a_paired_test(tmp_path: Path) -> None:
    tuning = read(tmp_path, *WORDS, "tune.trials=6")
    trials = search(tuning, Here())
    records = tuning.study.records()
    best: tuple[float, list[float]] | None = None
    for trial in trials:
        lr = trial.params["trainer.lr"]
        mine = {r.seed: r for r in records if r.setting("trainer.lr") == lr}
        values = [v for seed in sorted(mine) for v in images(tuning.study, mine[seed])]
        assert list(trial.intermediate_values.values()) == pytest.approx(values, abs=1e-12)
        if trial.state == TrialState.COMPLETE:
            assert sorted(mine) == [5, 6]
            assert trial.value == statistics.fmean(r.metrics["psnr"] for r in mine.values())
            assert trial.value == pytest.approx(statistics.fmean(values))
            if best is None or trial.value > best[0]:
                best = trial.value, values
            continue
        # the rule in the open: worse than the best so far on the images of the first seed
        assert trial.state == TrialState.PRUNED and sorted(mine) == [5] and best is not None
        differences = [one - other for one, other in zip(values, best[1], strict=False)]
        assert len(differences) == 8
        assert wilcoxon(differences, alternative="less", zero_method="zsplit").pvalue < 0.1
        assert "after 1 of 2 seeds, worse than trial" in trial.user_attrs["reason"]
    assert {t.state for t in trials} == {TrialState.COMPLETE, TrialState.PRUNED}

    study = journal.load(tuning.study.folder)
    line = report.best_line(study)
    assert line is not None and line.startswith("python run.py -m ") and line.endswith("seed=5,6")
    assert "tune" not in line and "trainer.lr=" in line
    assert "6 trials of 2 seeds: 6 so far" in describe(tuning)

    # lost between the two runs of a trial, it goes on with the same study
    for breaks_at in (1, 2):
        again = read(tmp_path / "again", *WORDS, "tune.trials=6")
        launcher = Here(breaks_at)
        with pytest.raises(RunError, match="node 7 went down"):
            search(again, launcher)
    found = search(again, Here())
    for trial in found:
        trial.user_attrs.pop("lost", None)
    assert outcomes(found) == outcomes(trials)
    assert len(again.study.records()) == len(records)


def test_ids_of_tunings_are_those_from_before_there_were_several_seeds(tmp_path: Path) -> None:
    words = [word for word in WORDS if not word.startswith("tune.seeds")]
    one, same = read(tmp_path, *words), read(tmp_path, *words, "tune.seeds=1", "tune.records=[]")
    assert one.study == same.study
    assert one.study != read(tmp_path, *words, "tune.seeds=2").study
    assert one.job(3, {"trainer.lr": "0.004"}, 5) == one.job(3, {"trainer.lr": "0.004"})


def test_records_are_trials_and_are_not_trained_again(tmp_path: Path) -> None:
    common = (*BASE, "strategy=joint", "auxiliary=diagnosis", "auxiliary.backbone=small")
    held_out = (*common, "validation=0.4")
    known = tiny_runs.train(tmp_path, *held_out, "lam=0.001")
    tiny_runs.train(tmp_path, *held_out, "lam=0.5")  # outside of the space
    tiny_runs.train(tmp_path, *held_out, "lam=0.001", "seed=1")
    tiny_runs.train(tmp_path, *held_out, "strategy.lam=0.002")  # not by the searched key
    tiny_runs.train(tmp_path, *held_out, "lam=0.003", "trainer.lr=0.01")
    tiny_runs.train(tmp_path, *common, "lam=0.004")  # scored on the test split

    words = (*common, "tune=lambda", "tune.validation=0.4", "tune.records=[local]")
    tuning = read(tmp_path, *words, "tune.trials=1")
    launcher = Here()
    imported, drawn = search(tuning, launcher)
    assert imported.params == {"lam": 0.001} and imported.state == TrialState.COMPLETE
    assert imported.value == known.metrics["psnr"]
    assert imported.user_attrs["run"] == known.id and imported.user_attrs["from"] == "local"
    assert list(imported.intermediate_values.values()) == [pytest.approx(known.metrics["psnr"])]
    assert launcher.trained == [drawn.user_attrs["run"]] != [known.id]
    assert tuning.study.record(known.id) is not None  # for the report
    assert "1 trials and 1 from records: 1 so far (1 finished), 0 to do" in describe(tuning)
    assert len(search(tuning, launcher)) == 2 and len(launcher.trained) == 1

    # of several seeds, all have to be there
    several = read(tmp_path, *words, "tune.seeds=2", "tune.trials=1")
    study = journal.create(several.study.folder, {"words": [], "metric": "psnr"})
    assert list(known_runs.bring(several, study)) == ["study local: 1 trial taken from its records"]
    [trial] = study.trials
    both = [r for r in tiny_runs.local(tmp_path).records() if r.setting("strategy.lam") == 0.001]
    assert trial.value == statistics.fmean(record.metrics["psnr"] for record in both)
    assert len(trial.intermediate_values) == 2 * 8

    with pytest.raises(ConfigError, match="there is no study other in .*; choose from local, "):
        list(known_runs.bring(read(tmp_path, *words, "tune.records=[other]"), study))
