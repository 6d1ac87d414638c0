"""Tables of sweeps: states, degraded inputs and logged values, as text and as CSV."""

import csv
import io
import re
from typing import Any

import pytest
from rich.console import Console
from support.hand_made import Record, record, strategy
from support.swept_tables import build

from gradprom.reports.statistics.estimate import Estimate
from gradprom.reports.tables import latex, layout, text
from gradprom.reports.tables.table import Row, Table


def row_of(table: Table, title: str) -> Row:
    return next(row for row in table.rows if row.declared.title == title)


# what a reader must know


def test_failed_and_unfinished_runs_are_told() -> None:
    failed, started = record(config__seed=1), record(config__seed=2, status="started")
    [row] = build(record(24.0), failed, started).rows
    assert row.cells[0, "psnr"].value == Estimate(24.0, None, 1)
    assert row.cells[0, "psnr"].states == ["1/3 seeds", "1 failed", "1 not finished"]


def test_a_row_without_a_finished_run_says_why() -> None:
    table = build(strategy("joint", 24.0), record(), record(config__seed=1))
    cell = row_of(table, "gradprom").cells[0, "psnr"]
    assert cell.value is None and cell.states == ["0/2 seeds", "2 failed"]


def test_mixed_revisions_and_other_data_are_told() -> None:
    def states(*records: Record) -> list[str]:
        [row] = build(*records).rows
        return row.cells[0, "psnr"].states

    other = record(26.0, config__seed=1, git={"revision": "r2", "dirty": False})
    assert states(record(24.0), other) == ["mixed revisions"]
    dirty = record(26.0, config__seed=1, git={"revision": "r1", "dirty": True})
    assert states(record(24.0), dirty) == ["mixed revisions"]
    newer = {"dataset__fingerprint": "e" * 64, "started": "2026-04-02T10:15:00+0000"}
    more = record(26.0, config__seed=1, **newer)
    assert states(record(24.0), more) == ["1/2 seeds", "other data"]
    # a run that failed before the fix is no part of the number
    failed = record(config__seed=1, git={"revision": "r0", "dirty": True})
    assert states(record(24.0), failed) == ["1/2 seeds", "1 failed"]


@pytest.mark.parametrize("key, value", [("train_images", 24), ("validation", 0.2)])
def test_newer_runs_on_a_part_of_the_images_are_no_other_data(key: str, value: float) -> None:
    newer = {"dataset__fingerprint": "e" * 64, "started": "2026-04-02T10:15:00+0000"}
    table = build(record(24.0), record(22.0, **{f"config__{key}": value}, **newer))
    assert len(table.rows) == 2
    assert all(row.cells[0, "psnr"].states == [] for row in table.rows)


def test_what_a_run_does_not_score_is_not_in_its_row() -> None:
    scored = record(24.0, metrics__accuracy=0.75)
    table = build(strategy("mainstream", 25.0), scored)
    assert layout.slots(table) == [(0, "psnr"), (0, "ssim"), (0, "accuracy")]
    assert set(row_of(table, "mainstream").cells) == {(0, "psnr"), (0, "ssim")}
    assert layout.mean_text(row_of(table, "gradprom").cells[0, "accuracy"]) == "0.750 (1)"


def test_a_method_without_psnr_has_a_table() -> None:
    scores = {"auc": 0.875, "degraded_auc": 0.5}
    reads = {"dataset": {"name": "phantom"}}  # neither backbone nor strategy
    made = record(24.0, choices__method="verify", metrics=scores, scores=["auc"], reads=reads)
    table = build(made)
    assert [metric for _, metric in layout.slots(table)] == ["auc"]
    assert "| verify | 0.875 (1) |" in text.markdown(table)


def test_logged_values_are_means_over_seeds_and_tasks_where_any_row_logs_them() -> None:
    gates = [
        {"gate_diagnosis": 0.5, "gate_segmentation": 1.0, "ratio_diagnosis": 2e-4, "cosine_x": 1.0},
        {"gate_diagnosis": 0.0, "gate_segmentation": 0.5, "ratio_diagnosis": 4e-4, "cosine_x": 1.0},
    ]
    made = [record(24.0, config__seed=i, training=gate) for i, gate in enumerate(gates)]
    table = build(*made, strategy("mainstream", 25.0))
    cells = row_of(table, "gradprom").cells
    assert layout.mean_text(cells[0, "gate"]) == "0.50 ± 0.35 (2)"
    assert layout.mean_text(cells[0, "ratio"]) == "3.0e-04 ± 1.4e-04 (2)"
    assert (0, "gate") not in row_of(table, "mainstream").cells
    none = build(strategy("mainstream", 25.0))
    assert layout.slots(none) == [(0, "psnr"), (0, "ssim")]


