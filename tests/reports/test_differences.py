"""Figures of differences to a baseline, and the forest plot of claims: what is drawn where."""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from support.judged_runs import RISING, Made, claim
from support.scored_study import Scored

from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.reports.plots import curves, differences, forest, style
from gradprom.reports.plots.differences import ticks_beyond
from gradprom.reports.statistics.effect import effect
from gradprom.reports.tables.table import Row, Table

IMAGES = 20
EASY = np.random.default_rng(0).normal(30, 3, IMAGES)
SIGMAS = (0.1, 0.3)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, to look at what is on them."""
    found: list[Figure] = []

    def save(figure: Figure, *args: Any) -> Any:
        found.append(figure)
        return style.save(figure, *args)

    for module in (curves, forest):
        monkeypatch.setattr(module, "save", save)
    return found


def filled(folder: Path, shifts: dict[str, float], seeds: int = 2) -> Scored:
    study = Scored(folder)
    for name, shift in shifts.items():
        for sigma in SIGMAS:
            for seed in range(seeds):
                chance = np.random.default_rng(zlib.crc32(f"{name} {sigma} {seed}".encode()))
                own = EASY + shift * sigma + chance.normal(0, 0.02, IMAGES)
                study.add(name, {"psnr": own}, sigma, seed)
    return study


def declared(table: Table) -> Table:
    """With σ as the key of its columns and the strategy as that of its rows."""
    columns = tuple(
        replace(column, overrides={"noise": sigma})
        for column, sigma in zip(table.columns, SIGMAS, strict=True)
    )
    for row in table.rows:
        name = row.declared.title
        row.declared = replace(row.declared, overrides={"strategy": name})
    experiment = replace(table.experiment, columns=columns, metrics=("psnr",))
    return replace(table, experiment=experiment)


def marks(axis: Axes, color: str) -> tuple[list[float], list[float]]:
    """Places and values of the marks of a colour."""
    lines = [x for x in axis.lines if to_hex(x.get_color()) == color.lower()]
    [line] = [x for x in lines if x.get_markerfacecolor() != "none" and x.get_marker() != "None"]
    return list(line.get_xdata()), list(line.get_ydata())


def test_rows_are_drawn_as_paired_differences_to_benchmark_i(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    study = filled(tmp_path, {"mainstream": 0.0, "gradprom": 0.1, "joint": -0.2})
    scores = study.scores()
    table = declared(study.table(scores))
    [picture] = curves.draw([table], scores, tmp_path / "figures")
    [axis] = drawn[0].axes
    rows = {row.declared.title: row for row in table.rows}
    bars = [c for c in axis.collections if hasattr(c, "get_segments")]
    for (name, color), bar in zip(
        [(n, style.STRATEGIES[n]) for n in rows if n != "mainstream"], bars, strict=True
    ):
        x, y = marks(axis, color)
        assert x == list(SIGMAS)
        for number, (value, segment) in enumerate(zip(y, bar.get_segments(), strict=True)):
            pair = [rows[name].cells[number, "psnr"], rows["mainstream"].cells[number, "psnr"]]
            own, base = (scores.by_seed(cell.finished, "", "psnr") for cell in pair)
            found = effect([(1, own), (-1, base)], scores)
            assert value == pytest.approx(found.mean)
            assert list(segment[:, 1]) == pytest.approx([found.low, found.high])
    assert axis.get_title() == "Δ PSNR, dB"
    low, high = axis.get_ylim()
    assert low < -0.05 and high > 0.05  # the band of the margin is in view
    [band] = axis.patches
    assert band.get_bbox().intervaly.tolist() == [-0.05, 0.05]
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert labels == [*(n for n in rows if n != "mainstream"), "Δ = 0: mainstream", "margin"]
    assert "PSNR minus mainstream's, with paired 95 % intervals" in picture.caption


def test_marks_of_one_place_stand_beside_each_other(tmp_path: Path, drawn: list[Figure]) -> None:
    names = ["mainstream", "gradprom", "joint", "frozen", "pcd", "bisector", "cagrad"]
    study = filled(tmp_path, {name: 0.01 for name in names}, seeds=1)
    scores = study.scores()
    curves.draw([declared(study.table(scores))], scores, tmp_path / "figures")
    [axis] = drawn[0].axes
    lines = [x for x in axis.lines if x.get_marker() != "None" and len(x.get_xdata())]
    solid = [x for x in lines if x.get_markerfacecolor() != "none"]
    places = sorted(x.get_transform().transform((0.1, 0.0))[0] for x in solid)
    assert len(places) == 6 and min(np.diff(places)) > 1.5  # pixels of the screen, 100 an inch
    left, right = axis.get_window_extent().intervalx
    assert left < min(places)
    assert max(x.get_transform().transform((0.3, 0.0))[0] for x in solid) < right


def test_far_differences_leave_the_band_its_place(tmp_path: Path, drawn: list[Figure]) -> None:
    study = filled(tmp_path, {"mainstream": 0.0, "gradprom": 0.01, "joint": -20.0})
    scores = study.scores()
    curves.draw([declared(study.table(scores))], scores, tmp_path / "figures")
    [axis] = drawn[0].axes
    assert axis.get_yscale() == "symlog"
    shown = [label.get_text() for label in axis.get_yticklabels()]
    assert {"-0.05", "0", "0.05", "0.2", "1", "5"} <= {text.replace("−", "-") for text in shown}


@pytest.mark.parametrize("shifts", [{"gradprom": 0.0, "joint": 0.1}, {"mainstream": 0.0}])
def test_without_a_baseline_and_a_rival_scores_are_drawn_as_they_are(
    tmp_path: Path, drawn: list[Figure], shifts: dict[str, float]
) -> None:
    study = filled(tmp_path, shifts)
    scores = study.scores()
    table = declared(study.table(scores))
    [picture] = curves.draw([table], scores, tmp_path / "figures")
    [axis] = drawn[0].axes
    assert axis.get_title() == "PSNR, dB" and "scores against" in picture.title
    for row in table.rows:
        values = [cell.value.mean for _, cell in sorted(row.cells.items()) if cell.value]
        assert marks(axis, style.STRATEGIES[row.declared.title])[1] == pytest.approx(values)


def test_what_has_no_pair_is_not_drawn(tmp_path: Path, drawn: list[Figure]) -> None:
    """A cell that has not run, one without a number, and one of other images."""
    study = filled(tmp_path, {"mainstream": 0.0, "gradprom": 0.1}, seeds=1)
    study.add("joint", {"psnr": EASY + 1}, 0.3)
    study.add("frozen", {"psnr": np.full(IMAGES, np.nan)}, 0.1)
    other = {"config__dataset__split_seed": 1, "dataset__fingerprint": "e" * 64}
    study.add("pcd", {"psnr": EASY}, 0.1, **other)
    scores = study.scores()
    found = differences.differences(declared(study.table(scores)), "psnr", scores)
    assert found is not None
    titles = {row.declared.title: n for n, row in enumerate(study.table(scores).rows)}
    assert {n: set(of) for n, of in found.rows.items()} == {
        titles["gradprom"]: {0, 1},
        titles["joint"]: {1},
    }


def test_the_baseline_of_an_accuracy_is_the_recognizer_of_degraded_images() -> None:
    rows = [
        Row(DeclaredRow("Warm-up only", overrides={"strategy": "mainstream"}), {}),
        Row(DeclaredRow("Benchmark-i", overrides={"strategy": "mainstream"}), {}),
        Row(DeclaredRow("Benchmark-ii", overrides={"method": "recognizer"}), {}),
    ]
    table = Table(None, [], [], rows, [])  # type: ignore[arg-type]
    found = [row.declared.title if row else None for row in differences._baselines(table)]
    assert found == ["Benchmark-i", "Warm-up only", "Benchmark-ii"]


def test_ticks_beyond_a_margin_find_room() -> None:
    assert ticks_beyond(0.05, 4.0) == pytest.approx([0.2, 1.0, 5.0])
    assert ticks_beyond(0.001, 0.1) == pytest.approx([0.005, 0.02, 0.1])


# the forest plot


def test_all_contrasts_are_in_the_forest(tmp_path: Path, drawn: list[Figure]) -> None:
    made = Made(tmp_path, "table1", noise=["0.1"]).fill(RISING)
    judged = made.judge(claim("diagnosis-over-benchmark"), claim("gradprom-over-frozen-diagnosis"))
    [picture] = forest.draw(judged, tmp_path / "figures")
    assert picture.table == "claims" and picture.name == "claims-forest"
    axes = {axis.get_title().split(",")[0].split(" (")[0]: axis for axis in drawn[0].axes}
    assert list(axes) == ["PSNR", "SSIM", "accuracy"]
    labels = [text.get_text() for text in axes["PSNR"].texts]
    # a heading and a line for each set of cells; first the claim that our runs say something of
    assert labels[0] == "gradprom-over-frozen-diagnosis: ours holds, published holds"
    assert len(labels) == 2 + 8 + 8
    by_label = {c.cells: c for c in judged[1].contrasts if c.metric == "psnr"}
    points = {
        (round(float(y)), marker): float(x)
        for line in axes["PSNR"].lines
        if (marker := str(line.get_marker())) != "None"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    for place, label in enumerate(labels[:9]):
        contrast = by_label.get(label)
        assert points.get((place, "s")) == (contrast.published if contrast else None)
        ours = points.get((place, "o"))
        assert (ours if ours == ours else None) == (contrast.effect if contrast else None)
    assert Image.open(picture.png).size[1] > 300


def test_intervals_of_the_forest_have_the_colours_of_verdicts(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    made = Made(tmp_path, "table1", noise=["0.1"]).fill(RISING)
    judged = made.judge(claim("diagnosis-unsupervised"))
    forest.draw(judged, tmp_path / "figures")
    [axis] = drawn[0].axes
    [ours] = [c for c in judged[0].contrasts if c.reported]
    grey = [c for c in axis.collections if to_hex(c.get_color()[0]) == style.GREY.lower()]
    segments = [s for c in grey for s in c.get_segments() if np.isfinite(s).all()]
    assert [list(s[:, 0]) for s in segments] == [pytest.approx([ours.low, ours.high])]


def test_claims_without_a_number_have_no_forest(tmp_path: Path) -> None:
    made = Made(tmp_path, "controls")
    judged = made.judge(claim("gradprom-over-random-gate"))
    assert forest.draw(judged, tmp_path / "figures") == []
