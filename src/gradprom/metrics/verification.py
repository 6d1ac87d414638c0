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
    identified = column(table, "identity") >= 0
    identity = column(table, "identity")[identified]
    first, second = np.triu_indices(len(identity), k=1)
    distance = _distances(numbered(table, "embedding")[identified])[first, second]
    order = np.argsort(distance, kind="stable")
    first, second, distance = first[order], second[order], distance[order]
    same = identity[first] == identity[second]
    if not same.any() or same.all():
        return np.full(weights.shape[:-1], np.nan)
    starts = np.flatnonzero(np.diff(distance, prepend=-1.0))
    drawn = weights[..., identified].reshape(-1, len(identity))
    size = max(1, CELLS // len(first))
    parts = [
        _area(drawn[i : i + size, first] * drawn[i : i + size, second], same, starts)
        for i in range(0, len(drawn), size)
    ]
    return np.concatenate(parts).reshape(weights.shape[:-1])


def _distances(embedding: Array) -> Array:
    """Squared Euclidean distances, [images, images]; equal embeddings are exactly 0 apart."""
    squared = np.zeros((len(embedding), len(embedding)))
    for values in embedding.T:
        squared += (values[:, None] - values[None, :]) ** 2
    return squared


def _area(weights: Array, same: NDArray[np.bool_], starts: NDArray[np.intp]) -> Array:
    """The area for each row of pair weights, in order of distance; `starts` are starts of ties."""
    same_counts = np.add.reduceat(weights * same, starts, axis=-1)
    other_counts = np.add.reduceat(weights * ~same, starts, axis=-1)
    total = other_counts.sum(axis=-1)
    farther = total[:, None] - np.cumsum(other_counts, axis=-1)
    with np.errstate(invalid="ignore"):
        won = (same_counts * (farther + other_counts / 2)).sum(axis=-1)
        return np.asarray(won / (same_counts.sum(axis=-1) * total))


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
