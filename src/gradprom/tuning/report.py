"""The report of a tuning: the best configuration as a command, the trials, and two figures.

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
from gradprom.reports.page.page_tunings import baseline_text
from gradprom.runs.records import Study
from gradprom.storage.files import write_text
from gradprom.tuning import figures, journal

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
    """Report every tuning of a study that has this name, or whose `name-id` begins with it.

    Raises
    ------
    RunError
        If there is none; the message lists the study's tunings.
    """
    folders = sorted(path.parent for path in study.folder.glob(f"tune/*/{journal.JOURNAL}"))
    matching = [folder for folder in folders if folder.name.rpartition("-")[0] == name]
    if "-" in name:
        matching += [folder for folder in folders if folder.name.startswith(name)]
    if not matching:
        names = ", ".join(folder.name for folder in folders) or "none"
        raise RunError(f"study {study.name} has no tuning {name}; it has: {names}")
    for folder in matching:
        write(folder)


def write(folder: Path) -> str | None:
    """Print a tuning's trials and write its report into `report/`.

    `best.txt` is the command that trains the best configuration on the whole training split and
    tests it; `trials.csv` has one row per trial; `history` and `importance` are PNG and SVG.

    Returns
    -------
    str or None
        The command of the best configuration; None if no trial has finished.
    """
    study, place = journal.load(folder), folder / "report"
    trials = study.get_trials(deepcopy=False)
    rows = [_row(trial, study) for trial in trials]
    write_text(place / "trials.csv", _csv(rows))
    _show(rows, _metric(study))
    line = best_line(study)
    if line is None:
        print(f"tuning {folder.name}: no trial has finished")
    else:
        write_text(place / "best.txt", line + "\n")
        best = journal.best(study)
        assert best is not None
        value = _value_text(best.value, study)
        baseline = baseline_text(folder, [_metric(study).name], [best.user_attrs.get("run", "")])
        against = f" ({baseline})" if baseline else ""
        print(f"best     trial {best.number}, {value} on validation{against}\n  {line}")
    weights, problem = importance(study)
    drawn = figures.draw(trials, weights, _metric(study), place)
    if problem:
        print(f"no importance: {problem}")
    print(f"report   {', '.join(map(str, [place / 'trials.csv', *drawn]))}")
    return line


def best_line(study: optuna.Study) -> str | None:
    """The best trial's configuration as a command; None while no trial has finished."""
    best = journal.best(study)
    if best is None:
        return None
    overrides = [*study.user_attrs["words"], *(f"{key}={v}" for key, v in best.params.items())]
    if seeds := study.user_attrs.get("seeds"):
        overrides = [text for text in overrides if not text.startswith("seed=")]
        return shlex.join(["python", "run.py", "-m", *overrides, f"seed={','.join(seeds)}"])
    return shlex.join(["python", "run.py", *overrides])


def importance(study: optuna.Study) -> tuple[dict[str, float], str]:
    """Importance of each parameter (PED-ANOVA), which sum to 1, or the reason why there is none."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if any(len(trial.params) < 2 for trial in finished):
        return {}, "a single parameter cannot be compared with others"
    if len(finished) < figures.ENOUGH:
        return {}, f"it takes {figures.ENOUGH} finished trials, and there are {len(finished)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    if not sum(shares.values()):
        return {}, "no parameter sets the best trials apart"
    return shares, ""


def line(trial: FrozenTrial, study: optuna.Study) -> str:
    """One trial and its result, such as `trial 3  lam=0.01 trainer.lr=0.0004  28.313 dB`."""
    row = _row(trial, study)
    params = " ".join(f"{key}={_short(value)}" for key, value in trial.params.items())
    ending = row["state"] if row["state"] != "finished" else _value_text(trial.value, study)
    return "  ".join(filter(None, [f"trial {trial.number}", params, ending, row["why"]]))


def _row(trial: FrozenTrial, study: optuna.Study) -> dict[str, Any]:
    reason = trial.user_attrs.get("reason", "")
    if trial.state == TrialState.PRUNED and trial.intermediate_values and not reason:
        last = max(trial.intermediate_values)
        value_text = _value_text(trial.intermediate_values[last], study)
        reason = f"{value_text} after epoch {last} of the enhancer, worse than the median"
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
    """The metric that the study optimizes."""
    return metric(study.user_attrs["metric"])


def _value_text(value: float | None, study: optuna.Study) -> str:
    return "" if value is None else _metric(study).text(value)


def _short(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
