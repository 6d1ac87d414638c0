"""A study's records as pandas frames, for a notebook.

What `frame` leaves out is a line away:
`pandas.json_normalize([record.to_json() for record in study.records()])` has every key.
"""

from typing import Any

import pandas as pd

from gradprom.degradations import labels
from gradprom.errors import RunError
from gradprom.metrics.registry import DEGRADED, main_metrics
from gradprom.reports.unplanned import CHOICES, choice_of, reads
from gradprom.runs import history as histories
from gradprom.runs.record import Record, value_of
from gradprom.runs.records import Study


def frame(study: Study) -> pd.DataFrame:
    """One row a record, finished or not; what a run does not have is missing (None, NaN).

    id, status, seed
        Status is `finished`, `failed` or `started`.
    method, dataset, backbone, auxiliary, strategy, profile, degradation
        The files of `conf/` that the run was made of. Missing where it has no effect: the strategy
        of `method=recognizer`, the auxiliary task of `strategy=mainstream`.
    condition, noise
        The degradation in words, such as `σ=0.1`, and σ of its Gaussian noise.
    supervision, lam
        λ of Eq. 1; missing where it has no effect.
    <metric>, degraded_<metric>
        Scores of the test split and of its degraded images, as `gradprom.metrics` defines them:
        those shown in tables first, then what else was scored. Further down the metrics of
        training, such as the share of open gates.
    <set>.<metric>
        The same scores on a further test set of `evaluate_on`.
    duration, revision, dirty
        Seconds, git revision, and whether the tree differed from it.

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

    `run_id` may be the beginning of an id. Columns: stage, epoch, step (of its stage), then means
    since the row before: losses, metrics, accuracies, and for each task the strategy's gate,
    cosine and ratio. A value that a stage does not log is NaN.

    Raises
    ------
    RunError
        If there is no such run, or it has not come to the end of its training.
    """
    logged = histories.read(study.run(study.resolve(run_id).id))
    if not logged.columns:
        raise _lacks(study, run_id, histories.FILE)
    columns: dict[str, Any] = {
        name: logged.values(name) for name in logged.columns if name != "stage"
    }
    columns |= {name: columns[name].astype(int) for name in ("epoch", "step")}
    return pd.DataFrame({"stage": logged.cells("stage"), **columns})


def scores(study: Study, run_id: str, test_set: str = "") -> pd.DataFrame:
    """Scores of single images, by id: those of the test split, or of a set of `evaluate_on`.

    `run_id` may be the beginning of an id. Columns: group (the patient), what metrics
    measure of the image and of its degraded input (`degraded_…`), and what the recognizer made of
    it: `label`, `prediction` and `clean_prediction` as class numbers, `intersection_<class>` and
    `union_<class>` in pixels.

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
        raise _lacks(study, run_id, name) from None


def _lacks(study: Study, run_id: str, name: str) -> RunError:
    path = study.run(study.resolve(run_id).id) / name
    return RunError(f"run {run_id} has no {name}: there is no {path}")


def _head(record: Record) -> dict[str, Any]:
    """Which run it is."""
    degradation, read = record.config["degradation"], reads(record)
    return {
        "id": record.id,
        "status": record.status,
        "seed": record.seed,
        **{group: choice_of(record, group) or None for group in CHOICES},
        "degradation": record.choices["degradation"],
        "condition": labels.label(degradation),
        "noise": _noise(degradation),
        "supervision": read.get("supervision"),
        "lam": read.get("strategy.lam"),
    }


def _noise(degradation: dict[str, Any]) -> float | None:
    """σ of the Gaussian noise, which may be one of a mix."""
    order = degradation.get("order", [degradation["name"]])
    part = degradation.get("gaussian", degradation)
    return part["sigma"] if "gaussian" in order else None


def _scores(record: Record) -> dict[str, float | None]:
    """What it scored; nothing unless it finished."""
    found: dict[str, float | None] = {**record.metrics}
    for name, other in record.evaluate_on.items():
        found |= {f"{name}.{metric}": value for metric, value in other.metrics.items()}
    return found


def _end(record: Record) -> dict[str, Any]:
    """How it was made, and what its strategy did."""
    return {
        **{metric.name: value_of(record, metric.name) for metric in main_metrics("training")},
        "duration": record.duration,
        "revision": record.git.revision,
        "dirty": record.git.dirty,
    }
