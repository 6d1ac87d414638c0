"""Classical filters know σ, depend on the image alone and do better than doing nothing."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.restoration import denoise_wavelet
from support import tiny_runs

from gradprom.data.loader import test_batches
from gradprom.errors import ConfigError, NotServed
from gradprom.methods import anscombe, classical
from gradprom.runs.execution import execute

INSTALLED = [
    name for name in classical.FILTERS if name != "bm3d" or importlib.util.find_spec("bm3d")
]
every = pytest.mark.parametrize("name", INSTALLED)


def scene(channels: int) -> np.ndarray:
    """Smooth and flat parts with edges, [64, 64] or [64, 64, 3]."""
    y, x = np.mgrid[:64, :64] / 64
    image = 0.5 + 0.2 * np.sin(4 * x + 2 * y) + 0.25 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.08)
    return image if channels == 1 else np.stack([image, 0.8 * image, 1 - image], axis=-1)


@every
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.3])
def test_a_filter_takes_most_of_the_noise_away(name: str, channels: int, sigma: float) -> None:
    clean = scene(channels)
    noisy = clean + sigma * np.random.default_rng(0).standard_normal(clean.shape)
    denoised = classical.FILTERS[name](noisy.astype(np.float32), sigma)
    assert denoised.shape == clean.shape
    assert np.square(denoised - clean).mean() < 0.6 * np.square(noisy - clean).mean()


@every
def test_a_filter_removes_what_sigma_says(name: str) -> None:
    """The larger σ, the smoother the image: it is no constant of the filter's own."""
    noisy = scene(1) + 0.1 * np.random.default_rng(0).standard_normal((64, 64))
    roughness = [
        np.abs(np.diff(classical.FILTERS[name](noisy.astype(np.float32), sigma))).mean()
        for sigma in (0.01, 0.05, 0.2)
    ]
    assert roughness == sorted(roughness, reverse=True) and roughness[0] > 1.5 * roughness[-1]


@pytest.mark.parametrize("name", ["non_local_means", "total_variation", "wavelets"])
def test_a_run_has_the_scores_of_the_filter_by_hand(name: str, tmp_path: Path) -> None:
    run = tiny_runs.make(
        tmp_path, *tiny_runs.PHANTOM, "method=classical", f"method.filter={name}", "noise=0.1"
    )
    record = execute(run)
    assert record is not None and record.finished
    scores = []
    for batch in test_batches(run.images(), "test", 1, run.config.degradation, 0, "cpu"):
        noisy = batch.input[0].permute(1, 2, 0).numpy()
        denoised = classical.FILTERS[name](noisy, 0.1).clip(0, 1)
        error = np.square(denoised - batch.target[0].permute(1, 2, 0).numpy()).mean()
        scores.append(-10 * np.log10(error))
    assert record.metrics["psnr"] == pytest.approx(np.mean(scores), abs=1e-4)
    assert record.metrics["psnr"] > record.metrics["degraded_psnr"]


@every
@pytest.mark.parametrize("rate", [0.1, 0.01])
def test_within_anscombes_transform_a_filter_removes_poisson_noise(name: str, rate: float) -> None:
    clean = scene(1)
    noisy = np.random.default_rng(0).poisson(clean / rate) * rate
    denoised = anscombe.of_counts(classical.FILTERS[name])(noisy.astype(np.float32), rate**0.5)
    assert np.square(denoised - clean).mean() < 0.4 * np.square(noisy - clean).mean()
    assert denoised.mean() == pytest.approx(clean.mean(), rel=0.03)


