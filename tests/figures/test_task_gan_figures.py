"""Task-GAN's figures show runs that differ in their method alone, and numbers of their scores."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support import tiny_runs

from gradprom import figures
from gradprom.errors import RunError
from gradprom.figures import adversarial, changed_labels, comparison, roc
from gradprom.figures.selection import Choice
from gradprom.metrics.registry import METRICS
from gradprom.runs.evaluation import scored_batches
from gradprom.runs.records import Study
from gradprom.runs.restore import load_run, restored_method

CPU = torch.device("cpu")
SMALL = (*tiny_runs.PHANTOM, "noise=0.2", "backbone=unet_small", "dataset.test=24")
SMALL += ("dataset.train=48", "auxiliary.epochs=8", "auxiliary.lr=0.01")  # a judge that sees much
GAN = ("method.network.channels=4", "method.network.layers=3", "method.network.matching=2")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Task-GAN by two strategies, GAN and pixels with one seed; pixels with another."""
    folder = tmp_path_factory.mktemp("results")
    for words in (
        ("method=task_gan", *GAN),
        ("method=task_gan", "strategy=gradprom", *GAN),
        ("method=gan", *GAN),
        ("method=pixel",),
        ("method=pixel", "seed=1"),
        ("method=pixel", "seed=2", "auxiliary=segmentation"),
    ):
        tiny_runs.train(folder, *SMALL, *words)
    return tiny_runs.local(folder)


def chosen(study: Study, *words: str) -> Choice:
    return adversarial.choose(study.records(), study, list(words))


def test_runs_that_are_shown_together_differ_in_their_method_alone(study: Study) -> None:
    choice = chosen(study)
    assert choice.column == "σ=0.2"
    titles = [entrant.title for entrant in choice.finished]
    assert titles == ["Pixels alone", "GAN", "Task-GAN", "Task-GAN, gradprom"]
    assert {e.record.seed for e in choice.finished if e.record} == {0}
    assert {e.record.setting("auxiliary.tasks")[0] for e in choice.finished if e.record} == {
        "diagnosis"
    }
    seeds = {e.record.seed for e in chosen(study, "seed=1").finished if e.record}
    assert seeds == {1}
    # words on the strategy leave the methods that have none
    gated = [entrant.title for entrant in chosen(study, "strategy=gradprom").finished]
    assert gated == ["Pixels alone", "GAN", "Task-GAN, gradprom"]


