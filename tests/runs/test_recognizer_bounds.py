"""A record has what the pre-trained recognizer does on clean and on degraded test images."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support import tiny_runs
from torch import Tensor, nn

from gradprom.data.loader import test_batches
from gradprom.methods import recognition
from gradprom.runs.execution import execute
from gradprom.runs.record import Record
from gradprom.runs.run import Run
from gradprom.storage.files import load_state

WORDS = ("strategy=joint", "auxiliary=multitask", "noise=0.2", "auxiliary.epochs=12")
# a recognizer that learns fast, so that it is another one after coupled training
FAST = ("auxiliary.lr=0.01", "auxiliary.coupled_lr=0.05", "trainer.coupled_epochs=2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Record]:
    run = tiny_runs.make(tmp_path_factory.mktemp("trained"), *tiny_runs.PHANTOM, *WORDS, *FAST)
    record = execute(run)
    assert record is not None
    return run, record


def pretrained(run: Run, task: str) -> nn.Module:
    """The recognizer in the store, found by its description alone."""
    [path] = [
        path.parent / "artefact.pt"
        for path in run.study.stages.glob("*/stage.json")
        if json.loads(path.read_text())["name"] == f"recognizer.{task}"
    ]
    network = recognition.build(run.config, task, fresh=False)
    network.load_state_dict(load_state(path)["weights"][task])
    return network.eval()


@torch.no_grad()
def outputs(run: Run, task: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Classes on the clean and on the degraded image, and the true ones, image by image."""
    network = pretrained(run, task)
    annotation = {"diagnosis": "label", "segmentation": "mask"}[task]
    for batch in test_batches(run.images(), "test", 1, run.config.degradation, 0, "cpu"):
        clean, degraded = (network(x).argmax(1)[0] for x in (batch.target, batch.input))
        yield clean, degraded, batch.annotations[annotation][0]


def test_accuracies_are_those_of_the_stored_recognizer(trained: tuple[Run, Record]) -> None:
    run, record = trained
    hits = np.array([[int(c == t), int(d == t)] for c, d, t in outputs(run, "diagnosis")])
    clean, degraded = hits.mean(axis=0)
    assert record.metrics["pretrained_on_clean_accuracy"] == pytest.approx(clean)
    assert record.metrics["pretrained_on_degraded_accuracy"] == pytest.approx(degraded)
    columns = pd.read_csv(run.study.run(run.id) / "scores.csv")
    # another network than the one whose drift is scored
    assert (columns["pretrained_on_clean_prediction"] != columns["clean_prediction"]).any()


def test_overlaps_are_those_of_the_stored_recognizer(trained: tuple[Run, Record]) -> None:
    run, record = trained
    triples = [*outputs(run, "segmentation")]
    for number, kind in enumerate(("clean", "degraded")):
        ratios = []
        for k in range(len(run.config.facts.mask_classes)):
            pairs = [(triple[number] == k, triple[2] == k) for triple in triples]
            both = sum(int((p & t).sum()) for p, t in pairs)
            either = sum(int((p | t).sum()) for p, t in pairs)
            ratios += [both / either] if either else []
        expected = pytest.approx(np.mean(ratios))
        assert record.metrics[f"pretrained_on_{kind}_miou"] == expected


def test_they_are_scores_of_no_method_and_of_no_other_id(trained: tuple[Run, Record]) -> None:
    _, record = trained
    assert not any(name.startswith("pretrained") for name in record.scores)
    assert "pretrained_on_clean_psnr" not in record.metrics


def test_a_frozen_recognizer_stays_as_it_was(tmp_path: Path) -> None:
    words = ("strategy=frozen", "auxiliary=diagnosis", "noise=0.2")
    record = tiny_runs.train(tmp_path, *tiny_runs.PHANTOM, *words, *FAST)
    scores = record.metrics
    assert scores["pretrained_on_clean_accuracy"] == scores["clean_accuracy"]


def test_without_the_stored_recognizer_there_are_no_such_scores(tmp_path: Path) -> None:
    """As where the stage store was emptied but for the last stage: nothing is trained for them."""
    words = (*tiny_runs.PHANTOM, "strategy=joint", "noise=0.2")
    first = tiny_runs.train(tmp_path, *words)
    for path in tmp_path.glob("stages/*/stage.json"):
        if json.loads(path.read_text())["name"] == "recognizer.diagnosis":
            (path.parent / "artefact.pt").unlink()
    again = tiny_runs.train(tmp_path, *words, "evaluation.seed=1")
    assert again.training_id == first.training_id and "accuracy" in again.metrics
    assert not any(name.startswith("pretrained") for name in again.metrics)
    assert "pretrained_on_clean_accuracy" in first.metrics