@pytest.mark.parametrize("mean", [0.2, 0.5, 1, 3, 10, 100])
def test_counts_are_stabilized_and_found_again_without_bias(mean: float) -> None:
    """By the distribution itself: the plain inverse, D²/4 − 3/8, is 0.08 to 0.25 counts too low."""
    counts = np.arange(400.0)
    weights = stats.poisson.pmf(counts, mean)
    values = anscombe.stabilized(counts)
    expected = float(weights @ values)
    assert anscombe.mean_counts(np.array(expected)) == pytest.approx(mean, abs=0.03)
    if mean >= 3:
        assert np.sqrt(weights @ values**2 - expected**2) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        (["degradation=poisson", "degradation.rate=0.05"], 0.05),
        (["degradation=low_count", "degradation.counts=400", "degradation.dose=0.1"], 0.025),
    ],
)
def test_a_run_knows_the_rate_of_its_noise(words: list[str], rate: float, tmp_path: Path) -> None:
    run = tiny_runs.make(
        tmp_path, *tiny_runs.PHANTOM, "method=classical", "method.filter=wavelets", *words
    )
    record = execute(run)
    assert record is not None and record.metrics["psnr"] > record.metrics["degraded_psnr"] + 1
    scores, white = [], 2 * (1 / rate + 3 / 8) ** 0.5
    for batch in test_batches(run.images(), "test", 1, run.config.degradation, 0, "cpu"):
        noisy, clean = (x[0].permute(1, 2, 0).double().numpy() for x in (batch.input, batch.target))
        values = 2 * np.sqrt(noisy / rate + 3 / 8) / white  # scikit-image clips to [0, 1]
        d = denoise_wavelet(values, sigma=1 / white, channel_axis=-1) * white
        d = np.maximum(d, 1.5**0.5)
        counts = d**2 / 4 + (1.5**0.5 / 4) / d - 11 / 8 / d**2 + (5 / 8) * 1.5**0.5 / d**3 - 1 / 8
        error = np.square((counts * rate).clip(0, 1) - clean).mean()
        scores.append(-10 * np.log10(error))
    assert record.metrics["psnr"] == pytest.approx(np.mean(scores), abs=1e-3)


def test_each_image_is_denoised_by_its_own_sigma(tmp_path: Path) -> None:
    run = tiny_runs.make(
        tmp_path,
        *tiny_runs.PHANTOM,
        "method=classical",
        "method.filter=total_variation",
        "noise=0.3",
        "degradation.sigma_low=0.01",
    )
    method = run.method
    method.networks = method.build_networks()
    [batch] = test_batches(run.images(), "test", 8, run.config.degradation, 0, "cpu")
    restored = method.restore_images(batch, None)  # type: ignore[arg-type]
    sigmas = batch.observation.sigma().tolist()
    assert max(sigmas) > 2 * min(sigmas)
    for image, noisy, sigma in zip(restored, batch.input, sigmas, strict=True):
        denoised = classical.total_variation(noisy.permute(1, 2, 0).numpy(), sigma)
        expected = torch.from_numpy(denoised).permute(2, 0, 1).clamp(0, 1)
        torch.testing.assert_close(image, expected)


def test_without_noise_nothing_is_changed(tmp_path: Path) -> None:
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, "method=classical", "noise=0")
    [batch] = test_batches(run.images(), "test", 8, run.config.degradation, 0, "cpu")
    run.method.networks = run.method.build_networks()
    restored = run.method.restore_images(batch, None)  # type: ignore[arg-type]
    assert torch.equal(restored, batch.target)


def test_seeds_and_what_is_trained_elsewhere_change_nothing(tmp_path: Path) -> None:
    words = ("method=classical", "noise=0.1")
    one = tiny_runs.make(tmp_path, *words)
    for other in ("seed=1", "trainer.lr=0.1", "strategy=joint", "backbone=srresnet", "lam=1"):
        assert tiny_runs.make(tmp_path, *words, other).id == one.id
    for other in ("noise=0.2", "method.filter=wavelets", "dataset.size=96", "validation=0.2"):
        assert tiny_runs.make(tmp_path, *words, other).id != one.id


@pytest.mark.parametrize(
    "other", ["degradation=low_resolution", "degradation=blur", "degradation=mix"]
)
def test_degradations_without_a_known_sigma_are_not_served(other: str, tmp_path: Path) -> None:
    with pytest.raises(NotServed, match="degradation="):
        tiny_runs.make(tmp_path, "method=classical", other)


def test_a_missing_bm3d_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotServed, match="pip install bm3d"):
        tiny_runs.make(tmp_path, "method=classical", "method.filter=bm3d")


def test_an_unknown_filter_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="filter=median.*non_local_means, total_variation"):
        tiny_runs.make(tmp_path, "method=classical", "method.filter=median")
