"""Classification metrics, from the class numbers of each image.

A method's columns: `label` (negative: not labelled, and not counted), `prediction` on the image
as the method left it, and `clean_prediction` on the clean one.
"""

import numpy as np

from gradprom.metrics.pooling import Array, column, ratio
from gradprom.metrics.registry import Metric, Score, Table


def _accuracy(prediction: str) -> Score:
    """Share of labelled images whose class is right, in [0, 1]."""

    def score(table: Table, weights: Array) -> Array:
        label = column(table, "label")
        labelled = label >= 0
        hits = (column(table, prediction) == label) & labelled
        return ratio(hits[:, None].astype(float), labelled[:, None].astype(float), weights)

    return score


def _members(label: Array) -> Array:
    """1 where an image is of a class, [images, classes]; classes without an image are left out."""
    return (label[:, None] == np.unique(label[label >= 0])).astype(float)


def _balanced_accuracy(table: Table, weights: Array) -> Array:
    """Mean over classes of the share of their images whose class is right, in [0, 1]."""
    label = column(table, "label")
    members = _members(label)
    hits = (column(table, "prediction") == label)[:, None] * members
    return ratio(hits, members, weights)


def _majority_share(table: Table, weights: Array) -> Array:
    """The accuracy of always predicting the most frequent class, in [0, 1]."""
    counts = weights @ _members(column(table, "label"))
    largest = counts.max(axis=-1, initial=0.0)
    with np.errstate(invalid="ignore"):
        return np.asarray(largest / counts.sum(axis=-1))


METRICS = (
    Metric(
        "accuracy",
        "Acc",
        label="accuracy",
        score=_accuracy("prediction"),
        columns=("label", "prediction"),
        baseline="majority_share",
        brief="{:.0%}",
        logged=True,
    ),
    Metric(
        "balanced_accuracy",
        "balanced Acc",
        label="balanced accuracy",
        score=_balanced_accuracy,
        columns=("label", "prediction"),
        main=False,
    ),
    Metric(
        "majority_share",
        "majority",
        label="always the most frequent class",
        better="",
        score=_majority_share,
        columns=("label", "prediction"),
        main=False,
    ),
    Metric(
        "clean_accuracy",
        "clean Acc",
        label="accuracy on the clean images",
        score=_accuracy("clean_prediction"),
        columns=("label", "clean_prediction"),
        baseline="majority_share",
        main=False,
    ),
)
