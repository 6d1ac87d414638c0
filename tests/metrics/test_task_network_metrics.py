"""Scores of task networks and of judges, against counting and against SciPy."""

import numpy as np
import pytest
from scipy import stats

from gradprom.metrics.registry import METRICS, scores


def table(seed: int, images: int = 40, classes: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(classes), images).round(1)  # with ties
    columns = {f"probability_{k}": probability[:, k] for k in range(classes)}
    label = rng.integers(-1, classes, images)
    return {**columns, "label": label, "prediction": probability.argmax(1)}


@pytest.mark.parametrize("classes", [2, 3])
def test_roc_auc_is_mann_whitneys_u(classes: int) -> None:
    """U divided by the number of pairs, of each class, in the mean."""
    content = table(0, classes=classes)
    areas = []
    for number in range(classes):
        values, label = content[f"probability_{number}"], content["label"]
        of_class, others = values[label == number], values[(label >= 0) & (label != number)]
        u = stats.mannwhitneyu(of_class, others).statistic
        areas.append(u / (len(of_class) * len(others)))
    weights = np.ones(40)
    assert METRICS["roc_auc"].score(content, weights) == pytest.approx(np.mean(areas), rel=1e-12)


def test_weights_are_images_that_occur_that_often() -> None:
    content = table(1)
    content |= {"judged": content["label"], "judged_clean": content["prediction"]}
    content |= {"task_error": np.linspace(0, 1, 40), "clean_task_error": np.zeros(40)}
    rng = np.random.default_rng(2)
    draws = rng.multinomial(40, np.full(40, 1 / 40), size=5).astype(float)
    for name in ("roc_auc", "label_changed", "error_rate", "task_error"):
        drawn = METRICS[name].score(content, draws)
        assert drawn.shape == (5,)
        for row, value in zip(draws, drawn, strict=True):
            repeated = {k: np.repeat(v, row.astype(int)) for k, v in content.items()}
            assert value == pytest.approx(METRICS[name].score(repeated, np.ones(40)), rel=1e-12)


def test_one_class_alone_has_no_roc() -> None:
    content = table(3)
    content["label"] = np.where(content["label"] >= 0, 1, -1)
    assert np.isnan(METRICS["roc_auc"].score(content, np.ones(40)))


def test_changed_labels_and_errors_are_counted() -> None:
    content = {
        "label": [0, 1, 2, -1],
        "prediction": [0, 2, 2, 1],
        "task_error": [0.1, 0.9, 0.3, np.nan],
        "judged": [0, 1, 2, 2],
        "judged_clean": [0, 2, 2, 1],
        "degraded_judged": [1, 1, 1, 1],
        "degraded_judged_clean": [0, 2, 2, 1],
    }
    pooled = scores(content)
    assert pooled["error_rate"] == pytest.approx(1 / 3)
    assert pooled["label_changed"] == 0.5 and pooled["degraded_label_changed"] == 0.75
    assert pooled["task_error"] == pytest.approx((0.1 + 0.9 + 0.3) / 3)
    # other methods' tables of labels have no error rate: their accuracy says it
    assert "error_rate" not in scores({"label": [0, 1], "prediction": [0, 0]})
