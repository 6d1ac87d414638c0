"""How well a task network knows what restored images show, and whether a judge is misled by them.

A method's columns: `label`, `prediction` and `probability_0`, … of its task network;
`task_error`, the distance of its probabilities from the truth, on restored images, and
`clean_task_error` on clean ones; `judged` and `judged_clean`, the classes that a recognizer which
was trained on clean images alone sees in the restored and in the clean image.
"""

import numpy as np

from gradprom.metrics.pooling import Array, column, mean, numbered, ratio
from gradprom.metrics.registry import Metric, Table
from gradprom.metrics.verification import area

ORDER = 90
"""Before those of solvers and after those of all recognizers."""


def _error_rate(table: Table, weights: Array) -> Array:
    """Share of labelled images whose class is wrong, in [0, 1]."""
    label = column(table, "label")
    labelled = label >= 0
    wrong = (column(table, "prediction") != label) & labelled
    return ratio(wrong[:, None].astype(float), labelled[:, None].astype(float), weights)


def _changed(table: Table, weights: Array) -> Array:
    """Share of images in which the judge sees another class than in the clean one, in [0, 1]."""
    differs = (column(table, "judged") != column(table, "judged_clean"))[:, None].astype(float)
    return ratio(differs, np.ones_like(differs), weights)


def _roc_auc(table: Table, weights: Array) -> Array:
    """Area under the ROC curve of each class against all others, in the mean over classes.

    The share of (image of the class, image of another) in which the first has the higher
    probability of the class; equal ones count half. NaN if no class has images of both kinds.
    """
    label = column(table, "label")
    labelled = label >= 0
    label, probability = label[labelled], numbered(table, "probability")[labelled]
    drawn = weights[..., labelled].reshape(-1, len(label)).T
    areas = []
    for number in range(probability.shape[1]):
        order = np.argsort(-probability[:, number], kind="stable")
        distance, same = -probability[order, number], label[order] == number
        if same.any() and not same.all():
            begin = np.searchsorted(distance, distance[same], side="left")
            end = np.searchsorted(distance, distance[same], side="right")
            areas.append(area(drawn[order], same, begin, end))
    if not areas:
        return np.full(weights.shape[:-1], np.nan)
    known = np.isfinite(areas)
    with np.errstate(invalid="ignore"):
        means = np.where(known, areas, 0).sum(0) / known.sum(0)
    return np.asarray(means).reshape(weights.shape[:-1])


METRICS = (
    Metric(
        "task_error",
        "task MAE",
        label="mean absolute error of the task network",
        better="lower",
        score=mean("task_error"),
        columns=("task_error",),
        protocol="Task MAE is the mean over images of 1 − p of the true class.",
    ),
    Metric(
        "clean_task_error",
        "clean task MAE",
        label="mean absolute error of the task network on the clean images",
        better="lower",
        score=mean("clean_task_error"),
        columns=("clean_task_error",),
        main=False,
    ),
    Metric(
        "error_rate",
        "Error rate",
        label="error rate of the task network",
        better="lower",
        score=_error_rate,
        columns=("label", "prediction", "task_error"),
        main=False,
    ),
    Metric(
        "roc_auc",
        "ROC AUC",
        label="area under the ROC curve",
        score=_roc_auc,
        columns=("label", "probability_0"),
        main=False,
        protocol="ROC AUC is that of each class against all others, in the mean over classes.",
    ),
    Metric(
        "label_changed",
        "label changed",
        label="images whose label the restoration has changed",
        better="lower",
        score=_changed,
        columns=("judged", "judged_clean"),
        brief="{:.0%}",
        protocol="Label changed is the share of images in which a recognizer that was trained on "
        "clean images alone sees another class than in the clean image.",
    ),
)