# the degraded input


def test_the_degraded_input_is_the_first_row() -> None:
    table = build(record(24.0), record(25.0, config__seed=1), strategy("joint", 26.0))
    [first] = table.degraded
    assert layout.rows(table)[0] is first
    # the same images for every run: one number, no spread
    assert first.cells[0, "psnr"].value == Estimate(20.0, None, 1)
    assert first.cells[0, "ssim"].value == Estimate(0.25, None, 1)
    assert "| degraded input | 20.000 | 0.250 |" in text.markdown(table)


def degraded(*records: Record) -> dict[str, float]:
    rows = build(*records).degraded
    return {row.declared.title: row.cells[0, "psnr"].value.mean for row in rows}


def test_each_test_set_has_its_own_degraded_row() -> None:
    slices = record(
        24.0,
        choices__dataset="covid_ct",
        config__dataset__name="covid_ct",
        dataset={"name": "covid_ct", "fingerprint": "c" * 64},
        metrics__degraded_psnr=21.0,
    )
    assert degraded(record(24.0), slices) == {
        "degraded input phantom": 20.0,
        "degraded input covid_ct": 21.0,
    }
    other = record(24.0, config__evaluation__seed=1, metrics__degraded_psnr=20.1)
    assert degraded(record(24.0), other) == {
        "degraded input evaluation.seed=0": 20.0,
        "degraded input evaluation.seed=1": 20.1,
    }
    larger = record(24.0, config__dataset__size=128, dataset__fingerprint="e" * 64)
    assert set(degraded(record(24.0), larger)) == {
        "degraded input dataset.size=64",
        "degraded input dataset.size=128",
    }


# as text


@pytest.fixture
def table() -> Table:
    made = [
        record(24 + seed / 3, 0.5 + seed / 7, config__seed=seed, config__degradation__sigma=noise)
        for seed in range(3)
        for noise in (0.1, 0.2)
    ]
    made += [
        strategy("joint", 26.0, training={"gate_a": 1.0, "ratio_a": 1.5e-4}),
        strategy("frozen"),
    ]
    return build(*made)


def test_markdown_has_every_number(table: Table) -> None:
    shown = text.markdown(table).partition("\nOver ")[0]  # below are the summaries
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    titles, rule, *rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in rows] == ["degraded input", "gradprom", "joint", "frozen"]
    assert all(len(row) == len(titles) == len(rule) for row in rows)
    cells = {(row[0], t): c for row in rows for t, c in zip(titles, row, strict=True)}
    # 24, 24 1/3, 24 2/3: the deviations' squares sum to 2/9, over n - 1 = 2: std 1/3
    assert cells["gradprom", "σ=0.2<br>PSNR"] == "24.333 ± 0.333 (3)"
    assert cells["gradprom", "σ=0.1<br>SSIM"] == "**0.643 ± 0.143 (3)**"
    assert cells["joint", "σ=0.1<br>PSNR"] == "**26.000 (1)**"
    assert cells["joint", "σ=0.2<br>PSNR"] == "–"
    assert cells["frozen", "σ=0.1<br>PSNR"] == "–<br>0/1 seeds<br>1 failed"


def test_csv_holds_the_numbers_themselves(table: Table) -> None:
    lines = list(csv.DictReader(io.StringIO(text.as_csv(table))))
    by_cell = {(r["row"], r["column"], r["metric"]): r for r in lines}
    assert len(by_cell) == len(lines)
    line = by_cell["gradprom", "σ=0.1", "psnr"]
    assert float(line["mean"]) == pytest.approx(24 + 1 / 3, abs=1e-12)
    assert float(line["std"]) == pytest.approx(1 / 3, abs=1e-12)
    assert line["n"] == "3" and [p.split(":")[0] for p in line["runs"].split()] == ["0", "1", "2"]
    assert float(by_cell["joint", "σ=0.1", "ratio"]["mean"]) == 1.5e-4


