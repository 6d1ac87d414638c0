"""Figures of trained runs show those runs and their scores, and say which are missing."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import tiny_runs

from gradprom import figures
from gradprom.data.loader import Batch
from gradprom.errors import ConfigError, RunError
from gradprom.experiments import declared
from gradprom.experiments.expansion import Cell, Expansion
from gradprom.figures import examples, saliency, selection
from gradprom.figures import guided_backprop as gb
from gradprom.sweeps import run_ids
from gradprom.sweeps.request import identify_with, shell_composer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained: the Benchmarks, the strategies with diagnosis, GradProm with segmentation."""
    folder = tmp_path_factory.mktemp("results")
    for words in (
        ("strategy=joint",),
        ("strategy=frozen",),
        ("strategy=gradprom",),
        ("strategy=gradprom", "auxiliary=segmentation"),
        ("strategy=mainstream",),
        ("method=recognizer",),
        ("method=recognizer", "auxiliary=segmentation"),
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
                runnable = not cell.row.waits_for and cell.column.title == "σ = 0.3"
                if runnable and is_of(record.config, wanted):
                    cell.runs[0] = record.id
        expansions[name] = Expansion(experiment, cells)
    return expansions, records


def is_of(config: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a run is that of a cell."""
    strategy, task = config["strategy"]["name"], config["auxiliary"]["tasks"][0]
    if config["method"]["name"] != wanted.get("method", "task_driven"):
        return False
    if config["method"]["name"] == "recognizer":
        return wanted["auxiliary"] == task
    if wanted.get("method", "task_driven") != "task_driven" or "backbone" in wanted:
        return False  # a compared method, none of which was trained
    if "mainstream" in (strategy, wanted["strategy"]):
        return wanted["strategy"] == strategy
    supervised = wanted.get("supervision") == "supervised"
    return supervised and wanted["strategy"] == strategy and wanted["auxiliary"] == task


ALL = ("table1", "table2", "table5", "table6", "table7", "table8")


@pytest.mark.parametrize("name", [name for name in figures.OF_TABLES if "/" not in name])
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


def draw_5(results: Path) -> tuple[list[Any], str]:
    expansions, records = expand(results, "table1")
    choices = selection.choose("fig5", expansions, records)
    return saliency.activation_maps(choices, tiny_runs.local(results), CPU)


def test_a_probability_is_that_of_the_class_of_its_map(results: Path) -> None:
    strips, caption = draw_5(results)
    assert "the image's own; the percentage beside a class is its probability" in caption
    study = tiny_runs.local(results)
    [record] = [
        r
        for r in study.records()
        if r.config["strategy"]["name"] == "joint" and r.config["method"]["name"] == "task_driven"
    ]
    trained = examples.load(selection.Entrant("joint", record), study, CPU)
    batch = examples.examples(trained, 3, CPU)
    names, labels = trained.run.config.facts.classes, batch.label
    assert labels is not None
    with torch.no_grad():
        enhanced = trained.method.enhance(batch.input)
        recognizer = trained.method.networks["diagnosis"]
        logits = recognizer(enhanced)
        features, head = recognizer.features_and_head(enhanced)
    for number, (strip, label) in enumerate(zip(strips, labels.tolist(), strict=True)):
        tile, probabilities = strip.tiles[1], logits[number].softmax(0)
        title = tile.title.splitlines()
        assert title[0].startswith("Joint training, ")
        assert title[1] == f"{names[label]} {probabilities[label]:.0%}"
        best = int(probabilities.argmax())
        predicted = [f"predicted: {names[best]} {probabilities[best]:.0%}"] * (best != label)
        assert title[2 : 2 + len(predicted)] == predicted
        # and the map is of that class: its weights over the features, at the image's size
        weighed = torch.einsum("khw,k->hw", features[number], head.weight[label]).clamp(min=0)
        shown = torch.nn.functional.interpolate(
            weighed[None, None], tile.over.shape, mode="bilinear"
        )
        expected = (shown / shown.max().clamp(min=1e-12))[0, 0].detach().numpy()
        np.testing.assert_allclose(tile.over, expected, atol=1e-5)


@pytest.mark.parametrize("missing", ["mask", "label", "some labels"])
def test_a_caption_tells_of_what_there_is(
    results: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*arguments: Any) -> Batch:
        batch = examples.examples(*arguments)
        annotations = {**batch.annotations}
        if missing == "some labels":
            annotations["label"] = annotations["label"].clone()
            annotations["label"][0] = -1
        else:
            del annotations[missing]
        return replace(batch, annotations=annotations)

    monkeypatch.setattr(saliency, "examples", without)
    strips, caption = draw_5(results)
    titles = [tile.title for strip in strips for tile in strip.tiles]
    assert ("mask" in caption + "".join(titles)) == (missing != "mask")
    assert ("where it has no label" in caption) == (missing == "some labels")
    assert ("named first, the predicted one;" in caption) == (missing == "label")
    assert any("predicted:" in title for title in titles) == (missing != "label")
    expansions, records = expand(results, "table1", "table2", "table5")
    choices = selection.choose("fig2", expansions, records)
    _, caption = saliency.guided_maps(choices, tiny_runs.local(results), CPU)
    assert ("in the mask" in caption) == (missing != "mask")


def test_figure_2_explains_networks_that_were_trained_alone(results: Path) -> None:
    expansions, records = expand(results, "table1", "table2", "table5")
    choices = selection.choose("fig2", expansions, records)
    study = tiny_runs.local(results)
    strips, caption = saliency.guided_maps(choices, study, CPU)
    ids = re.findall(r"(\w+): run ([0-9a-f]{12})", caption)
    assert [title for title, _ in ids] == ["Denoising", "Segmentation", "Diagnosis"]
    found = [(records[run].config["method"]["name"], records[run].config) for _, run in ids]
    assert found[0][0] == "task_driven" and found[0][1]["strategy"]["name"] == "mainstream"
    assert [method for method, _ in found[1:]] == ["recognizer", "recognizer"]
    # each is a gradient to the degraded image, which all three see
    for place, (name, score) in enumerate(
        [("enhancer", gb.enhanced), ("segmentation", gb.segmented), ("diagnosis", gb.predicted)]
    ):
        run = records[ids[place][1]]
        trained = examples.load(selection.Entrant(name, run), study, CPU)
        batch = examples.examples(trained, 3, CPU)
        gradient = gb.guided_gradient(trained.method.networks[name], batch.input, score)
        for strip, expected in zip(strips, gradient.abs().mean(1).numpy(), strict=True):
            np.testing.assert_array_equal(strip.tiles[1 + place].pixels, expected)


def test_figure_2_takes_the_enhancer_of_table_1_where_the_papers_has_not_run(results: Path) -> None:
    expansions, records = expand(results, "table1")
    choices = selection.choose("fig2", expansions, records)
    strips, _ = saliency.guided_maps(choices, tiny_runs.local(results), CPU)
    assert [tile.reason for tile in strips[0].tiles] == ["", "", "not run", ""]


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


def test_overrides_narrow_what_the_studys_sweeps_have_narrowed(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a sweep of the tables on other data: a noise level alone selects its runs."""
    identify = identify_with(shell_composer(), {}, [])  # in this process
    monkeypatch.setattr(run_ids, "identities", lambda runs, results: identify(runs))
    shutil.copytree(results, tmp_path / "results")
    study = tiny_runs.local(tmp_path / "results")
    words = ("noise=0.3", "auxiliary=segmentation", "strategy=gradprom")
    tiny_runs.train(tmp_path / "results", *ANY_BACKBONE, *words)
    note_sweep(study.folder, ["table5", "table6", "table7", "table8"])
    figures.draw_all(study, ["fig6"], ["noise=0.3"])
    caption = (study.folder / "report/figures/fig6.txt").read_text()
    assert "(a) phantom, σ = 0.3" in caption and "(c) table7: not run." in caption
    with pytest.raises(RunError, match="noise=0.05: experiment=table5 has no such cell; it has"):
        figures.draw_all(study, ["fig6"], ["noise=0.05"])
    # what one table cannot be narrowed by is told in its place
    figures.draw_all(study, ["fig6"], ["auxiliary=segmentation"])
    caption = (study.folder / "report/figures/fig6.txt").read_text()
    assert "(a) phantom, σ = 0.3" in caption
    assert "(b) table6: auxiliary=segmentation: experiment=table6 has no such cell" in caption


ANY_BACKBONE = [word for word in tiny_runs.PHANTOM if not word.startswith("backbone.")]
"""The size of the other runs but for the enhancer's, whose options not every row has."""


def note_sweep(folder: Path, tables: list[str]) -> None:
    """The plan of a sweep of some tables on the phantom."""
    asked = ["profile=demo", "dataset=phantom", "seed=0", *ANY_BACKBONE]
    path = folder / "sweeps" / "0123456789ab" / "plan.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"runs": [], "experiments": tables, "asked": asked}))


def test_a_figure_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="figure fig3 is unknown; choose from fig2, fig4"):
        figures.draw_all(tiny_runs.local(tmp_path), ["fig3"], [])


def test_the_tables_of_a_figure() -> None:
    assert figures.tables("fig2") == ["table5", "table1", "table2"]
    assert figures.tables("fig6") == ["table5", "table6", "table7", "table8"]
