"""ROC curves, whose areas are the metrics `roc_auc` (of classes) and `auc` (of pairs of images)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradprom.metrics.pooling import Array, column, numbered
from gradprom.metrics.registry import Table
from gradprom.metrics.verification import pairs

Curve = tuple[Array, Array]
"""False positive rates and true positive rates of its corners, both rising from 0 to 1."""


def curve(score: Array, positive: NDArray[np.bool_]) -> Curve:
    """The ROC curve of a score that is higher for positives; equal scores share one corner.

    Parameters
    ----------
    score
        [items].
    positive
        [items]; of both kinds there is at least one.
    """
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    hits = np.cumsum(positive)[last]
    misses = last + 1 - hits
    rates = (np.append(0, count) / count[-1] for count in (misses, hits))
    false, true = rates
    return false, true


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean of some curves' true positive rates at each false one; its area is the mean area."""
    corners = np.unique(np.concatenate([false for false, _ in curves]))
    sides = [np.mean([_at(one, corners, side) for one in curves], 0) for side in (False, True)]
    # a rise at one false positive rate has two corners, below and above
    return np.repeat(corners, 2), np.stack(sides, axis=1).ravel()


def _at(one: Curve, rates: Array, above: bool) -> Array:
    """The true positive rates at false ones, of a rise the lower or the upper end."""
    false, true = one
    number = np.searchsorted(false, rates, side="right" if above else "left") - above
    exact = false[np.minimum(number, len(false) - 1)] == rates
    return np.where(exact, true[number], np.interp(rates, false, true))


def of_classes(table: Table) -> Curve | None:
    """The ROC curve of a classifier: of the second of two classes, else the mean over classes.

    Parameters
    ----------
    table
        With the columns `label` and `probability_<class>`, as of the metric `roc_auc`.

    Returns
    -------
    tuple or None
        None unless some class has images of both kinds.
    """
    label = column(table, "label")
    probability, label = numbered(table, "probability")[label >= 0], label[label >= 0]
    classes = [1] if probability.shape[1] == 2 else range(probability.shape[1])
    curves = [
        curve(probability[:, number], label == number)
        for number in classes
        if (label == number).any() and not (label == number).all()
    ]
    return mean_curve(curves) if curves else None


def of_pairs(table: Table) -> Curve | None:
    """The ROC curve of a verification: which pairs of images are of one identity.

    Parameters
    ----------
    table
        With the columns `identity` and `embedding_<number>`, as of the metric `auc`.

    Returns
    -------
    tuple or None
        None unless there are pairs of one identity and of two.
    """
    _, _, distance, same = pairs(table)
    return curve(-distance, same) if same.any() and not same.all() else None
