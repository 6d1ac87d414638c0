"""Curves of hand-made tables and histories, against numbers worked out by hand."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from support import records_factory

from gradprom.experiments.declared import Column, Experiment
from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.reports.plots import curves, style, training
from gradprom.reports.statistics.estimate import Estimate, estimate
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.reports.tables.published import Published
from gradprom.reports.tables.table import Cell, Row, Table
from gradprom.runs.records import Study

SIGMAS = (0.3, 0.1, 0.2)  # as a table may list them


def row(strategy: str, group: str = "", title: str = "", **details: str) -> DeclaredRow:
    return DeclaredRow(title or strategy, group, {"strategy": strategy}, details=details)


def experiment(
    rows: list[DeclaredRow], key: str = "noise", values: tuple[float, ...] = SIGMAS
) -> Experiment:
    columns = tuple(Column(f"{key} {value:g}", {key: value}) for value in values)
    metrics = ("psnr", "ssim", "accuracy", "ratio", "gate")
    return Experiment("tiny", "Tiny", "A table.", {}, (0, 1), metrics, columns, tuple(rows), 1)


def cell(metric: str, *values: float, **more: Any) -> Cell:
    runs = {seed: f"{metric}-{seed}" for seed in range(len(values))}
    return Cell(metric, estimate([*values]), finished=runs, **more)


def table(*lines: Row, key: str = "noise", values: tuple[float, ...] = SIGMAS) -> Table:
    declared = experiment([line.declared for line in lines], key, values)
    floor = {(n, "psnr"): Cell("psnr", Estimate(20.0 - n, None, 1)) for n in range(len(values))}
    degraded = Row(DeclaredRow("degraded input"), floor, reference=True)
    return Table(declared, [], [degraded], [*lines], ["phantom 64×64"])


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures that are saved, to look at what is on them."""
    found: list[Figure] = []

    def save(figure: Figure, folder: Path, name: str, title: str, caption: str) -> Any:
        found.append(figure)
        return style.save(figure, folder, name, title, caption)

    monkeypatch.setattr(curves, "save", save)
    monkeypatch.setattr(training, "save", save)
    yield found


def draw(tmp_path: Path, *tables: Table, records: dict[str, Any] | None = None) -> list[Any]:
    scores = StudyScores(records or {}, Study(tmp_path, "local"))
    return curves.draw([*tables], scores, tmp_path / "figures")


def line_of(axis: Axes, color: str, hollow: bool = False) -> Any:
    """The one line of a colour: ours, or its hollow marks."""
    lines = [x for x in axis.lines if to_hex(x.get_color()) == color.lower() and len(x.get_xdata())]
    [found] = [x for x in lines if (x.get_markerfacecolor() == "none") == hollow]
    return found


# scores against noise


