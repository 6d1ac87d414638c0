"""Runs on smaller and on mixed inputs, and on grey images, from the command to the table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support import tiny_runs
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom.data.loader import Batch, test_batches
from gradprom.degradations import Blur, Gaussian, Poisson
from gradprom.randomness import stream
from gradprom.reports import swept, unplanned
from gradprom.reports.tables import layout, text
from gradprom.runs.execution import execute
from gradprom.runs.record import Record
from gradprom.runs.restore import restored_method
from gradprom.runs.run import Run
from gradprom.training.stage import Start

CPU = torch.device("cpu")
RUNS = {
    "gaussian": ("strategy=mainstream",),
    "twice": ("degradation=downsample", "scale=2", "auxiliary=multitask"),
    "mix": ("degradation=mix", "noise=0.3", "strategy=mainstream"),
    "recognizer": (
        "degradation=downsample",
        "scale=2",
        "method=recognizer",
        "auxiliary=segmentation",
    ),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("degraded") / "results"


@pytest.fixture(scope="module")
def trained(results: Path) -> dict[str, tuple[Run, Record]]:
    made = {
        name: tiny_runs.make(results, *tiny_runs.PHANTOM, *words) for name, words in RUNS.items()
    }
    return {name: (run, execute(run)) for name, run in made.items()}


def degraded_test(run: Run) -> Batch:
    """All test images, degraded."""
    c = run.config
    return next(test_batches(run.images(), "test", 8, c.degradation, c.evaluation.seed, CPU))


def bicubic(images: Tensor, size: int) -> Tensor:
    """[B, C, h, w] -> [B, C, size, size] by Pillow, in [0, 1]."""
    resized = [
        np.asarray(Image.fromarray(plane.numpy()).resize((size, size), Image.Resampling.BICUBIC))
        for plane in images.flatten(0, 1)
    ]
    return torch.from_numpy(np.stack(resized).clip(0, 1)).view(*images.shape[:2], size, size)


Trained = dict[str, tuple[Run, Record]]


def test_an_enhancer_enlarges_its_input(trained: Trained) -> None:
    run, record = trained["twice"]
    batch, method = degraded_test(run), restored_method(run, record, CPU)
    assert batch.input.shape == (8, 3, 16, 16) and batch.target.shape == (8, 3, 32, 32)
    enhanced = method.enhance(batch.input)
    assert enhanced.shape == (8, 3, 32, 32)
    error = (enhanced - batch.target).square().mean((1, 2, 3))
    assert record.metrics["psnr"] == pytest.approx(float((-10 * error.log10()).mean()), abs=1e-4)
    error = (bicubic(batch.input, 32) - batch.target).square().mean((1, 2, 3))
    told = float((-10 * error.log10()).mean())
    assert record.metrics["degraded_psnr"] == pytest.approx(told, abs=1e-3)
    assert {"accuracy", "miou"} <= set(record.metrics)
    with Image.open(run.study.run(run.id) / "panels" / "00.png") as panel:
        assert panel.size == (4 * 32, 32)


def test_a_mix_in_a_run_is_its_parts_one_after_the_other(trained: Trained) -> None:
    run, record = trained["mix"]
    images, errors = run.images(), []
    for row in images.splits["test"]:
        seed = stream("evaluation degradation", 0, images.ids[row])
        generator = torch.Generator().manual_seed(seed)
        clean = images.target[[row]].float() / 255
        degraded = clean
        for part in (Blur(kernel=3, sigma=2.0), Poisson(rate=0.1), Gaussian(sigma=0.3)):
            degraded = part.apply(degraded, part.draw([""], tuple(clean.shape), generator))
        errors.append((degraded - clean).square().mean())
    told = float((-10 * torch.stack(errors).log10()).mean())
    assert record.metrics["degraded_psnr"] == pytest.approx(told, abs=1e-4)
    assert record.config["degradation"]["downsample"] is None


def test_a_recognizer_sees_small_images_enlarged(trained: Trained) -> None:
    """In training and in its test."""
    run, record = trained["recognizer"]
    batch = degraded_test(run)
    method: Any = restored_method(run, record, CPU)
    larger = bicubic(batch.input, 32)
    logits = method.networks["segmentation"](larger)
    assert batch.mask is not None and logits.shape[-2:] == batch.mask.shape[-2:]
    scores = pd.read_csv(run.study.run(run.id) / "scores.csv")
    for c in range(2):
        both = ((logits.argmax(1) == c) & (batch.mask == c)).sum((1, 2))
        # a pixel may lie on the fence
        assert np.abs(scores[f"intersection_{c}"] - both.numpy()).max() <= 2
    torch.manual_seed(0)
    training: Any = run.method.stage().begin(Start({}, 2, CPU))
    told = F.cross_entropy(training.networks["segmentation"](larger), batch.mask).item()
    assert training.update(batch, probe=True)["loss_segmentation"].item() == pytest.approx(
        told, rel=1e-4
    )


def test_one_table_shows_them_all(trained: Trained) -> None:
    records = {record.id: record for _, record in trained.values()}
    table = swept.table_of(unplanned.expansion(list(records.values())), records)
    mixed = "blur 3×3 σ=2 + Poisson 0.1 + σ=0.3"
    assert [column.title for column in table.columns] == ["σ=0.1", "×2", mixed]
    rows = {row.declared.title: row for row in layout.rows(table)}
    assert set(rows) == {
        "degraded input",
        "always the most frequent class",
        "recognizer on clean images",
        "recognizer on degraded images",
        "task_driven mainstream",
        "task_driven multitask gradprom",
        "recognizer segmentation",
    }
    first, mainstream = rows["degraded input"], rows["task_driven mainstream"]
    assert {number for number, _ in first.cells} == {0, 1, 2}
    assert {number for number, _ in mainstream.cells} == {0, 2}
    metrics = trained["mix"][1].metrics
    for row, key in ((first, "degraded_psnr"), (mainstream, "psnr")):
        value = row.cells[2, "psnr"].value
        assert value is not None and value.mean == metrics[key]
    assert f"| {mixed}<br>PSNR |" in text.markdown(table)


# grey stays grey


def first_and_last(network: nn.Module) -> tuple[int, int]:
    """Channels that go in and come out."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return layers[0].in_channels, layers[-1].out_channels


@pytest.mark.parametrize(
    ("dataset", "task"), [("covid_ct", "diagnosis"), ("camus", "segmentation")]
)
@pytest.mark.parametrize("backbone", ["srresnet_small", "resnet50"])
@pytest.mark.parametrize("recognizer", ["small", "resnet18"])
def test_networks_for_grey_images_have_one_channel(
    results: Path, dataset: str, task: str, backbone: str, recognizer: str
) -> None:
    words = (f"dataset={dataset}", f"auxiliary={task}", f"backbone={backbone}")
    run = tiny_runs.make(results, *words, f"auxiliary.backbone={recognizer}")
    warmup, pretraining = run.method.stage().parents
    enhancer: Any = warmup.begin(Start({}, 1, CPU))
    judge: Any = pretraining.begin(Start({}, 1, CPU))
    assert first_and_last(enhancer.enhancer) == (1, 1)
    assert first_and_last(judge.networks[task])[0] == 1
    grey = torch.rand(2, 1, 64, 64)
    enhanced = enhancer.enhancer(grey)
    assert enhanced.shape == grey.shape
    assert len(judge.networks[task](enhanced)) == 2
