"""Scores: of each test image, whatever the batch, the strategy, the seed; and their means."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support import tiny_runs
from support.test_sets import Halves, images
from torch import Tensor

from gradprom import metrics
from gradprom.config import Evaluation
from gradprom.data.base import Images
from gradprom.degradations import Downsample, Gaussian
from gradprom.runs.evaluation import evaluate, scored_batches, summarise
from gradprom.runs.execution import execute
from gradprom.runs.run import Run
from gradprom.training.stage import Start

CPU = torch.device("cpu")


def multitask(tmp_path: Path, *overrides: str) -> Run:
    """A run whose networks have their initial weights."""
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, "auxiliary=multitask", *overrides)
    weights: dict[str, Any] = {}
    for stage in run.method.stage().lineage()[:-1]:
        torch.manual_seed(1)
        weights |= stage.begin(Start({}, 1, CPU)).artefact()
    run.method.restore(weights, CPU)
    return run


def panels(method: Any, data: Images, degradation: Any, options: Evaluation) -> dict[str, Any]:
    """The pictures of all batches together."""
    every = scored_batches(method, data, degradation, options, CPU)
    return {id: picture for part in every for id, picture in part.panels.items()}


def table(run: Run, batch_size: int) -> pd.DataFrame:
    options = Evaluation(batch_size=batch_size)
    return evaluate(run.method, run.images(), run.config.degradation, options, CPU)


def test_scores_do_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    run = multitask(tmp_path)
    one = table(run, 1)
    for batch_size in (3, 8, 100):
        other = table(run, batch_size)
        exact = [c for c in one if not c.endswith(("psnr", "ssim"))]
        pd.testing.assert_frame_equal(one[exact], other[exact])
        # a convolution may sum in another order for another batch
        pd.testing.assert_frame_equal(one, other, rtol=1e-5, atol=0)


def test_one_row_for_each_test_image_in_the_order_of_the_split() -> None:
    frame = evaluate(Halves(), images(), Gaussian(), Evaluation(batch_size=3), CPU)
    assert frame["id"].tolist() == ["6", "4", "2", "0"]
    assert frame["group"].tolist() == ["patient 3", "patient 2", "patient 1", "patient 0"]
    assert frame["number"].tolist() == [6, 4, 2, 0]
    assert frame["union_0"].tolist() == [6, 4, 2, 0] and frame["union_1"].tolist() == [7, 5, 3, 1]


def test_the_degraded_input_is_scored_as_it_is_given() -> None:
    method, data = Halves(), images()
    frame = evaluate(method, data, Gaussian(sigma=0.2), Evaluation(), CPU)
    for row in frame.itertuples():
        clean = data.target[int(str(row.id))].numpy() / 255
        error = np.mean((method.inputs[str(row.id)].numpy() - clean) ** 2, dtype=np.float64)
        assert row.degraded_psnr == pytest.approx(10 * math.log10(1 / error), abs=1e-4)
        assert 0 < row.degraded_ssim < 1


class Doubles(Halves):
    """A method that makes its images twice as large."""

    def enhance(self, images: Tensor) -> Tensor:
        return images.repeat_interleave(2, 2).repeat_interleave(2, 3)


def bicubic(image: Tensor, height: int, width: int) -> Tensor:
    """[C, h, w] -> [C, height, width] by Pillow, in [0, 1]."""
    planes = [Image.fromarray(plane.numpy()) for plane in image]
    larger = [plane.resize((width, height), Image.Resampling.BICUBIC) for plane in planes]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in larger]).clip(0, 1))


def test_a_smaller_input_is_scored_and_shown_enlarged() -> None:
    method, data = Doubles(), images()
    frame = evaluate(method, data, Downsample(scale=2), Evaluation(), CPU)
    found = panels(method, data, Downsample(scale=2), Evaluation())
    for row in frame.itertuples():
        small = method.inputs[str(row.id)]
        assert small.shape == (3, 8, 12)
        target = data.target[int(str(row.id))].float() / 255
        larger = bicubic(small, 16, 24)
        error = (larger - target).double().square().mean().item()
        assert row.degraded_psnr == pytest.approx(-10 * math.log10(error), abs=1e-3)
        told = metrics.ssim(larger[None], target[None]).item()
        assert row.degraded_ssim == pytest.approx(told, abs=1e-4)
        shown = np.split(found[str(row.id)], 4, axis=1)[0]
        assert np.abs(shown - 255 * larger.permute(1, 2, 0).numpy()).max() <= 0.51


def test_all_strategies_and_seeds_are_tested_on_the_same_images(tmp_path: Path) -> None:
    words = [(), ("strategy=frozen", "seed=5"), ("strategy=joint", "supervision=unsupervised")]
    frames = [
        table(multitask(tmp_path, *w), size) for w, size in zip(words, (2, 3, 8), strict=True)
    ]
    inputs = ["id", "degraded_psnr", "degraded_ssim"]
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frames[0][inputs], frame[inputs], check_exact=True)


def test_the_degradation_depends_on_evaluation_seed_and_image_alone() -> None:
    def seen(data: Images, **options: Any) -> dict[str, Tensor]:
        method = Halves()
        torch.manual_seed(len(options))  # what others drew must not matter
        evaluate(method, data, Gaussian(sigma=0.2), Evaluation(**options), CPU)
        return method.inputs

    first = seen(images())
    for options in ({"batch_size": 1}, {"batch_size": 3, "panels": 0}):
        again = seen(images(), **options)
        assert all(torch.equal(first[id], again[id]) for id in first)
    fewer = images()
    fewer.splits["test"] = [0, 4]
    assert all(torch.equal(first[id], pixels) for id, pixels in seen(fewer).items())
    other = seen(images(), seed=1)
    assert not any(torch.equal(first[id], other[id]) for id in first)


SCORES = pd.DataFrame(
    {
        "id": list("abcde"),
        "group": list("aabbc"),
        "degraded_psnr": [20.0, 21.0, 22.0, 23.0, 24.0],
        "degraded_ssim": [0.1, 0.2, 0.3, 0.4, 0.5],
        "psnr": [25.0, 25.0, 26.0, 26.0, 30.0],
        "ssim": [0.5, 0.5, 0.6, 0.6, 0.8],
        "label": [0, 0, 0, 1, -1],
        "prediction": [0, 0, 1, 1, 2],
        "clean_prediction": [0, 0, 0, 0, 2],
        "intersection_0": [8, 8, 8, 8, 8],
        "union_0": [10, 10, 10, 10, 10],
        "intersection_1": [0, 1, 2, 3, 0],
        "union_1": [2, 2, 4, 4, 0],
    }
)


def test_means_by_hand() -> None:
    assert summarise(SCORES) == {
        "degraded_psnr": 22.0,
        "degraded_ssim": pytest.approx(0.3),
        "psnr": pytest.approx(26.4),
        "ssim": pytest.approx(0.6),
        "accuracy": 3 / 4,  # of the labelled ones
        "clean_accuracy": 3 / 4,
        "balanced_accuracy": pytest.approx((2 / 3 + 1) / 2),  # no image of the third class
        "majority_share": 3 / 4,
        # pooled over images first: a mean over the images' own ratios would be another number
        "miou": pytest.approx((40 / 50 + 6 / 12) / 2),
    }


def test_means_of_what_a_method_has() -> None:
    alone = SCORES[["id", "degraded_psnr", "degraded_ssim", "psnr", "ssim"]]
    assert set(summarise(alone)) == {"degraded_psnr", "degraded_ssim", "psnr", "ssim"}
    recognizer = SCORES[["id", "degraded_psnr", "degraded_ssim", "label", "prediction"]]
    found = set(summarise(recognizer))
    assert found == {"degraded_psnr", "degraded_ssim", "accuracy", "balanced_accuracy",
                     "majority_share"}  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_panels_show_degraded_enhanced_clean_error(channels: int) -> None:
    data, method = images(channels=channels), Halves()
    options, degradation = Evaluation(panels=3, batch_size=2), Gaussian(sigma=0.1)
    found = panels(method, data, degradation, options)
    assert list(found) == ["6", "4", "2"]
    evaluate(method, data, degradation, options, CPU)
    for id, picture in found.items():
        assert picture.shape == (16, 4 * 24, channels) and picture.dtype == np.uint8
        degraded, enhanced, clean, error = np.split(picture, 4, axis=1)
        input = method.inputs[id].permute(1, 2, 0).numpy()
        target = data.target[int(id)].permute(1, 2, 0).numpy()
        assert np.array_equal(clean, target)
        assert np.array_equal(degraded, np.rint(input * 255))
        assert np.array_equal(enhanced, np.rint(input / 2 * 255))
        assert np.abs(error - np.clip(4 * np.abs(input / 2 * 255 - target), 0, 255)).max() <= 1


def test_panels_are_as_many_as_asked_for_and_there() -> None:
    data, degradation = images(), Gaussian()
    for asked, count in ((0, 0), (1, 1), (4, 4), (9, 4)):
        found = panels(Halves(), data, degradation, Evaluation(panels=asked))
        assert len(found) == count


def test_a_record_can_be_made_again_from_its_scores(tmp_path: Path) -> None:
    words = ("auxiliary=multitask", "strategy=joint", "evaluation.panels=2")
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, *words)
    record = execute(run)
    folder = run.study.run(run.id)
    scores = pd.read_csv(folder / "scores.csv", dtype={"id": str})
    data = run.images()
    assert scores["id"].tolist() == [data.ids[row] for row in data.splits["test"]]
    again = summarise(scores)
    assert record.metrics == {name: pytest.approx(value) for name, value in again.items()}
    assert {"psnr", "ssim", "accuracy", "clean_accuracy", "miou"} <= set(record.metrics)

    names = sorted(path.name for path in (folder / "panels").iterdir())
    assert names == ["00.png", "01.png"]
    clean = np.split(np.asarray(Image.open(folder / "panels" / "00.png")), 4, axis=1)[2]
    first = data.target[data.splits["test"][0]].permute(1, 2, 0).numpy()
    assert np.array_equal(clean, first)
