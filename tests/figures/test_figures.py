"""Figures of trained networks: what they show, against maps and gradients worked out by hand."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import records_factory, tiny_runs
from torch import nn

from gradprom import figures
from gradprom.errors import ConfigError, RunError
from gradprom.experiments import declared
from gradprom.experiments.expansion import Cell, Expansion
from gradprom.figures import examples, guided_backprop, selection
from gradprom.figures.class_activation import class_activation, evidence, share_inside
from gradprom.models.recognizers import build_recognizer

CPU = torch.device("cpu")


# guided backpropagation


class TwoLayers(nn.Module):
    """Two inputs, two rectified units, one output; weights to reckon with."""

    def __init__(self, rectifier: nn.Module):
        super().__init__()
        self.first, self.last = nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False)
        self.rectifier = rectifier
        self.first.weight.data = torch.tensor([[1.0, 2.0], [-3.0, 1.0], [2.0, -1.0]])
        self.last.weight.data = torch.tensor([[4.0, 5.0, -6.0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.rectifier(self.first(x)))


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.ReLU(inplace=True), nn.PReLU()])
def test_a_guided_gradient_passes_where_input_and_gradient_are_positive(
    rectifier: nn.Module,
) -> None:
    # units see (3, -2, 1); the gradients that reach them are (4, 5, -6): the second has a
    # negative input, the third a negative gradient, so that 4 · (1, 2) is left
    found = guided_backprop.guided_gradient(
        TwoLayers(rectifier), torch.tensor([[1.0, 1.0]]), lambda output: output.sum()
    )
    assert found.tolist() == [[4.0, 8.0]]


def test_without_rectifiers_it_is_the_gradient_and_hooks_are_taken_off() -> None:
    network = nn.Sequential(nn.Linear(3, 2, bias=False))
    found = guided_backprop.guided_gradient(network, torch.ones(1, 3), guided_backprop.enhanced)
    assert torch.equal(found[0], network[0].weight.detach().sum(0))
    two = TwoLayers(nn.ReLU())
    guided_backprop.guided_gradient(two, torch.ones(1, 2), guided_backprop.enhanced)
    x = torch.ones(1, 2, requires_grad=True)
    two(x).sum().backward()
    # the plain gradient: 4 · (1, 2) - 6 · (2, -1), for the first and the third unit are positive
    assert x.grad is not None and x.grad.tolist() == [[-8.0, 14.0]]


def test_segmentation_is_explained_by_the_foreground_where_it_wins() -> None:
    # background, then foreground, of three pixels: the foreground wins in the first alone
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 1.0, -1.0]]).reshape(1, 2, 3, 1)
    assert guided_backprop.segmented(logits).item() == 3.0
    # where it wins nowhere, all of them count: 3 + 1 - 1
    background = torch.tensor([9.0, 0.0]).view(1, 2, 1, 1)
    assert guided_backprop.segmented(logits + background).item() == 3.0
    assert guided_backprop.predicted(torch.tensor([[1.0, 4.0], [0.5, 0.0]])).item() == 4.5


# class activation maps


@pytest.mark.parametrize("backbone", ["small", "resnet18", "resnet50"])
def test_a_maps_mean_is_the_logit_without_the_bias(backbone: str) -> None:
    torch.manual_seed(0)
    recognizer = build_recognizer("image", backbone, False, 3, 4).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        logits = recognizer(images)
    maps, told = class_activation(recognizer, images)
    head: Any = [m for m in recognizer.modules() if isinstance(m, nn.Linear)][-1]
    torch.testing.assert_close(maps.mean((2, 3)) + head.bias, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(told, logits, rtol=1e-4, atol=1e-5)
    assert maps.shape[:2] == (2, 4) and maps.shape[2] > 1


def test_a_unet_has_no_class_activation_map() -> None:
    with pytest.raises(TypeError, match="SmallUNet is not a classifier"):
        class_activation(build_recognizer("pixel", "small", False, 3, 2), torch.rand(1, 3, 32, 32))


def test_evidence_is_positive_and_its_share_inside_a_mask_is_counted() -> None:
    maps = torch.tensor([[[1.0, -5.0], [0.0, 3.0]]])
    same = evidence(maps, (2, 2))
    assert same.tolist() == [[[1.0, 0.0], [0.0, 3.0]]]
    assert share_inside(same[0], torch.tensor([[True, True], [False, False]])) == 0.25


# which image, which box


def test_a_box_lies_where_the_detail_is_and_within_the_mask() -> None:
    image = np.zeros((50, 50), np.float32)
    image[5:12, 5:12] = np.indices((7, 7)).sum(0) % 2  # a chequered patch
    image[30:, 40] = 0.2  # a faint line
    left, top, width, height = examples.detail(image, None)
    assert (width, height) == (0.2, 0.2)
    assert 0 <= left <= 0.12 and 0 <= top <= 0.12
    mask = np.zeros((50, 50), bool)
    mask[25:, 25:] = True
    left, top, _, _ = examples.detail(image, mask)
    assert left + 0.1 >= 0.5 and top + 0.1 >= 0.5


# figures of trained runs


def declared_rows() -> Iterator[tuple[str, str]]:
    for name in figures.FIGURES:
        for panel in selection.declared()[name].panels:
            for method in panel.methods:
                yield from ((panel.table, row) for row in method.rows)


@pytest.mark.parametrize(("table", "row"), sorted(set(declared_rows())))
def test_every_row_that_a_figure_names_is_one_row_of_its_table(table: str, row: str) -> None:
    [experiment] = declared.read(table)
    assert len([one for one in experiment.rows if one.label.startswith(row)]) == 1


def test_every_column_that_a_figure_names_is_one_of_its_table() -> None:
    for name in figures.FIGURES:
        for panel in selection.declared()[name].panels:
            [experiment] = declared.read(panel.table)
            assert {*panel.columns} <= {column.title for column in experiment.columns}


FIGURE = """fig:
  title: A figure
  panels:
    - table: table1
      columns: [σ = 0.3]
      methods:
        - title: GradProm
          rows: [Sup. GradProm]