def test_each_figure_is_drawn_by_its_command(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = figures.draw_all(study, [*figures.OF_RUNS], ["noise=0.2"])
    assert [path.stem for path in pictures] == [name.replace("/", "-") for name in figures.OF_RUNS]
    for path in pictures:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert pixels.std() > 10 and min(pixels.shape[:2]) > 300
        runs = re.findall(r"run ([0-9a-f]{12})", path.with_suffix(".txt").read_text())
        assert {study.run(run).is_dir() for run in runs} == {True}
    assert str(pictures[0]) in capsys.readouterr().out


def test_the_grid_has_the_methods_between_input_and_clean_and_errors_below(study: Study) -> None:
    strips, caption = comparison.compare([chosen(study)], study, CPU, count=1)
    titles = [tile.title.splitlines()[0] for tile in strips[0].tiles]
    methods = ["Pixels alone", "GAN", "Task-GAN", "Task-GAN, gradprom"]
    assert titles == ["degraded", *methods, "clean"]
    image, clean = strips[0].tiles[2].pixels, strips[0].tiles[-1].pixels
    assert image is not None and clean is not None
    np.testing.assert_allclose(strips[1].tiles[2].pixels, np.abs(image - clean).mean(2), atol=1e-6)
    assert caption.count("(seed 0)") == 4


def test_a_curve_is_drawn_for_each_method_the_input_and_clean_images(study: Study) -> None:
    figure, caption = roc.curves(chosen(study), study, CPU)
    legend = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    for entrant in chosen(study).finished:
        assert entrant.record is not None and entrant.record.id in caption
        # the legend has the score of the record
        assert f"{entrant.title}, AUC {entrant.record.metrics['roc_auc']:.3f}" in legend
    lines = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    assert len(legend) == len(lines) == 6
    for line in lines:
        told = float(line.get_label().rpartition(" ")[2])
        assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(told, abs=5e-4)


def test_curves_of_clean_and_degraded_images_are_of_the_network_on_these(study: Study) -> None:
    [record] = [e.record for e in chosen(study).finished if e.title == "Pixels alone"]
    assert record is not None
    run = load_run(study, record.id)
    method = restored_method(run, record, CPU)
    figure, _ = roc.curves(chosen(study), study, CPU)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    images = run.images()
    rows = torch.tensor(images.splits["test"])
    clean = torch.as_tensor(images.target[rows]) / 255
    with torch.no_grad():
        probability = method.networks["diagnosis"](clean).softmax(1).numpy()
    assert images.label is not None
    table = {"label": images.label[rows].numpy()}
    table |= {f"probability_{k}": probability[:, k] for k in range(3)}
    expected = METRICS["roc_auc"].score(table, np.ones(len(rows)))
    assert f"clean, AUC {float(expected):.3f}" in labels


def test_the_worst_changed_labels_are_those_that_the_judge_sees_changed(study: Study) -> None:
    choice = chosen(study)
    strips, caption = changed_labels.worst(choice, study, CPU)
    assert any(strip.tiles[2].pixels is not None for strip in strips)
    for entrant in choice.finished:
        record = entrant.record
        assert record is not None
        count = round(record.metrics["label_changed"] * 24)
        assert f"{entrant.title} {count} of 24 (run {record.id}" in caption
        title = entrant.title.replace(", ", ",\n")
        of_method = [strip for strip in strips if strip.label == title]
        assert len(of_method) == 1  # of six examples in all, for four methods
        expected = judged(study, record.id)
        assert len(expected) == count
        for strip, (id, before, after, lost) in zip(of_method, expected, strict=False):
            restored, clean, error = (tile.title.splitlines() for tile in strip.tiles[1:])
            assert error[1] == id
            assert clean[1].startswith(before) and clean[2].startswith(after)
            fallen = percent(clean[1]) - percent(restored[1])
            assert fallen == pytest.approx(100 * lost, abs=1.01)
            assert percent(restored[2]) >= percent(restored[1])


def percent(line: str) -> int:
    return int(line.rpartition(" ")[2].rstrip("%"))


def judged(study: Study, run_id: str) -> list[tuple[str, str, str, float]]:
    """Changed images, the worst first, from the judge on all test images in one evaluation."""
    record = study.record(run_id)
    assert record is not None
    run = load_run(study, run_id)
    method = restored_method(run, record, CPU)
    seen: list[torch.Tensor] = []
    method.networks["judge"].register_forward_hook(
        lambda module, given, output: seen.append(output.softmax(1))
    )
    config = run.config
    rows = [
        row
        for batch in scored_batches(
            method, run.images(), config.degradation, config.evaluation, CPU
        )
        for row in batch.rows
    ]
    # a batch is seen clean, restored and degraded, in this order
    clean, restored = torch.cat(seen[0::3]), torch.cat(seen[1::3])
    names, found = config.facts.classes, []
    for row, c, r in zip(rows, clean, restored, strict=True):
        if c.argmax() != r.argmax():
            before = int(c.argmax())
            lost = float((c - r)[before])
            found.append((row["id"], names[before], names[int(r.argmax())], lost))
    return sorted(found, key=lambda one: -one[3])


def test_ids_that_look_like_numbers_stay_as_they_are(study: Study, tmp_path: Path) -> None:
    [entrant, *_] = chosen(study).finished
    other = Study(tmp_path, "other")
    assert entrant.record is not None
    folder = other.run(entrant.record.id)
    folder.mkdir(parents=True)
    (folder / "scores.csv").write_text("id,group,judged,judged_clean\n007,1,2,0\n008,1,1,1\n")
    assert changed_labels.changed_ids(other, entrant) == (["007"], 2)


def test_images_whose_label_did_not_change_are_not_shown(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({"judged": np.ones(2), "judged_clean": np.ones(2)}, index=["a", "b"])
    monkeypatch.setattr(changed_labels, "image_scores", lambda *given: table)
    strips, caption = changed_labels.worst(chosen(study), study, CPU)
    assert [strip.tiles[1].reason for strip in strips] == ["no label changed"] * 4
    assert "Pixels alone 0 of 2" in caption


def test_what_is_missing_is_one_sentence(study: Study, tmp_path: Path) -> None:
    empty = tiny_runs.local(tmp_path)
    with pytest.raises(RunError, match=r"no finished run of method=pixel.*run\.py -m method="):
        figures.draw_all(empty, ["task_gan/roc"], [])
    with pytest.raises(RunError, match="has no run noise=0.7; noise is 0.2"):
        figures.draw_all(study, ["task_gan/roc"], ["noise=0.7"])
    for name, reason in (("roc", "task of whole images"), ("labels", "needs runs with a judge")):
        with pytest.raises(RunError, match=reason) as caught:
            figures.draw_all(study, [f"task_gan/{name}"], ["auxiliary=segmentation"])
        assert "\n" not in str(caught.value)


def test_weights_that_are_gone_are_told_with_their_remedy(study: Study) -> None:
    [record] = [e.record for e in chosen(study, "seed=1").finished]
    assert record is not None
    weights = next(study.stages.rglob(f"*{record.training_id}*/artefact.pt"))
    weights.unlink()
    with pytest.raises(RunError, match=rf"weights of run {record.id} are gone.*gradprom rerun"):
        figures.draw_all(study, ["task_gan/images"], ["seed=1"])