@pytest.mark.parametrize("width", [100, 200])
def test_the_terminal_shows_every_number_with_its_seeds(table: Table, width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    console.print(text.terminal(table))
    shown = console.file.getvalue()
    for row in layout.rows(table):
        for cell in row.cells.values():
            assert layout.mean_text(cell) in shown
    assert re.search(r"^ ?gradprom +24\.333 ± 0\.333 \(3\)", shown, re.MULTILINE)


# baselines


def test_an_accuracy_stands_beside_the_share_of_the_most_frequent_class() -> None:
    scored = {"metrics__accuracy": 0.75, "metrics__majority_share": 0.625}
    table = build(record(24.0, **scored), strategy("mainstream", 25.0))
    [baseline] = table.baselines
    assert {key: cell.value for key, cell in baseline.cells.items()} == {
        (0, "accuracy"): Estimate(0.625, None, 1)
    }
    assert layout.rows(table)[1] is baseline
    console = Console(width=120, file=io.StringIO())
    console.print(text.terminal(table))
    for shown in (text.markdown(table), latex.latex(table), console.file.getvalue()):
        assert re.search(rf"{baseline.declared.title}.*0\.625", shown)


def test_a_record_without_a_baseline_keeps_its_accuracy() -> None:
    table = build(record(24.0, metrics__accuracy=0.75))
    assert table.baselines == []
    assert layout.mean_text(row_of(table, "gradprom").cells[0, "accuracy"]) == "0.750 (1)"


# further test sets


def further(name: str, psnr: float, **more: Any) -> dict[str, Any]:
    scores = {"psnr": psnr, "ssim": 0.25, "degraded_psnr": 18.0, "degraded_ssim": 0.125}
    return {name: {"metrics": scores | more, "fingerprint": name[0] * 64}}


def test_scores_on_further_test_sets_are_rows_of_their_own() -> None:
    made = [
        strategy("joint", 24.0, evaluate_on=further("isic2018", 22.0)),
        strategy("joint", 25.0, config__seed=1, evaluate_on=further("isic2018", 23.0)),
        strategy("frozen", 26.0, evaluate_on=further("isic2018", 21.0)),
        strategy("mainstream", 27.0),
    ]
    table = build(*made)
    rows = {(row.declared.group, row.declared.title): row for row in table.rows}
    group = "tested on isic2018"
    assert list(rows) == [
        *(("", name) for name in ("joint", "frozen", "mainstream")),
        *((group, name) for name in ("joint", "frozen")),
    ]
    assert rows[group, "joint"].cells[0, "psnr"].value == Estimate(22.5, 0.5**0.5, 2)
    # the best of each test set: scores of other images are no rivals
    best = [key for key, row in rows.items() if row.cells[0, "psnr"].best]
    assert best == [("", "mainstream"), (group, "joint")]
    degraded = {row.declared.title: row.cells[0, "psnr"].value.mean for row in table.degraded}
    assert degraded == {"degraded input phantom": 20.0, "degraded input isic2018": 18.0}
    lines = list(csv.DictReader(io.StringIO(text.as_csv(table))))
    [line] = [x for x in lines if (x["group"], x["row"], x["metric"]) == (group, "frozen", "psnr")]
    assert line["mean"] == "21.0" and line["runs"].endswith(made[2].id)
    assert group in text.markdown(table) and "22.500 ± 0.707 (2)" in text.markdown(table)
    assert "22.500" in latex.latex(table)


def test_runs_on_other_data_do_not_compete() -> None:
    slices = {"choices__dataset": "covid_ct", "config__dataset__name": "covid_ct"}
    slices |= {"dataset": {"name": "covid_ct", "fingerprint": "c" * 64}}
    table = build(
        strategy("joint", 24.0), strategy("frozen", 25.0), strategy("joint", 30.0, **slices)
    )
    assert [row.cells[0, "psnr"].best for row in table.rows] == [False, True, False]


# narrow terminals


@pytest.mark.parametrize("width", [24, 40, 80])
def test_a_study_of_datasets_and_noise_levels_shows_every_number(width: int) -> None:
    made = [
        record(
            20.0 + number + sigma,
            0.5 + number / 7,
            config__degradation__sigma=sigma,
            choices__dataset=f"a_dataset_with_a_long_name_{number}",
            config__dataset__name=f"a_dataset_with_a_long_name_{number}",
            config__dataset__classes=["benign", "malignant", "normal", f"other{number}"] * 5,
            dataset={"name": f"d{number}", "fingerprint": f"{number}" * 64},
            training={"gate_a": 0.25, "ratio_a": 1.5e-4},
            metrics__accuracy=0.75 - number / 100,
            metrics__majority_share=0.375,
        )
        for number in range(3)
        for sigma in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
    ]
    table = build(*made)
    console = Console(width=width, file=io.StringIO())
    console.print(text.terminal(table))
    shown = console.file.getvalue()
    assert "…" not in shown and max(map(len, shown.splitlines())) <= width
    squeezed = re.sub(r"\s", "", shown)
    for row in layout.rows(table):
        for cell in row.cells.values():
            assert layout.mean_text(cell).replace(" ", "") in squeezed
            if width > 24:
                assert layout.mean_text(cell) in shown