"""


def test_a_declared_figure(tmp_path: Path) -> None:
    (tmp_path / "figures.yaml").write_text(FIGURE)
    methods = (selection.MethodRows("GradProm", ("Sup. GradProm",)),)
    panels = (selection.Panel("table1", ("σ = 0.3",), methods),)
    expected = {"fig": selection.Declared("A figure", panels)}
    assert selection.declared(tmp_path / "figures.yaml") == expected


@pytest.mark.parametrize(
    ("old", "new", "line", "named"),
    [
        ("title: A figure", "titel: A figure", 2, "titel"),
        ("columns:", "column:", 5, "column"),
        ("      columns: [σ = 0.3]\n", "", 4, "columns"),
        ("rows: [Sup. GradProm]", "rows: Sup. GradProm", 8, "list"),
        ("- title: GradProm\n          rows", "- rows", 7, "title"),
    ],
)
def test_what_is_wrong_in_the_figures_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, named: str
) -> None:
    assert old in FIGURE
    (tmp_path / "figures.yaml").write_text(FIGURE.replace(old, new))
    with pytest.raises(ConfigError, match=rf"/figures\.yaml:{line}: .*{named}"):
        selection.declared(tmp_path / "figures.yaml")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained: joint, frozen and GradProm with diagnosis, GradProm with segmentation."""
    folder = tmp_path_factory.mktemp("results")
    for words in (
        ("strategy=joint",),
        ("strategy=frozen",),
        ("strategy=gradprom",),
        ("strategy=gradprom", "auxiliary=segmentation"),
    ):
        tiny_runs.train(folder, *tiny_runs.PHANTOM, "noise=0.3", *words)
    return folder


