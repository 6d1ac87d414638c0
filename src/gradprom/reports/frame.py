"""A study's records as pandas frames, for a notebook.

For what `frame` leaves out,
`pandas.json_normalize([record.to_json() for record in study.records()])` has every key.
"""

from typing import Any

import pandas as pd

from gradprom.degradations import labels
from gradprom.errors import RunError
from gradprom.metrics.registry import DEGRADED, main_metrics
from gradprom.reports.unplanned import CHOICES, choice_of, reads
from gradprom.runs.history import ALWAYS
from gradprom.runs.history import FILE as HISTORY_FILE
from gradprom.runs.history import read as read_history
from gradprom.runs.record import Record, value_of
from gradprom.runs.records import Study


def frame(study: Study) -> pd.DataFrame:
    """One row for each record, finished or not; missing values are None or NaN.

    Columns:

    id, status, seed
        Status is `finished`, `failed` or `started`.
    method, dataset, backbone, auxiliary, strategy, profile, degradation
        The files of `conf/` that the run was composed of. Missing where a group has no effect: the
        strategy of `method=recognizer`, the auxiliary task of `strategy=mainstream`.
    condition, noise
        The degradation as a label, such as `σ=0.1`, and σ of its Gaussian noise in image units.
    supervision, lam
        The supervision, and λ of Eq. 1; missing where they have no effect.
    <metric>, degraded_<metric>
        Scores of the test split and of its degraded images, as `gradprom.metrics` defines them:
        those shown in tables first, then any others. Columns after them hold the metrics of
        training, such as the share of open gates.
    <set>.<metric>
        The same scores on a further test set of `evaluate_on`.
    duration, revision, dirty
        Seconds, git revision, and whether the working tree had uncommitted changes.

    Raises
    ------
    RunError
        If the study has no records.
    """
    records = study.records()
    if not records:
        raise RunError(f"study {study.name} has no records in {study.folder / 'runs'}")
    scores = pd.DataFrame([_scores(record) for record in records])
    names = [metric.name for metric in main_metrics()]
    names += [DEGRADED + name for name in names]
    ordered = [name for name in names if name in scores.columns]
    ordered += [name for name in scores.columns if name not in names]
    parts = [
        pd.DataFrame([_head(record) for record in records]),
        scores[ordered],
        pd.DataFrame([_end(record) for record in records]),
    ]
    return pd.concat(parts, axis=1)


def history(study: Study, run_id: str) -> pd.DataFrame:
    """What training logged, a row for each `trainer.log_every` steps of each stage.

    Columns: stage, epoch, step (within the stage), then means since the previous row: losses,
    metrics, accuracies, and for each task the strategy's gate, cosine and ratio. A value that a
    stage does not log is NaN.

    Parameters
    ----------
    study
        The study that holds the run.
    run_id
        Its id, or a unique beginning of it.

    Raises
    ------
    RunError
        If there is no such run, or its training has not finished.
    """
    folder = study.run(study.resolve(run_id).id)
    if not (folder / HISTORY_FILE).exists():
        raise _missing_file(study, run_id, HISTORY_FILE)
    logged = read_history(folder)
    # files of runs of no steps were once without columns
    names = dict.fromkeys([*ALWAYS, *logged.columns])
    columns: dict[str, Any] = {name: logged.values(name) for name in names if name != "stage"}
    columns |= {name: columns[name].astype(int) for name in ("epoch", "step")}
    return pd.DataFrame({"stage": logged.cells("stage"), **columns})


def scores(study: Study, run_id: str, test_set: str = "") -> pd.DataFrame:
    """Scores of single images, indexed by image id.

    Columns: group (the patient), what metrics measure of the image and of its degraded input
    (`degraded_…`), and the recognizer's results: `label`, `prediction` and `clean_prediction` as
    class numbers, `intersection_<class>` and `union_<class>` in pixels.

    Parameters
    ----------
    study
        The study that holds the run.
    run_id
        Its id, or a unique beginning of it.
    test_set
        A set of `evaluate_on`; empty for the test split.

    Raises
    ------
    RunError
        If there is no such run, or it was not tested on that set.
    """
    name = f"scores-{test_set}.csv" if test_set else "scores.csv"
    path = study.run(study.resolve(run_id).id) / name
    try:
        return pd.read_csv(path, dtype={"id": str, "group": str}).set_index("id")
    except FileNotFoundError:
        raise _missing_file(study, run_id, name) from None


def _missing_file(study: Study, run_id: str, name: str) -> RunError:
    path = study.run(study.resolve(run_id).id) / name
    return RunError(f"run {run_id} has no {name}: there is no {path}")


def _head(record: Record) -> dict[str, Any]:
    """What identifies the run: its id, choices and options."""
    degradation, keys_read = record.config["degradation"], reads(record)
    return {
        "id": record.id,
        "status": record.status,
        "seed": record.seed,
        **{group: choice_of(record, group) or None for group in CHOICES},
        "degradation": record.choices["degradation"],
        "condition": labels.label(degradation),
        "noise": _noise(degradation),
        "supervision": keys_read.get("supervision"),
        "lam": keys_read.get("strategy.lam"),
    }


def _noise(degradation: dict[str, Any]) -> float | None:
    """σ of the Gaussian noise, which may be part of a mix."""
    order = degradation.get("order", [degradation["name"]])
    part = degradation.get("gaussian", degradation)
    return part["sigma"] if "gaussian" in order else None


def _scores(record: Record) -> dict[str, float | None]:
    """Its scores by column name; empty unless it has finished."""
    columns: dict[str, float | None] = {**record.metrics}
    for name, other in record.evaluate_on.items():
        columns |= {f"{name}.{metric}": value for metric, value in other.metrics.items()}
    return columns


def _end(record: Record) -> dict[str, Any]:
    """The metrics of its training, its duration and its code."""
    return {
        **{metric.name: value_of(record, metric.name) for metric in main_metrics("training")},
        "duration": record.duration,
        "revision": record.git.revision,
        "dirty": record.git.dirty,
    }
