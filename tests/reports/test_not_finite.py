"""NaN and infinity are no numbers: they have no rank, enter no mean, and are told in words."""

import csv
import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import create_trial
from support.hand_made import record, strategy
from support.swept_tables import build

from gradprom.metrics.registry import METRICS
from gradprom.reports.compare import paired_differences
from gradprom.reports.page.data import as_json
from gradprom.reports.statistics.bootstrap import Draws, interval
from gradprom.reports.tables import latex, layout, text
from gradprom.reports.tables.table import Cell, Table
from gradprom.tuning import journal

BAD = [math.nan, math.inf, -math.inf]
ENDLESS = re.compile(r"\b(nan|inf|infinity)\b", re.IGNORECASE)


def cells(table: Table, metric: str = "psnr") -> dict[str, Cell]:
    return {row.declared.title: row.cells[0, metric] for row in table.rows}


@pytest.fixture(params=BAD, ids=str)
def bad(request: pytest.FixtureRequest) -> float:
    return float(request.param)


def with_bad(bad: float) -> Table:
    """Four rows, of which the third has no finite score and the first has one of two."""
    return build(
        strategy("joint", 24.0),
        strategy("joint", bad, config__seed=1),
        strategy("frozen", 26.0),
        strategy("gradprom", bad),
        strategy("mainstream", 25.0),
    )


def test_the_best_are_those_of_the_numbers(bad: float) -> None:
    found = cells(with_bad(bad))
    assert {name for name, cell in found.items() if cell.best} == {"frozen"}
    assert found["joint"].value is not None and found["joint"].value.mean == 24.0
    assert found["joint"].value.n == 1 and "1 not finite" in found["joint"].states
    assert found["gradprom"].value is None and "1 not finite" in found["gradprom"].states


def test_no_form_prints_them(bad: float) -> None:
    table = with_bad(bad)
    for shown in (text.markdown(table), text.as_csv(table), latex.latex(table)):
        assert not ENDLESS.search(shown) and "1 not finite" in shown
        assert "left out of the mean" in shown or shown.startswith("table,")
    best = re.findall(r"\\textbf\{(2[^}]*)\}", latex.latex(table))  # of PSNR
    assert best == ["26.000 (1)"]
    [line] = [
        line
        for line in csv.DictReader(io.StringIO(text.as_csv(table)))
        if (line["row"], line["metric"]) == ("gradprom", "psnr")
    ]
    assert (line["mean"], line["best"], line["states"]) == ("", "no", "1 not finite")


def test_images_that_a_mean_leaves_out_are_told() -> None:
    scores = {"psnr": 24.0, "psnr_left_out": 2, "degraded_psnr": 20.0, "degraded_psnr_left_out": 1}
    other = {**scores, "psnr": 26.0, "psnr_left_out": 3}
    table = build(record(24.0, metrics=scores), record(26.0, config__seed=1, metrics=other))
    assert cells(table)["gradprom"].states == ["2 to 3 images left out"]
    assert table.degraded[0].cells[0, "psnr"].states == ["1 image left out"]
    assert any("equals the clean one" in note for note in layout.notes(table))


def test_a_degraded_input_that_is_the_clean_one_has_no_number() -> None:
    scores = {"psnr": 24.0, "degraded_psnr": math.nan, "degraded_psnr_left_out": 8}
    table = build(record(24.0, metrics=scores))
    assert table.degraded[0].cells[0, "psnr"].value is None
    assert "| degraded input | –<br>8 images left out |" in text.markdown(table)


def test_a_text_of_a_metric_is_a_number_or_a_dash(bad: float) -> None:
    for metric in METRICS.values():
        assert metric.number(bad) == metric.brief_text(bad) == "–"
        assert not ENDLESS.search(metric.text(bad))
    assert layout.signed(bad, "psnr") == "–"


def test_an_interval_is_of_the_finite_draws(bad: float) -> None:
    values = np.append(np.linspace(0, 1, 201), bad)
    assert interval(values) == pytest.approx((0.025, 0.975))
    assert np.isnan(interval(np.full(5, bad))).all()
    assert np.isnan(Draws(10).interval(np.full((10, 2), bad))).all()


def test_a_difference_is_over_the_images_that_both_runs_have(bad: float) -> None:
    """Image 3 is infinite in one run; without it, all images gain exactly 1 dB."""
    first = {"psnr": np.array([20.0, 21.0, 22.0, 60.0])}
    second = {"psnr": np.array([21.0, 22.0, 23.0, bad])}
    for one, other, gain in ((first, second, 1.0), (second, first, -1.0)):
        [found] = paired_differences([METRICS["psnr"]], one, other, np.arange(4))
        assert found.second - found.first == pytest.approx(gain)
        assert (found.low, found.high) == pytest.approx((gain, gain))
        assert found.left_out == 1
    nothing = {"psnr": np.full(4, bad)}
    [found] = paired_differences([METRICS["psnr"]], first, nothing, np.arange(4))
    assert not ENDLESS.search(found.text()) and "–" in found.text()
    assert found.text().endswith("4 images left out: not finite")


def test_a_tuning_s_best_trial_has_a_finite_value(tmp_path: Path) -> None:
    study = journal.create(tmp_path / "lambda-0", {"metric": "psnr"})
    for value in (24.0, math.inf, 25.0):
        study.add_trial(create_trial(value=value))
    best = journal.best(study)
    assert best is not None and best.value == 25.0


def test_the_page_s_data_is_json_whatever_it_holds(bad: float) -> None:
    found = json.loads(as_json({"metrics": {"psnr": bad}, "curve": [1.0, bad]}))
    assert found["curve"][0] == 1.0 and isinstance(found["metrics"]["psnr"], str)