def expand(results: Path, *tables: str) -> tuple[dict[str, Expansion], dict[str, Any]]:
    """The tables, each σ = 0.3 cell with the trained run of its strategy and task."""
    records = {record.id: record for record in tiny_runs.local(results).records()}
    expansions = {}
    for name in tables:
        [experiment] = declared.read(name)
        cells = [Cell(row, column) for row in experiment.rows for column in experiment.columns]
        for cell in cells:
            wanted = experiment.cell(cell.row, cell.column)
            for record in records.values():
                config = record.config
                if (
                    not cell.row.waits_for
                    and cell.column.title == "σ = 0.3"
                    and wanted.get("supervision") == "supervised"
                    and wanted.get("strategy") == config["strategy"]["name"]
                    and wanted.get("auxiliary") == config["auxiliary"]["tasks"][0]
                ):
                    cell.runs[0] = record.id
        expansions[name] = Expansion(experiment, cells)
    return expansions, records


ALL = ("table1", "table2", "table5", "table6", "table7", "table8")


@pytest.mark.parametrize("name", figures.FIGURES)
def test_a_figure_of_trained_runs(name: str, results: Path, tmp_path: Path) -> None:
    expansions, records = expand(results, *ALL)
    picture = figures.draw(name, expansions, records, tiny_runs.local(results), tmp_path, CPU)
    pixels = np.asarray(Image.open(picture.png).convert("RGB"))
    assert pixels.std() > 20 and min(pixels.shape[:2]) > 400
    assert picture.vector is not None and picture.vector.read_text().startswith("<?xml")
    shown_runs = set(re.findall(r"run ([0-9a-f]{12}) \(seed 0\)", picture.caption))
    assert shown_runs and shown_runs <= set(records)
    assert "σ = 0.3" in picture.caption
    [run] = [r for r in shown_runs][:1]
    scored = (results / "local/runs" / run / "scores.csv").read_text()
    ids = re.findall(r"phantom-\d+", picture.caption)
    assert ids and all(image in scored for image in ids)


def test_the_numbers_of_a_figure_are_those_of_the_evaluation(results: Path) -> None:
    import pandas as pd

    from gradprom.figures import comparison

    expansions, records = expand(results, "table1")
    choices = selection.choose("fig4", expansions, records)
    strips, _ = comparison.compare(choices, tiny_runs.local(results), CPU, count=2)
    tile = strips[2].tiles[2]  # the second image as GradProm has it
    run = choices[0].entrants[1].record.id
    scores = pd.read_csv(results / "local/runs" / run / "scores.csv")
    # two images at equal distances among 8: the third and the seventh
    kept = scores.iloc[6]
    assert tile.title == f"GradProm\n{kept['psnr']:.3f} dB, {kept['ssim']:.3f}"
    degraded = strips[2].tiles[0]
    told = f"{kept['degraded_psnr']:.3f} dB, {kept['degraded_ssim']:.3f}"
    assert degraded.title == f"degraded\n{told}"


def test_what_has_not_run_is_an_empty_frame(results: Path) -> None:
    from gradprom.figures import comparison

    expansions, records = expand(results, "table5", "table8")
    choices = selection.choose("fig6", expansions, records)
    strips, caption = comparison.compare(choices, tiny_runs.local(results), CPU, count=1)
    first, _, covid, lizard, camus, _ = strips
    assert [tile.reason for tile in first.tiles] == ["", "", "not run", "not run", ""]
    assert [tile.title for tile in first.tiles][2:4] == ["ADAP", "WinNet"]
    assert [tile.title for tile in covid.tiles] == ["degraded", "GradProm", "RLFNet", "", "clean"]
    assert [tile.reason for tile in covid.tiles] == ["not run"] * 3 + ["", "not run"]
    assert [tile.title for tile in camus.tiles][2:4] == ["SUD", "NRSF"]
    assert "(b) table6: not run." in caption and "(c) table7: not run." in caption
    assert len({len(strip.tiles) for strip in strips}) == 1 and lizard.tiles[1].reason == "not run"


