"""Identity as Task-GAN's task: learnt on some identities, verified on pairs of images of others."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support import tiny_runs
from torch.nn import functional as F

from gradprom import figures
from gradprom.data.loader import Batch, test_batches
from gradprom.errors import DataError, NotServed
from gradprom.models.recognizers import build_recognizer
from gradprom.models.recognizers.embedding import SCALE, SIZE
from gradprom.runs.record import Record
from gradprom.runs.restore import load_run, restored_method
from gradprom.runs.run import Run
from gradprom.tasks import task_by_name

FACES = (
    *("dataset=faces", "auxiliary=identity", "degradation=low_resolution", "size=32"),
    *("dataset.train=4", "dataset.test=3", "dataset.images=4", "backbone=unet_small"),
    *tiny_runs.SMALL[1:],
)
GAN = ("method.network.channels=4", "method.network.layers=3", "method.network.matching=2")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Record]]:
    results = tmp_path_factory.mktemp("results")
    own: dict[str, tuple[str, ...]] = {"pixel": (), "gan": GAN, "task_gan": GAN}
    trained = {
        method: tiny_runs.train(results, f"method={method}", *FACES, *options)
        for method, options in own.items()
    }
    return results, trained


def test_verification_is_scored_and_classes_are_not(
    records: tuple[Path, dict[str, Record]],
) -> None:
    for record in records[1].values():
        assert {"psnr", "ssim", "rmse", "auc"} <= record.metrics.keys()
        assert {"pretrained_on_clean_auc", "pretrained_on_degraded_auc"} <= record.metrics.keys()
        assert not {"task_error", "label_changed", "roc_auc"} & record.metrics.keys()
        assert "auc" in record.scores and "task_error" not in record.scores
    # it learns in Task-GAN alone
    assert {s.name for s in records[1]["gan"].stages} == {"recognizer.identity", "gan"}


def test_the_score_is_that_of_counting_pairs_of_persons_not_trained_on(
    records: tuple[Path, dict[str, Record]],
) -> None:
    results, by_method = records
    record, study = by_method["task_gan"], tiny_runs.local(results)
    run = load_run(study, record.id)
    method, images = restored_method(run, record, CPU), run.images()
    table = pd.read_csv(study.run(record.id) / "scores.csv")
    train = {images.groups[row] for row in images.splits["train"]}
    assert not train & set(table["group"]) and len(set(table["group"])) == 3

    batches = tiny_batches(run)
    with torch.no_grad():
        network = method.networks["identity"]
        features = torch.cat([network.classifier(method.enhance(batch.input)) for batch in batches])
    units = (features / features.norm(dim=1, keepdim=True)).numpy()
    ids = [id for batch in batches for id in batch.ids]
    assert ids == list(table["id"])
    whom = list(table["group"])
    near, far = [], []
    for i in range(len(ids)):
        for j in range(i):
            (near if whom[i] == whom[j] else far).append(float(np.linalg.norm(units[i] - units[j])))
    won = [(a < b) + (a == b) / 2 for a in near for b in far]
    assert record.metrics["auc"] == pytest.approx(np.mean(won), abs=2e-3)


def tiny_batches(run: Run) -> list[Batch]:
    config, images = run.config, run.images()
    return list(test_batches(images, "test", 16, config.degradation, config.evaluation.seed, CPU))


def test_curves_of_pairs_are_drawn(records: tuple[Path, dict[str, Record]]) -> None:
    study = tiny_runs.local(records[0])
    [path] = figures.draw_all(study, ["task_gan/roc"], ["dataset=faces"])
    caption = path.with_suffix(".txt").read_text()
    assert "pairs of test images" in caption and records[1]["gan"].id in caption


def test_logits_are_cosines_to_the_places_of_identities() -> None:
    torch.manual_seed(0)
    network = build_recognizer("embedding", "small", False, 1, 5).eval()
    images = torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        embedded, logits = network.embed(images), network(images)
        cosine = F.cosine_similarity(network.classifier(images)[:, None], network.places, dim=2)
    assert embedded.shape == (3, SIZE)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(logits, SCALE * cosine)
    assert torch.equal(task_by_name("identity").scored(network, images).detach(), embedded)


# a folder whose table names identities


def pictures(root: Path, identities: str) -> Path:
    """Three images of each of some identities, and one of somebody unknown."""
    root.mkdir()
    rng = np.random.default_rng(0)
    rows = [["id", "identity"]]
    for name in identities:
        base = rng.integers(0, 256, (32, 32), dtype=np.uint8)
        for number in range(3):
            Image.fromarray(np.roll(base, number)).save(root / f"{name}{number}.png")
            rows.append([f"{name}{number}", name])
    Image.fromarray(base.T.copy()).save(root / "zz.png")
    with (root / "who.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


def test_a_folder_whose_table_names_identities(tmp_path: Path) -> None:
    root = pictures(tmp_path / "mine", "abcdef")
    own = ("dataset=folder", f"data_root={root}", "dataset.labels=who.csv", *FACES[1:4])
    own += ("dataset.channels=grey", "dataset.test=0.35", "method=pixel", "backbone=unet_small")
    own += tiny_runs.SMALL[1:]
    record = tiny_runs.train(tmp_path / "results", *own, "dataset.identities=6")
    assert 0 <= record.metrics["auc"] <= 1
    images = load_run(tiny_runs.local(tmp_path / "results"), record.id).images()
    parts = {
        split: {images.groups[row] for row in rows if images.groups[row] != images.ids[row]}
        for split, rows in images.splits.items()
    }
    assert parts["train"] | parts["test"] == set("abcdef") and not parts["train"] & parts["test"]
    with pytest.raises(DataError, match="names 6 identities: set dataset.identities=6"):
        tiny_runs.make(tmp_path / "results", *own, "dataset.identities=5").images()
    with pytest.raises(NotServed, match="auxiliary=identity needs images with identities"):
        tiny_runs.make(tmp_path / "results", *own)
