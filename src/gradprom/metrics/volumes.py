"""Decisions on volumes: a task network's probabilities in the mean over the slices of each.

A method's columns: `label`, `probability_0`, … as of the family `task_network`, and `volume`, a
number for each volume (negative: of none, and not counted).
"""

import numpy as np

from gradprom.metrics.pooling import Array, column, numbered
from gradprom.metrics.registry import Metric, Table

ORDER = 91
"""After the task network's scores of slices."""


def _decided(table: Table, weights: Array) -> tuple[Array, Array, Array]:
    """Of each volume: mean probabilities [..., V, K], its label [V], how often it counts [..., V].

    A slice counts in the mean as often as it is drawn; the volume as often as its slices are drawn
    in the mean.
    """
    label, volume = column(table, "label"), column(table, "volume")
    known = (label >= 0) & (volume >= 0)
    label, volume, drawn = label[known], volume[known], weights[..., known]
    numbers, first, counts = np.unique(volume, return_index=True, return_counts=True)
    members = (volume[:, None] == numbers).astype(float)
    totals = drawn @ members
    sums = [(drawn * of_class) @ members for of_class in numbered(table, "probability")[known].T]
    with np.errstate(invalid="ignore"):
        means = np.stack(sums, axis=-1) / totals[..., None]
    return means, label[first].astype(int), totals / counts


def _mean(errors: Array, times: Array) -> Array:
    """The mean of [..., V] over the volumes that count; NaN if none does."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(times > 0, errors * times, 0).sum(-1) / times.sum(-1))


def _task_error(table: Table, weights: Array) -> Array:
    means, label, times = _decided(table, weights)
    return _mean(1 - means[..., np.arange(len(label)), label], times)


def _error_rate(table: Table, weights: Array) -> Array:
    means, label, times = _decided(table, weights)
    return _mean((means.argmax(-1) != label).astype(float), times)


METRICS = (
    Metric(
        "volume_error_rate",
        "volume error rate",
        label="error rate of the task network on volumes",
        better="lower",
        score=_error_rate,
        columns=("label", "probability_0", "volume"),
        protocol="The volume error rate is that of decisions on whole volumes, by the "
        "probabilities in the mean over their slices.",
    ),
    Metric(
        "volume_task_error",
        "volume task MAE",
        label="mean absolute error of the task network on volumes",
        better="lower",
        score=_task_error,
        columns=("label", "probability_0", "volume"),
        main=False,
        protocol="Volume task MAE is the mean over volumes of 1 − p of the true class, p being the "
        "mean over slices.",
    ),
)
