"""Mean ranks and win rates over the cells of a table, against scipy's ranks and plain loops."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from support.scored_study import Scored

from gradprom.reports.statistics.ranks import ranks, wins
from gradprom.reports.tables import summary_text, text
from gradprom.reports.tables.table import Measured, Summary

IMAGES = 24
GROUPS = [f"patient-{n // 2}" for n in range(IMAGES)]
EASY = np.random.default_rng(0).normal(30, 3, IMAGES)
STRATEGIES = {"gradprom": 0.3, "joint": 0.25, "frozen": 0.0}
MARGINS = {"psnr": 0.05, "ssim": 0.001}


# ranks and wins


@pytest.mark.parametrize("digits", [0, 1, 9])  # with few digits many are equal
def test_ranks_are_scipys(digits: int) -> None:
    gains = np.round(np.random.default_rng(digits).normal(0, 2, (40, 3, 7)), digits)
    np.testing.assert_array_equal(ranks(gains), stats.rankdata(-gains, axis=-1))


@pytest.mark.parametrize("margin", [0.0, 0.03, 0.5, 100.0])
def test_wins_are_counted_pair_by_pair(margin: float) -> None:
    gains = np.round(np.random.default_rng(1).normal(0, 1, (50, 9)), 2) + 0.001  # with ties
    # no difference equals the margin but for rounding
    found = wins(gains, margin - 1e-9 if margin else 0.0)
    for row, counts in zip(gains, found, strict=True):
        for i, count in enumerate(counts):
            expected = 0.0
            for j in range(len(row)):
                difference = row[i] - row[j]
                tie = abs(difference) < margin - 1e-9 or difference == 0
                expected += (j != i) * (0.5 if tie else float(difference > 0))
            assert count == expected


def test_a_row_without_a_number_leaves_no_rank() -> None:
    gains = np.array([[1.0, np.nan, 2.0], [1.0, 0.0, 2.0]])
    assert np.isnan(ranks(gains)[0]).all() and ranks(gains)[1].tolist() == [2, 3, 1]


# summaries


def images(shift: float, chance: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(chance)
    return {
        "psnr": EASY + shift + rng.normal(0, 0.2, IMAGES),
        "ssim": 0.9 + shift / 50 + rng.normal(0, 0.004, IMAGES),
    }


def filled(folder: Path, seeds: tuple[int, ...] = (0, 1, 2)) -> Scored:
    """Three rows, two σ, PSNR and SSIM."""
    study = Scored(folder, GROUPS)
    for number, (name, shift) in enumerate(STRATEGIES.items()):
        for sigma in (0.1, 0.3):
            for seed in seeds:
                chance = 100 * number + 10 * seed + round(10 * sigma)
                study.add(name, images(shift - sigma, chance), sigma, seed)
    return study


def rates(summary: Summary) -> dict[str, tuple[Measured, Measured]]:
    return {each.row.title: (each.rank, each.win_rate) for each in summary.standings}


def test_a_summary_is_that_of_a_direct_bootstrap(tmp_path: Path) -> None:
    study = filled(tmp_path)
    scores = study.scores()
    table = study.table(scores)
    [summary] = table.summaries
    assert set(summary.slots) == {(n, m) for n in (0, 1) for m in ("psnr", "ssim")}
    assert (summary.seeds, summary.left_out) == (3, ())
    [weights] = scores.draws._images.values()
    chances = scores.draws.seeds(3)
    titles = [row.declared.title for row in table.rows]
    # by cell: [rows, seeds, images]
    cells = {
        (number, metric): np.array(
            [
                [
                    scores._table(row.cells[number, metric].finished[seed], "").columns[metric]  # type: ignore[union-attr]
                    for seed in range(3)
                ]
                for row in table.rows
            ]
        )
        for number, metric in summary.slots
    }

    def standing(image_counts: np.ndarray, seed_shares: np.ndarray) -> tuple[list, list]:
        ranked, won = [], []
        for (_, metric), values in cells.items():
            means = [
                sum(
                    share * np.average(of_seed, weights=image_counts)
                    for share, of_seed in zip(seed_shares, of_row, strict=True)
                )
                for of_row in values
            ]
            ranked.append(stats.rankdata([-mean for mean in means]))
            gaps = np.subtract.outer(means, means)
            beats = (gaps >= MARGINS[metric]) + 0.5 * (abs(gaps) < MARGINS[metric])
            won.append((beats.sum(axis=1) - 0.5) / (len(means) - 1))
        return np.mean(ranked, axis=0), np.mean(won, axis=0)

    expected = standing(np.ones(IMAGES), np.full(3, 1 / 3))
    drawn = [standing(w, s) for w, s in zip(weights[:2000], chances, strict=True)]
    found = rates(summary)
    for place, title in enumerate(titles):
        for kind in (0, 1):
            measured = found[title][kind]
            ends = np.quantile([draw[kind][place] for draw in drawn], [0.025, 0.975])
            assert measured.mean == pytest.approx(expected[kind][place])
            assert [measured.low, measured.high] == pytest.approx(list(ends))
    order = [each.rank.mean for each in summary.standings]
    assert order == sorted(order) and summary.standings[-1].row.title == "frozen"


def test_rows_without_all_cells_are_left_out_by_name(tmp_path: Path) -> None:
    study = filled(tmp_path)
    for seed in range(3):
        study.add("mainstream", images(1.0, 500 + seed), 0.1, seed)  # not at σ = 0.3
    [summary] = study.table().summaries
    assert set(rates(summary)) == set(STRATEGIES) and len(summary.slots) == 4
    assert summary.left_out == ("mainstream",)
    assert "Without mainstream: cells missing." in text.markdown(study.table())


def test_metrics_that_other_rows_have_are_summed_up_apart(tmp_path: Path) -> None:
    study = filled(tmp_path)
    label = np.ones(IMAGES, int)
    for sigma in (0.1, 0.3):
        for name in ("pcd", "bisector"):
            prediction = np.where(np.arange(IMAGES) < 3 + (name == "pcd"), 0, 1)
            own = {"label": label, "prediction": prediction}
            for seed in range(3):
                study.add(name, own, sigma, seed)
    enhanced, diagnosed = study.table().summaries
    assert set(rates(enhanced)) == set(STRATEGIES)
    assert {m for _, m in diagnosed.slots} == {"accuracy"}
    assert rates(diagnosed)["bisector"][0] == Measured(1.0, 1.0, 1.5)
    assert rates(diagnosed)["bisector"][1].mean == 1.0  # one of 24 is more than the margin


def test_one_cell_or_one_row_has_no_summary(tmp_path: Path) -> None:
    one = Scored(tmp_path / "row")
    for sigma in (0.1, 0.3):
        one.add("gradprom", images(0, 1), sigma)
    cell = Scored(tmp_path / "cell")
    for name in ("gradprom", "joint"):
        cell.add(name, {"psnr": EASY})
    assert one.table().summaries == cell.table().summaries == []
    assert "mean rank" not in text.markdown(one.table())


def test_without_scores_of_images_there_are_no_intervals(tmp_path: Path) -> None:
    study = filled(tmp_path)
    for run in study.runs:
        (study.study.run(run) / "scores.csv").unlink()
    table = study.table()
    [summary] = table.summaries
    assert summary.standings[-1].row.title == "frozen" and summary.seeds == 0
    assert np.isnan(summary.standings[0].rank.low)
    shown = text.markdown(table)
    assert "no common scores of single images, so no intervals" in shown and "nan" not in shown
    *_, last = csv.DictReader(io.StringIO(summary_text.as_csv(table)))
    assert (last["row"], float(last["mean_rank"])) == ("frozen", 3.0)
    assert last["rank_low"] == last["win_high"] == ""


def test_the_forms_tell_the_same(tmp_path: Path) -> None:
    table = filled(tmp_path).table()
    [summary] = table.summaries
    best = summary.standings[0]
    shown = text.markdown(table)
    assert "Over 4 cells (PSNR, SSIM in 2 columns), 3 seeds:" in shown
    assert summary_text.rank_text(best.rank).replace("[", "\\[").replace("]", "\\]") in shown
    first, *_ = csv.DictReader(io.StringIO(summary_text.as_csv(table)))
    assert (first["row"], first["metrics"], first["cells"]) == (best.row.title, "psnr ssim", "4")
    assert float(first["win_low"]) == best.win_rate.low


def test_texts_of_ranks_and_rates() -> None:
    assert summary_text.rank_text(Measured(1.5, 1.25, 2.375)) == "1.50 [1.25, 2.38]"
    assert summary_text.win_text(Measured(5 / 6, 0.75, 1.0)) == "83 % [75, 100]"
    nothing = Measured(float("nan"), float("nan"), float("nan"))
    assert summary_text.rank_text(nothing) == summary_text.win_text(nothing) == "–"
