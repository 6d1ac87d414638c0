"""Accuracies, IoU and weighted scores agree with counts by hand and with torchmetrics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradprom.metrics import intersection_and_union
from gradprom.metrics.registry import METRICS, scores

# accuracies


def labelled(prediction, target):
    return {"label": np.asarray(target), "prediction": np.asarray(prediction)}


PREDICTION = [0, 0, 1, 1, 1, 0, 3]
TARGET = [0, 0, 0, 1, 1, 1, 1]


def test_accuracies_by_hand():
    found = scores(labelled(PREDICTION, TARGET))
    assert found == {
        "accuracy": pytest.approx(4 / 7),
        "balanced_accuracy": pytest.approx((2 / 3 + 2 / 4) / 2),
        "majority_share": pytest.approx(4 / 7),
    }
    skewed = scores(labelled([0] * 100, [0] * 72 + [1] * 28))
    assert skewed["accuracy"] == skewed["majority_share"] == pytest.approx(0.72)
    assert skewed["balanced_accuracy"] == pytest.approx(0.5)


def test_unlabelled_images_are_left_out():
    more = labelled([*PREDICTION, 2, 0], [*TARGET, -1, -1])
    assert scores(more) == scores(labelled(PREDICTION, TARGET))


def test_nothing_labelled_has_no_score():
    found = scores(labelled([0, 1], [-1, -1]))
    assert len(found) == 3 and all(map(math.isnan, found.values()))


def test_what_the_recognizer_makes_of_clean_images_is_a_score_of_its_own():
    table = labelled(PREDICTION, TARGET) | {"clean_prediction": np.array(TARGET)}
    found = scores(table)
    assert (found["accuracy"], found["clean_accuracy"]) == (pytest.approx(4 / 7), 1.0)


# IoU


def counted(intersection, union):
    """A table of images from pixels [images, classes]."""
    table = {f"intersection_{i}": np.asarray(x) for i, x in enumerate(np.transpose(intersection))}
    return table | {f"union_{i}": np.asarray(x) for i, x in enumerate(np.transpose(union))}


def miou(intersection, union):
    return scores(counted(intersection, union))["miou"]


def test_intersection_and_union_by_hand():
    target = torch.tensor([[[0, 0], [1, 1]], [[0, 0], [0, 0]]])
    prediction = torch.tensor([[[0, 1], [1, 1]], [[0, 0], [0, 2]]])
    intersection, union = intersection_and_union(prediction, target, 4)
    assert intersection.tolist() == [[1, 2, 0, 0], [3, 0, 0, 0]]
    assert union.tolist() == [[2, 3, 0, 0], [4, 0, 1, 0]]
    # pooled: 4/6 background, 2/3, 0/1 for the class nobody drew; the fourth is nowhere
    assert miou(intersection.numpy(), union.numpy()) == pytest.approx((4 / 6 + 2 / 3 + 0) / 3)
    with pytest.raises(ValueError, match="must be equal"):
        intersection_and_union(prediction[:1], target, 4)


def test_mean_iou_pools_over_images_first():
    assert miou([[1, 90], [1, 0]], [[1, 100], [4, 10]]) == pytest.approx((2 / 5 + 90 / 110) / 2)


def test_mean_iou_of_nothing_is_no_number():
    assert math.isnan(miou(np.zeros((2, 3)), np.zeros((2, 3))))


def test_more_than_ten_classes_keep_their_columns_together():
    """`union_10` stands beside `intersection_10`, whatever the order of the columns."""
    rng = np.random.default_rng(0)
    union = rng.integers(1, 50, (6, 12))
    intersection = np.floor(union * rng.random((6, 12)))
    table = dict(sorted(counted(intersection, union).items(), reverse=True))
    expected = (intersection.sum(axis=0) / union.sum(axis=0)).mean()
    assert scores(table)["miou"] == pytest.approx(expected)


masks = st.lists(st.integers(0, 3), min_size=36, max_size=36)


@settings(max_examples=50, deadline=None)
@given(masks, masks)
def test_iou_by_image_is_that_of_the_confusion_matrix(first, second):
    prediction, target = (torch.tensor(values).view(4, 3, 3) for values in (first, second))
    intersection, union = intersection_and_union(prediction, target, 4)
    matrix = np.zeros((4, 4))
    np.add.at(matrix, (np.array(second), np.array(first)), 1)
    hits = matrix.diagonal()
    pooled = matrix.sum(axis=0) + matrix.sum(axis=1) - hits
    assert intersection.sum(dim=0).tolist() == hits.tolist()
    assert union.sum(dim=0).tolist() == pooled.tolist()
    expected = (hits[pooled > 0] / pooled[pooled > 0]).mean()
    assert miou(intersection.numpy(), union.numpy()) == pytest.approx(expected)


def test_scores_agree_with_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.classification")
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 3, (200,), generator=generator)
    noise = torch.randint(0, 3, (200,), generator=generator)
    prediction = torch.where(torch.rand(200, generator=generator) < 0.6, target, noise)
    intersection, union = intersection_and_union(
        prediction.view(2, 10, 10), target.view(2, 10, 10), 3
    )
    theirs = functional.multiclass_jaccard_index(prediction, target, 3, average="macro")
    assert miou(intersection.numpy(), union.numpy()) == pytest.approx(theirs.item(), abs=1e-6)
    found = scores(labelled(prediction, target))
    recall = functional.multiclass_recall(prediction, target, 3, average="macro")
    assert found["balanced_accuracy"] == pytest.approx(recall.item(), abs=1e-6)
    share = functional.multiclass_accuracy(prediction, target, 3, average="micro")
    assert found["accuracy"] == pytest.approx(share.item(), abs=1e-6)


# weights


def test_weights_are_repetitions():
    """Every score of images where each counts w times is that of a table with w copies of it."""
    rng = np.random.default_rng(1)
    union = rng.integers(1, 50, (9, 2))
    table = counted(rng.integers(0, union + 1), union)
    table |= labelled(rng.integers(0, 3, 9), rng.integers(-1, 3, 9))
    table |= {"clean_prediction": rng.integers(0, 3, 9)}
    table |= {name: rng.random(9) for name in ("psnr", "ssim", "rmse", "mae", "iterations")}
    table |= {"converged": rng.integers(0, 2, 9)}
    weights = rng.integers(0, 4, (5, 9))
    fitting = [m for m in METRICS.values() if m.fits(table)]
    assert len(fitting) >= 11
    for metric in fitting:
        together = metric.score(table, weights.astype(float))
        for row, one in zip(weights, together, strict=True):
            repeated = {name: np.repeat(values, row) for name, values in table.items()}
            assert scores(repeated)[metric.name] == pytest.approx(float(one), rel=1e-12)


def test_missing_and_infinite_values_are_left_out():
    values = np.array([20.0, np.nan, np.inf, 30.0])
    weights = np.array([[1, 1, 0, 1], [1, 0, 1, 0], [0, 3, 2, 0], [1, 1, 1, 3]], dtype=float)
    found = METRICS["psnr"].score({"psnr": values}, weights)
    np.testing.assert_array_equal(found, [25.0, 20.0, np.nan, 27.5])


def test_the_number_of_infinite_values_is_told():
    table = {"psnr": np.array([20.0, np.inf, np.nan, 30.0]), "ssim": np.array([0.5, 1, 0.5, 0.5])}
    table |= {"degraded_psnr": np.array([np.inf, -np.inf, 21.0, np.inf])}
    found = scores(table)
    assert (found["psnr"], found["psnr_left_out"]) == (25.0, 1)
    assert (found["degraded_psnr"], found["degraded_psnr_left_out"]) == (21.0, 3)
    assert "ssim_left_out" not in found
    nothing = scores({"psnr": np.array([np.inf, np.inf])})
    assert np.isnan(nothing["psnr"]) and nothing["psnr_left_out"] == 2
