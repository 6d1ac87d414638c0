"""Figures show what a method makes of test images as evaluation does, whatever it needs for it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support import tiny_runs
from torch import Tensor

from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch, test_batches
from gradprom.degradations import Downsample
from gradprom.figures import comparison
from gradprom.figures.examples import Trained
from gradprom.runs.evaluation import shown_input


class Backprojection:
    """A method that needs the operator, and draws."""

    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor | None:
        assert batch.observation is not None
        return batch.observation.adjoint(batch.input) + noise.normal(1, 1, 1)


def trained(tmp_path: Path, method: Any) -> Trained:
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, "degradation=downsample", "scale=2")
    record: Any = SimpleNamespace(id="1", seed=0, dataset=SimpleNamespace(fingerprint="f"))
    return Trained("ours", record, run, method)


def batch(one: Trained) -> Batch:
    run = one.run
    return next(test_batches(run.images(), "test", 3, run.config.degradation, 0, "cpu"))


def test_a_figure_gives_the_method_its_operator_and_each_images_noise(tmp_path: Path) -> None:
    one = trained(tmp_path, Backprojection())
    images = batch(one)
    restored = one.restored(images)
    noise = ImageNoise(one.run.config.evaluation.seed, images.ids, torch.device("cpu"))
    expected = Downsample(scale=2).adjoint(images.input, {}, tuple(images.target.shape))
    assert restored is not None
    assert torch.equal(restored, expected + noise.normal(1, 1, 1))


def test_a_method_that_restores_nothing_has_a_reason_for_its_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trained(tmp_path, SimpleNamespace(restore_images=lambda batch, noise: None))
    monkeypatch.setattr(comparison, "load", lambda *given: one)
    entrant: Any = SimpleNamespace(record=one.record)
    study: Any = None
    shown, runs = comparison.result(entrant, one, batch(one), study, torch.device("cpu"))
    assert isinstance(shown, str) and runs == []


@pytest.mark.parametrize("channels", [1, 3])
def test_several_contrasts_are_shown_as_their_mean(channels: int) -> None:
    contrasts, target = torch.rand(2, 4, 6, 6), torch.rand(2, channels, 6, 6)
    shown = shown_input(Batch(["a", "b"], contrasts, target, {}))
    assert shown.shape == target.shape
    small = shown_input(Batch(["a", "b"], contrasts.mean(1, keepdim=True), target[:, :1], {}))
    torch.testing.assert_close(shown[:, :1], small)
