"""Task-GAN's regression of probabilities on the truth, against formulas written out."""

import math

import numpy as np
import pytest
import torch

from gradprom.data.base import UNLABELLED
from gradprom.tasks.regression import absolute_error, squared_error


def test_two_classes_are_equation_3() -> None:
    """(T(x) − y)², where T(x) is the probability of the second class."""
    logits = torch.randn(9, 2, dtype=torch.float64)
    truth = torch.arange(9) % 2
    numbers = 1 / (1 + np.exp(-(logits[:, 1] - logits[:, 0]).numpy()))
    expected = np.mean((numbers - truth.numpy()) ** 2)
    assert float(squared_error(logits, truth)) == pytest.approx(expected, rel=1e-12)
    errors = np.abs(numbers - truth.numpy())
    np.testing.assert_allclose(absolute_error(logits, truth), errors, rtol=1e-12)


@pytest.mark.parametrize("shape", [(), (3, 4)])
def test_more_classes_and_pixels(shape: tuple[int, ...]) -> None:
    logits = torch.randn(6, 3, *shape, dtype=torch.float64)
    truth = torch.randint(0, 3, (6, *shape))
    truth[0] = UNLABELLED
    truth.view(6, -1)[1, 0] = UNLABELLED
    exponentials = logits.exp().numpy()
    probability = exponentials / exponentials.sum(1, keepdims=True)
    squares, distances = [], [[] for _ in range(6)]
    for place in np.ndindex(*truth.shape):
        known = int(truth[place])
        if known != UNLABELLED:
            of_place = [probability[place[0], k, *place[1:]] for k in range(3)]
            squares.append(sum((p - (k == known)) ** 2 for k, p in enumerate(of_place)) / 2)
            distances[place[0]].append(1 - of_place[known])
    assert float(squared_error(logits, truth)) == pytest.approx(np.mean(squares), rel=1e-12)
    for error, row in zip(absolute_error(logits, truth).tolist(), distances, strict=True):
        assert error == pytest.approx(np.mean(row), rel=1e-12) if row else math.isnan(error)


def test_nothing_labelled_is_no_error() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    loss = squared_error(logits, torch.full((2,), UNLABELLED))
    loss.backward()
    assert float(loss.detach()) == 0 and logits.grad is not None and not logits.grad.any()
