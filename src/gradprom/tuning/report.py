"""What a tuning came to: the best configuration as words, its trials, and two figures.

Nothing here imports torch.
"""

import csv
import io
import shlex
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState
from rich import box
from rich.console import Console
from rich.table import Table

from gradprom.errors import RunError
from gradprom.metrics.registry import Metric, metric
from gradprom.runs.records import Study
from gradprom.storage.files import write_text
from gradprom.tuning import figures
from gradprom.tuning import study as studies

BEGUN = "begun"
STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: BEGUN,
    TrialState.WAITING: BEGUN,
}
WIDE = 200


def report_all(study: Study, name: str) -> None:
    """Report every tuning of a study that has this name, or the one that `name-id` begins.

    Raises
    ------
    RunError
        If there is none.
    """
    there = sorted(path.parent for path in study.folder.glob(f"tune/*/{studies.JOURNAL}"))
    found = [folder for folder in there if folder.name.rpartition("-")[0] == name]
    if "-" in name:
        found += [folder for folder in there if folder.name.startswith(name)]
    if not found:
        known = ", ".join(folder.name for folder in there) or "none"
        raise RunError(f"study {study.name} has no tuning {name}; it has {known}")
    for folder in found:
        write(folder)


def write(folder: Path) -> str | None:
    """Print a tuning's trials and leave its report in `report/`; the best as words, if any.

    `best.txt` is the command that trains the best configuration on the whole training split and
    tests it; `trials.csv` has a row a trial; `history` and `importance` are PNG and SVG.
    """
    study, place = studies.load(folder), folder / "report"
    trials = study.get_trials(deepcopy=False)
    rows = [_row(each, study) for each in trials]
    write_text(place / "trials.csv", _csv(rows))
    _show(rows, _metric(study))
    line = best_line(study)
    if line is None:
        print(f"tuning {folder.name}: no trial has finished")
    else:
        write_text(place / "best.txt", line + "\n")
        best = studies.best(study)
        assert best is not None
        print(f"best     trial {best.number}, {_told(best.value, study)} on validation\n  {line}")
    weights, problem = importance(study)
    drawn = figures.draw(trials, weights, _metric(study), place)
    if problem:
        print(f"no importance: {problem}")
    print(f"report   {', '.join(map(str, [place / 'trials.csv', *drawn]))}")
    return line


def best_line(study: optuna.Study) -> str | None:
    """The best trial's configuration as a command; None while no trial has finished."""
    best = studies.best(study)
    if best is None:
        return None
    words = [*study.user_attrs["words"], *(f"{key}={v}" for key, v in best.params.items())]
    return shlex.join(["python", "run.py", *words])


def importance(study: optuna.Study) -> tuple[dict[str, float], str]:
    """Share of each parameter in what sets the best trials apart (PED-ANOVA), or why not."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if any(len(each.params) < 2 for each in done):
        return {}, "one parameter alone has nothing to be compared with"
    if len(done) < figures.ENOUGH:
        return {}, f"it takes {figures.ENOUGH} finished trials, and there are {len(done)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    if not sum(found.values()):
        return {}, "no parameter sets the best trials apart"
    return found, ""


def line(trial: FrozenTrial, study: optuna.Study) -> str:
    """One trial as it ended, such as `trial 3  lam=0.01 trainer.lr=0.0004  28.313 dB`."""
    row = _row(trial, study)
    params = " ".join(f"{key}={_short(value)}" for key, value in trial.params.items())
    ending = row["state"] if row["state"] != "finished" else _told(trial.value, study)
    return "  ".join(filter(None, [f"trial {trial.number}", params, ending, row["why"]]))


def _row(trial: FrozenTrial, study: optuna.Study) -> dict[str, Any]:
    reason = trial.user_attrs.get("reason", "")
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        last = max(trial.intermediate_values)
        shown = _told(trial.intermediate_values[last], study)
        reason = f"{shown} after epoch {last} of the enhancer, worse than the median"
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return {
        "trial": trial.number,
        **trial.params,
        study.user_attrs["metric"]: value,
        "state": STATES[trial.state],
        "why": reason,
        "run": trial.user_attrs.get("run", ""),
    }


def _show(rows: list[dict[str, Any]], metric: Metric) -> None:
    if not rows:
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for key in _columns(rows):
        table.add_column(key)
    for row in rows:
        value = row[metric.name]
        shown = {**row, metric.name: None if value is None else metric.number(value)}
        table.add_row(*(_short(shown.get(key)) for key in _columns(rows)))
    console.print(table)


def _csv(rows: list[dict[str, Any]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    longest = max(rows, key=len, default={})
    return list(longest)


def _metric(study: optuna.Study) -> Metric:
    """What the study makes as good as can be."""
    return metric(study.user_attrs["metric"])


def _told(value: float | None, study: optuna.Study) -> str:
    return "" if value is None else _metric(study).text(value)


def _short(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
