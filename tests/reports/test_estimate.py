"""Means over seeds and their spread, against numbers worked out by hand."""

import math

import pytest

from gradprom.reports.statistics.estimate import Estimate, estimate


def test_mean_and_sample_standard_deviation() -> None:
    # 24, 25, 29: mean 26, squares of the deviations 4 + 1 + 9, over n - 1 = 2
    assert estimate([24.0, 25.0, 29.0]) == Estimate(26.0, 7.0**0.5, 3)
    assert estimate([24.0, 25.0, 29.0]).text(2) == "26.00 ± 2.65 (3)"
    assert estimate([1.0, 2.0]).std == pytest.approx(2**-0.5)


def test_one_value_has_no_spread_and_none_no_estimate() -> None:
    assert estimate([24.5]) == Estimate(24.5, None, 1)
    assert estimate([24.5]).text(3) == "24.500 (1)"
    assert estimate([]) is None


def test_no_spread_is_shown_as_such() -> None:
    assert estimate([0.5, 0.5]).text(3) == "0.500 ± 0.000 (2)"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_left_out(value: float) -> None:
    assert estimate([24.0, value, 26.0]) == Estimate(25.0, 2**0.5, 2)
    assert estimate([value, value]) is None