def test_lines_bands_published_marks_and_degraded_input(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    cells = {
        (0, "psnr"): cell(
            "psnr", 24.0, 25.0, 29.0, published=Published(30.0, 0.1), comparable=True
        ),
        (1, "psnr"): cell("psnr", 33.0),
        (2, "psnr"): cell("psnr", 30.0, 32.0, published=Published(31.5, None), comparable=True),
    }
    gradprom = Row(row("gradprom"), cells)
    [picture] = draw(tmp_path, table(gradprom), records=records_of(gradprom))
    [axis] = drawn[0].axes
    ours = line_of(axis, style.VERMILLION)
    # in the order of σ, and not of the table; (24 + 25 + 29) / 3 = 26
    assert ours.get_xdata().tolist() == [0.1, 0.2, 0.3]
    assert ours.get_ydata().tolist() == [33.0, 31.0, 26.0]
    [band] = axis.collections
    corners = band.get_paths()[0].vertices
    # ± sample standard deviation: √2 at σ = 0.2, √7 at σ = 0.3, none for one run
    for sigma, spread in ((0.1, 0.0), (0.2, 2**0.5), (0.3, 7**0.5)):
        here = corners[np.isclose(corners[:, 0], sigma), 1]
        assert np.ptp(here) == pytest.approx(2 * spread)
    marks = line_of(axis, style.VERMILLION, hollow=True)
    assert (list(marks.get_xdata()), list(marks.get_ydata())) == ([0.2, 0.3], [31.5, 30.0])
    degraded = line_of(axis, style.GREY)
    assert degraded.get_linestyle() == ":"
    assert list(degraded.get_ydata()) == [19.0, 18.0, 20.0]
    assert (
        picture.name == "tiny-curves" and "± one standard deviation. Of 3 runs" in picture.caption
    )
    assert "Hollow marks" in picture.caption


def test_references_have_dashes_of_their_own_and_names(tmp_path: Path, drawn: list[Figure]) -> None:
    line = Row(row("mainstream"), {(n, "psnr"): cell("psnr", 30.0 + n) for n in range(3)})
    filtered = {(n, "psnr"): Cell("psnr", Estimate(25.0 + n, None, 1)) for n in range(3)}
    shown = table(line)
    shown.classical = [Row(DeclaredRow("total variation"), filtered, reference=True)]
    draw(tmp_path, shown, records=records_of(line))
    [axis] = drawn[0].axes
    grey = [x for x in axis.lines if to_hex(x.get_color()) == style.GREY.lower()]
    assert [list(x.get_ydata()) for x in grey] == [[19.0, 18.0, 20.0], [26.0, 27.0, 25.0]]
    assert len({x.get_linestyle() for x in grey}) == 2
    [legend] = drawn[0].legends
    assert {"degraded input", "total variation"} <= {x.get_text() for x in legend.get_texts()}


def test_published_numbers_of_another_dataset_are_left_out(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    paper = {"published": Published(30.0, None), "comparable": False}
    cells = {(n, "psnr"): cell("psnr", 20.0 + n, **paper) for n in range(3)}
    line = Row(row("joint"), cells)
    [picture] = draw(tmp_path, table(line), records=records_of(line))
    assert [
        x
        for x in drawn[0].axes[0].lines
        if x.get_markerfacecolor() == "none" and len(x.get_xdata())
    ] == []
    assert "of another dataset and left out" in picture.caption


def test_the_figure_of_lambda_has_a_logarithmic_axis_and_the_ratio(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    lams = (1e-4, 1e-2, 1.0)
    cells = {(n, m): cell(m, x) for n, x in enumerate(lams) for m in ("psnr", "accuracy", "ratio")}
    line = Row(row("gradprom"), cells)
    draw(tmp_path, table(line, key="lam", values=lams), records=records_of(line))
    psnr, accuracy, ratio = drawn[0].axes
    assert [axis.get_title() for axis in (psnr, accuracy)] == ["PSNR, dB", "accuracy"]
    assert {axis.get_xscale() for axis in drawn[0].axes} == {"log"}
    assert (psnr.get_yscale(), ratio.get_yscale()) == ("linear", "log")
    assert line_of(ratio, style.VERMILLION).get_ydata().tolist() == [1e-4, 1e-2, 1.0]


def test_many_metrics_stand_in_rows_and_only_the_lowest_panels_name_their_axis(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    lams = (1e-4, 1e-2, 1.0)
    metrics = ("psnr", "ssim", "accuracy", "ratio", "gate")
    cells = {(n, m): cell(m, x) for n, x in enumerate(lams) for m in metrics}
    line = Row(row("gradprom"), cells)
    draw(tmp_path, table(line, key="lam", values=lams), records=records_of(line))
    axes = drawn[0].axes
    assert [axis.get_subplotspec().rowspan.start for axis in axes] == [0, 0, 0, 1, 1]
    assert [axis.get_xlabel() for axis in axes] == ["", "", "λ", "λ", "λ"]


def test_nothing_is_drawn_where_there_is_nothing(tmp_path: Path) -> None:
    empty = Row(row("gradprom"), {(0, "psnr"): Cell("psnr")})
    unswept = table(Row(row("joint"), {(0, "psnr"): cell("psnr", 20.0)}), values=(0.1,))
    assert draw(tmp_path, table(empty), unswept, records=records_of(*unswept.rows)) == []
    assert not (tmp_path / "figures").exists()


def test_files_are_a_png_and_an_svg_that_stay_equal(tmp_path: Path) -> None:
    line = Row(row("gradprom"), {(n, "psnr"): cell("psnr", 20.0 + n) for n in range(3)})
    [first] = draw(tmp_path / "a", table(line), records=records_of(line))
    [again] = draw(tmp_path / "b", table(line), records=records_of(line))
    assert Image.open(first.png).size[0] == round(style.PAGE * style.DPI)
    assert first.vector.suffix == ".svg"
    assert first.vector.read_bytes() == again.vector.read_bytes()
    assert first.png.read_bytes() == again.png.read_bytes()


def test_strategies_keep_their_colour_and_rows_are_told_apart() -> None:
    rows = [
        row("frozen", title="ESTR", Backbone="ResNet-50"),
        row("frozen", title="ESTR", Backbone="ResNet-101"),
        DeclaredRow("ADAP", details={"Backbone": "ResNet-101"}),
        DeclaredRow("WinNet"),
        row("gradprom", title="Ours"),
    ]
    found = style.strokes(rows)
    assert found[0].color == found[1].color == style.STRATEGIES["frozen"]
    assert found[4].color == style.STRATEGIES["gradprom"]
    looks = [(x.color, str(x.dashes), x.marker) for x in found]
    assert len(set(looks)) == len(rows)
    assert style.strokes(rows[::-1])[0].color == found[4].color
    assert style.short_labels(rows) == [
        "ESTR, ResNet-50", "ESTR, ResNet-101", "ADAP", "WinNet", "Ours"
    ]  # fmt: skip


# what was logged in training


def test_means_over_parts_of_training() -> None:
    # two parts; each run's own mean first: (1, 0.5) and (0, 0.5), so 0.5 ± √0.5 and 0.5 ± 0
    runs = [np.array([1.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0])]
    runs[1] = np.array([0.0, 0.0, 0.0, 0.5, 0.5, 0.5])
    x, mean, std = training.mean_over_parts(runs, parts=2)
    assert x.tolist() == [0.25, 0.75]
    np.testing.assert_allclose(mean, [0.5, 0.5])
    np.testing.assert_allclose(std, [0.5**0.5, 0.0])
    _, short, none = training.mean_over_parts([np.array([0.25, 0.75])], parts=40)
    assert short.tolist() == [0.25, 0.75] and none.tolist() == [0.0, 0.0]


def history(study: Study, run: str, gates: list[float], cosines: list[float]) -> None:
    """A run's file: warm-up rows without a strategy's columns, then coupled training."""
    lines = ["stage,epoch,step,psnr,gate_diagnosis,cosine_diagnosis", "warmup,1,10,20,,"]
    for n, (gate, cosine) in enumerate(zip(gates, cosines, strict=True)):
        lines.append(f"coupled,1,{10 * n},21,{gate},{cosine}")
    folder = study.run(run)
    folder.mkdir(parents=True)
    (folder / "history.csv").write_text("\n".join(lines) + "\n")


COSINE = {"cosine_diagnosis": 0.0}


def records_of(*lines: Row, gate: float = 1.0) -> dict[str, Any]:
    runs = [run for line in lines for c in line.cells.values() for run in c.finished.values()]
    return {run: records_factory.record(run) for run in runs}


def test_gates_and_cosines_over_coupled_training(tmp_path: Path, drawn: list[Figure]) -> None:
    study = Study(tmp_path, "local")
    lines = []
    for name, gates in (("gradprom", [1.0, 0.0, 0.5]), ("joint", [1.0, 1.0, 1.0])):
        shown = {(0, "psnr"): Cell("psnr", Estimate(20.0, None, 1), finished={0: name})}
        lines.append(Row(row(name, "Sup."), shown))
        history(study, name, gates, [0.4, -0.2, -0.4])
    records = {x.declared.title: records_factory.record(training=COSINE) for x in lines}
    [picture] = draw(tmp_path, table(*lines, values=(0.1,)), records=records)
    gates, ridges = drawn[0].axes
    # joint training's gates never close and are left out; warm-up is no part of the curve
    assert line_of(gates, style.VERMILLION).get_ydata().tolist() == [1.0, 0.0, 0.5]
    assert {to_hex(x.get_color()) for x in gates.lines} == {style.VERMILLION.lower()}
    assert [label.get_text() for label in ridges.get_yticklabels()] == ["early", "middle", "late"]
    outlines = [patch for patch in ridges.patches if not patch.get_fill()]
    assert len(outlines) == 2 * 3
    for outline, cosine, base in zip(outlines, (0.4, -0.2, -0.4), (2, 1, 0), strict=False):
        data = outline.get_data()
        place = int(np.argmax(data.values))
        assert data.edges[place] - 1e-9 <= cosine <= data.edges[place + 1] + 1e-9
        assert data.baseline == base and data.values[place] == pytest.approx(base + 0.85)
    assert picture.name == "tiny-training"


def test_without_histories_there_is_no_training_figure(tmp_path: Path) -> None:
    shown = {(0, "psnr"): Cell("psnr", Estimate(20.0, None, 1), finished={0: "gone"})}
    records = {"gone": records_factory.record(training=COSINE)}
    assert draw(tmp_path, table(Row(row("gradprom"), shown), values=(0.1,)), records=records) == []


def test_a_report_of_many_runs_is_quick(tmp_path: Path) -> None:
    study, lines, records = Study(tmp_path, "local"), [], {}
    for strategy in ("joint", "frozen", "gradprom"):
        cells = {}
        for number in range(3):
            runs = {seed: f"{strategy}{number}{seed}" for seed in range(70)}
            cells[number, "psnr"] = Cell("psnr", Estimate(20.0, 1.0, 70), finished=runs)
            for run in runs.values():
                history(study, run, [1.0, 0.5] * 50, [0.1, -0.1] * 50)
                records[run] = records_factory.record(run, training=COSINE)
        lines.append(Row(row(strategy), cells))
    began = time.process_time()
    assert len(draw(tmp_path, table(*lines), records=records)) == 2
    assert time.process_time() - began < 5  # 630 runs; about one second on an idle core