def test_runs_of_other_data_are_not_shown_beside_the_first(results: Path) -> None:
    from gradprom.figures import comparison

    expansions, records = expand(results, "table1")
    choices = selection.choose("fig4", expansions, records)
    record = choices[0].entrants[1].record
    moved = replace(record, dataset=replace(record.dataset, fingerprint="0" * 64))
    entrants = (choices[0].entrants[0], replace(choices[0].entrants[1], record=moved))
    [image, *_], _ = comparison.compare(
        [replace(choices[0], entrants=entrants)], tiny_runs.local(results), CPU, count=1
    )
    assert [tile.reason for tile in image.tiles] == ["", "", "other data", ""]


def test_methods_are_compared_in_one_row_group_and_one_column() -> None:
    expansions = {
        "table1": expansion_with({("Unsup.", "frozen"), ("Unsup.", "gradprom")}, "σ = 0.2")
    }
    expansions["table1"].cells += expansion_with({("Sup.", "gradprom")}, "σ = 0.3").cells
    records = {
        run: records_factory.record(run)
        for run in ("Unsup.frozen", "Unsup.gradprom", "Sup.gradprom")
    }
    [choice] = selection.choose("fig4", expansions, records)
    # supervised GradProm stands alone, so both unsupervised runs are taken
    assert choice.column == "σ = 0.2"
    assert [e.record and e.record.id for e in choice.entrants] == [
        "Unsup.frozen",
        "Unsup.gradprom",
    ]


def expansion_with(there: set[tuple[str, str]], column: str) -> Expansion:
    [experiment] = declared.read("table1")
    cells = [
        Cell(row, one, runs={0: f"{row.group}{row.overrides.get('strategy')}"})
        for row in experiment.rows
        for one in experiment.columns
        if one.title == column and (row.group, row.overrides.get("strategy")) in there
    ]
    return Expansion(experiment, cells)


def test_the_finished_run_of_the_lowest_seed_is_taken() -> None:
    expansion = expansion_with({("Sup.", "gradprom")}, "σ = 0.3")
    expansion.cells[0].runs = {2: "two", 0: "zero", 1: "one"}
    statuses = {"zero": "failed", "one": "finished", "two": "finished"}
    records = {run: records_factory.record(run, s) for run, s in statuses.items()}
    [choice] = selection.choose("fig4", {"table1": expansion}, records)
    assert choice.entrants[0].record is None
    assert choice.entrants[1].record == records["one"]


def test_a_figure_without_any_run_says_which_it_needs(tmp_path: Path) -> None:
    study = tiny_runs.local(tmp_path)
    with pytest.raises(RunError, match="none of its runs has finished") as caught:
        figures.draw("fig4", {}, {}, study, tmp_path, CPU)
    assert "table1 Sup. Frozen-params. or Unsup. Frozen-params." in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_finds_the_runs_of_narrowed_tables(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tiny_runs.local(results)
    narrowed = ["profile=demo", "dataset=phantom", "noise=0.3", "seed=0", *tiny_runs.PHANTOM]
    [png] = figures.draw_all(study, ["fig4"], narrowed)
    assert png == study.folder / "report/figures/fig4.png" and png.exists()
    caption = png.with_suffix(".txt").read_text()
    strategies = {r.id: r.config["strategy"]["name"] for r in study.records()}
    found = re.findall(r"run ([0-9a-f]{12})", caption)
    assert [strategies[run] for run in found] == ["frozen", "gradprom"]
    assert str(png) in capsys.readouterr().out


def test_a_figure_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="figure fig3 is unknown; choose from fig2, fig4"):
        figures.draw_all(tiny_runs.local(tmp_path), ["fig3"], [])


def test_the_tables_of_a_figure() -> None:
    assert figures.tables("fig2") == ["table1", "table2"]
    assert figures.tables("fig6") == ["table5", "table6", "table7", "table8"]
