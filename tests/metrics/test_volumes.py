"""Decisions on volumes, against an average of slices by hand."""

import numpy as np
import pytest

from gradprom.metrics.registry import METRICS

# two volumes of class 1: one in which a slice misleads, one that is decided wrongly; one of class 0
TABLE = {
    "volume": np.array([3, 3, 3, 5, 5, 9, -1]),
    "label": np.array([1, 1, 1, 1, 1, 0, 0]),
    "probability_0": np.array([0.9, 0.1, 0.2, 0.6, 0.55, 0.8, 0.0]),
}
TABLE["probability_1"] = 1 - TABLE["probability_0"]


def score(name: str, weights: np.ndarray) -> np.ndarray:
    return METRICS[name].score(TABLE, weights)


def test_a_volume_is_decided_by_the_mean_of_its_slices() -> None:
    ones = np.ones(7)
    assert float(score("volume_error_rate", ones)) == pytest.approx(1 / 3)
    errors = [1.2 / 3, 1.15 / 2, 0.2]
    assert float(score("volume_task_error", ones)) == pytest.approx(np.mean(errors))


def test_draws_count_volumes_as_often_as_their_slices() -> None:
    draws = np.array(
        [
            [2, 2, 2, 0, 0, 1, 1],  # the first volume twice, the second not at all
            [3, 0, 0, 1, 1, 0, 0],  # of the first only the slice that misleads
            [0, 0, 0, 0, 0, 0, 5],
        ],
        float,
    )
    rates = score("volume_error_rate", draws)
    np.testing.assert_allclose(rates, [0, 1, np.nan])
    errors = score("volume_task_error", draws)
    np.testing.assert_allclose(errors, [(2 * 0.4 + 0.2) / 3, (0.9 + 0.575) / 2, np.nan])
    alone = [float(score("volume_task_error", draw)) for draw in draws]
    np.testing.assert_allclose(errors, alone)
