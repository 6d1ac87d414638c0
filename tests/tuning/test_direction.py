"""A tuning makes its metric as good as can be, whichever way that is."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import create_trial

from gradprom import cli
from gradprom.tuning import figures, journal


def tuned(folder: Path, metric: str, values: list[float]) -> optuna.Study:
    study = journal.create(folder, {"words": ["noise=0.1"], "metric": metric})
    space = {"lam": optuna.distributions.FloatDistribution(0, 1)}
    for number, value in enumerate(values):
        params = {"lam": number / 10}
        study.add_trial(create_trial(params=params, distributions=space, value=value))
    return study


def test_a_tuning_looks_for_the_smallest_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [0.05, 0.02, 0.04]
    folder = tmp_path / "local" / "tune" / "errors-0123456789ab"
    study = tuned(folder, "rmse", values)
    best = journal.best(study)
    assert best is not None and best.value == 0.02
    other = journal.best(tuned(tmp_path / "other", "psnr", values))
    assert other is not None and other.value == 0.05

    drawn = []
    save = figures.save
    monkeypatch.setattr(figures, "save", lambda f, *rest: drawn.append(f) or save(f, *rest))
    cli.main(["report", "tune=errors", f"results={tmp_path}"])
    told = capsys.readouterr().out
    assert "trial 1, 0.0200 on validation" in told
    assert "lam=0.1" in (folder / "report" / "best.txt").read_text()
    [axis] = drawn[0].axes
    assert axis.get_ylabel() == "RMSE on validation"
    [steps] = [line for line in axis.lines if line.get_label() == "best so far"]
    assert list(steps.get_ydata()) == [0.05, 0.02, 0.02]


@pytest.mark.parametrize(
    ("metric", "value", "prunes"),
    [("rmse", 0.9, True), ("rmse", 0.1, False), ("ssim", 0.9, False), ("ssim", 0.1, True)],
)
def test_trials_worse_than_the_median_are_pruned(
    tmp_path: Path, metric: str, value: float, prunes: bool
) -> None:
    study = journal.create(tmp_path, {"words": [], "metric": metric})
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=0)
    for other in (0.4, 0.5, 0.6):
        trial = study.ask()
        journal.report(trial, 1, other)
        journal.report_finished(study, trial.number, other)
    trial = study.ask()
    journal.report(trial, 1, value)
    assert trial.should_prune() == prunes
