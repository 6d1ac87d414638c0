"""ROC curves: corners by counting, and areas that are the metrics' scores."""

import numpy as np
import pytest

from gradprom.metrics import roc
from gradprom.metrics.registry import METRICS


def test_the_corners_of_a_curve_are_counted_at_each_threshold() -> None:
    score = np.array([0.9, 0.8, 0.8, 0.3, 0.1, 0.1])
    positive = np.array([1, 1, 0, 0, 1, 0], bool)
    false, true = roc.curve(score, positive)
    counted = [
        (
            ((score >= threshold) & ~positive).sum() / 3,
            ((score >= threshold) & positive).sum() / 3,
        )
        for threshold in (1.0, 0.9, 0.8, 0.3, 0.1)
    ]
    np.testing.assert_allclose(np.stack([false, true], 1), counted)


def test_a_mean_curve_has_the_mean_of_both_ends_of_a_rise() -> None:
    step = (np.array([0, 0, 1.0]), np.array([0, 1, 1.0]))
    chance = (np.array([0, 1.0]), np.array([0, 1.0]))
    late = (np.array([0, 0.5, 0.5, 1]), np.array([0, 0, 1, 1.0]))
    false, true = roc.mean_curve([step, chance, late])
    points = {(round(x, 6), round(y, 6)) for x, y in zip(false, true, strict=True)}
    thirds = {(0, 0), (0, 1 / 3), (0.5, 0.5), (0.5, 2.5 / 3), (1, 1)}
    assert points == {(round(x, 6), round(y, 6)) for x, y in thirds}


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_the_area_below_the_curve_of_classes_is_the_metric(classes: int) -> None:
    rng = np.random.default_rng(classes)
    probability = rng.dirichlet(np.ones(classes), 60).round(1)  # many are equal
    table = {"label": rng.integers(-1, classes, 60)}
    table |= {f"probability_{number}": probability[:, number] for number in range(classes)}
    if classes == 2:
        table["probability_1"] = 1 - table["probability_0"]
    curve = roc.of_classes(table)
    assert curve is not None
    area = np.trapezoid(curve[1], curve[0])
    assert area == pytest.approx(float(METRICS["roc_auc"].score(table, np.ones(60))), abs=1e-12)


def test_the_area_below_the_curve_of_pairs_is_the_metric() -> None:
    rng = np.random.default_rng(0)
    table = {"identity": rng.integers(-1, 5, 30)}
    table |= {f"embedding_{number}": rng.normal(size=30).round(1) for number in range(3)}
    curve = roc.of_pairs(table)
    assert curve is not None
    area = np.trapezoid(curve[1], curve[0])
    assert area == pytest.approx(float(METRICS["auc"].score(table, np.ones(30))), abs=1e-12)
    assert roc.of_pairs({"identity": np.zeros(4), "embedding_0": np.arange(4.0)}) is None


def test_one_class_alone_has_no_curve() -> None:
    ones = np.ones(4)
    assert roc.of_classes({"label": ones, "probability_0": ones, "probability_1": ones}) is None
