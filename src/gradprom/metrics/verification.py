"""Whether images of one person are closer to each other than to those of others.

A method's columns: `identity` (a number for each person; negative: unknown, and not counted) and
`embedding_0`, `embedding_1`, … (a single one is a score). Two images are the more similar the
smaller the Euclidean distance of their embeddings; a method that compares by the cosine returns
embeddings of length 1, whose distances rank as their cosines do.
"""

import numpy as np
from numpy.typing import NDArray

from gradprom.metrics.pooling import Array, column, numbered
from gradprom.metrics.registry import Metric, Table

CELLS = 4_000_000
"""Weights of pairs in memory at a time."""


def _pair_auc(table: Table, weights: Array) -> Array:
    """Area under the ROC curve over pairs of images, in [0, 1].

    The share of (pair of one identity, pair of two) in which the first is closer; equal distances
    count half. A pair is two images of the table, and counts w_i · w_j times: an image that is
    drawn twice does not form a pair with itself. NaN if either kind of pair is missing.
    """
    first, second, distance, same = pairs(table)
    order = np.argsort(distance, kind="stable")
    first, second, distance, same = first[order], second[order], distance[order], same[order]
    if not same.any() or same.all():
        return np.full(weights.shape[:-1], np.nan)
    # of each pair of one identity: where the pairs at its distance begin, and where they end
    begin = np.searchsorted(distance, distance[same], side="left")
    end = np.searchsorted(distance, distance[same], side="right")
    # images by draws: taking whole rows for pairs is far faster than single weights
    drawn = np.ascontiguousarray(weights.reshape(-1, weights.shape[-1]).T)
    size = max(1, CELLS // len(first))
    parts = [
        area(drawn[first, i : i + size] * drawn[second, i : i + size], same, begin, end)
        for i in range(0, drawn.shape[1], size)
    ]
    return np.concatenate(parts).reshape(weights.shape[:-1])


def pairs(
    table: Table,
) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, NDArray[np.bool_]]:
    """All pairs of images with a known identity.

    Returns
    -------
    tuple
        The rows of the first and of the second image, [pairs] each; their squared distance; and
        whether they are of one identity.
    """
    rows = np.flatnonzero(column(table, "identity") >= 0)
    identity = column(table, "identity")[rows]
    first, second = np.triu_indices(len(rows), k=1)
    distance = _distances(numbered(table, "embedding")[rows])[first, second]
    return rows[first], rows[second], distance, identity[first] == identity[second]


def _distances(embedding: Array) -> Array:
    """Squared Euclidean distances, [images, images]; equal embeddings are exactly 0 apart."""
    squared = np.zeros((len(embedding), len(embedding)))
    for values in embedding.T:
        squared += (values[:, None] - values[None, :]) ** 2
    return squared


def area(
    weights: Array, same: NDArray[np.bool_], begin: NDArray[np.intp], end: NDArray[np.intp]
) -> Array:
    """The area under the ROC curve for each draw, of pairs (or images) sorted by distance.

    For each pair of one identity, all pairs at a larger distance count, and half of those at the
    same distance. Among these are pairs of one identity, which do not belong there; summed over
    all pairs of one identity, their share is half the square of the total weight, whatever the
    distances.

    Parameters
    ----------
    weights
        [pairs, draws].
    same
        [pairs], which are of one identity.
    begin, end
        For each of those: where the pairs at its distance begin, and where they end.

    Returns
    -------
    Array
        [draws] in [0, 1]; NaN where either kind of pair has no weight.
    """
    until = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=until[1:])
    same_weights = weights[same]
    farther = until[-1] - (until[begin] + until[end]) / 2
    positive = same_weights.sum(axis=0)
    won = (same_weights * farther).sum(axis=0) - positive**2 / 2
    with np.errstate(invalid="ignore"):
        return np.asarray(won / (positive * (until[-1] - positive)))


METRICS = (
    Metric(
        "auc",
        "AUC",
        score=_pair_auc,
        columns=("identity", "embedding_0"),
        protocol="AUC is the area under the ROC curve over all pairs of images: whether a pair of "
        "one identity is closer than a pair of two.",
    ),
)
