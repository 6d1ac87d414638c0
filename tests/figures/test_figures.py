"""Figures of trained runs show those runs and their scores, and say which are missing."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import tiny_runs

from gradprom import figures
from gradprom.errors import ConfigError, RunError
from gradprom.experiments import declared
from gradprom.experiments.expansion import Cell, Expansion
from gradprom.figures import selection

CPU = torch.device("cpu")


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
