"""PSNR, SSIM, RMSE and MAE agree with plain formulas and with scikit-image."""

import math

import numpy as np
import pytest
import torch

from gradprom.metrics import mae, psnr, rmse, ssim


def natural(seed, channels=3, height=48, width=40):
    """Smooth shading, an edge and a little texture: noise alone hides SSIM's border handling."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    planes = []
    for _ in range(channels):
        a, b, c = generator.uniform(1, 6, 3)
        shading = 0.5 + 0.25 * np.sin(a * x + b * y) + 0.15 * (x + y > c / 6)
        planes.append(shading + 0.02 * generator.standard_normal((height, width)))
    return np.clip(np.stack(planes), 0, 1)


def pair(seed=0, sigma=0.1, **size):
    clean = natural(seed, **size)
    noisy = clean + sigma * np.random.default_rng(seed + 100).standard_normal(clean.shape)
    return np.clip(noisy, 0, 1), clean


def batch(count=3, **size):
    noisy, clean = zip(
        *(pair(seed, 0.05 * (seed + 1), **size) for seed in range(count)), strict=True
    )
    return torch.from_numpy(np.stack(noisy)), torch.from_numpy(np.stack(clean))


def ssim_by_loops(image, target):
    """Wang et al. 2004, equation 13, window by window with a two-dimensional window."""
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for x, y in zip(image, target, strict=True):
        for row in range(x.shape[0] - 10):
            for column in range(x.shape[1] - 10):
                u, v = (plane[row : row + 11, column : column + 11] for plane in (x, y))
                mean_u, mean_v = (window * u).sum(), (window * v).sum()
                var_u = (window * (u - mean_u) ** 2).sum()
                var_v = (window * (v - mean_v) ** 2).sum()
                cov = (window * (u - mean_u) * (v - mean_v)).sum()
                values.append(
                    (2 * mean_u * mean_v + 1e-4)
                    * (2 * cov + 9e-4)
                    / ((mean_u**2 + mean_v**2 + 1e-4) * (var_u + var_v + 9e-4))
                )
    return np.mean(values)


# PSNR


def test_psnr_of_a_known_error():
    target = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    image = target + torch.tensor([0.1, 0.01]).double().view(2, 1, 1, 1)
    torch.testing.assert_close(psnr(image, target), torch.tensor([20.0, 40.0]).double())


def test_psnr_is_per_image_and_not_pooled():
    image, target = batch()
    expected = [
        10 * math.log10(1 / np.mean((x - y) ** 2))
        for x, y in zip(image.numpy(), target.numpy(), strict=True)
    ]
    torch.testing.assert_close(psnr(image, target), torch.tensor(expected).double())
    pooled = -10 * torch.log10((image - target).square().mean())
    assert psnr(image, target).mean() > pooled + 0.5


def test_psnr_agrees_with_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    noisy, clean = pair()
    expected = metrics.peak_signal_noise_ratio(clean, noisy, data_range=1)
    assert psnr(torch.from_numpy(noisy)[None], torch.from_numpy(clean)[None]).item() == (
        pytest.approx(expected, rel=1e-12)
    )


def test_psnr_of_equal_images_is_infinite():
    image = torch.rand(1, 3, 8, 8)
    assert psnr(image, image).item() == math.inf


# SSIM


def test_ssim_agrees_with_the_formula_window_by_window():
    noisy, clean = pair(height=17, width=14)
    ours = ssim(torch.from_numpy(noisy)[None], torch.from_numpy(clean)[None])
    assert ours.dtype == torch.float64
    assert ours.item() == pytest.approx(ssim_by_loops(noisy, clean), abs=1e-12)


def ssim_maps(clean, noisy):
    """scikit-image's SSIM of each pixel, [C, H, W] twice."""
    metrics = pytest.importorskip("skimage.metrics")
    _, maps = metrics.structural_similarity(
        clean,
        noisy,
        data_range=1,
        channel_axis=0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return maps


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_agrees_with_scikit_image_over_the_valid_region(channels):
    noisy, clean = pair(channels=channels, height=80, width=64)
    maps = ssim_maps(clean, noisy)
    expected = maps[:, 5:-5, 5:-5].mean()
    ours = ssim(torch.from_numpy(noisy)[None], torch.from_numpy(clean)[None]).item()
    assert ours == pytest.approx(expected, abs=1e-9)
    # borders would show: this is no image on which every way to treat them agrees
    assert abs(ours - maps.mean()) > 1e-4


def test_ssim_is_per_image():
    image, target = batch()
    alone = torch.cat([ssim(image[i : i + 1], target[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(ssim(image, target), alone, rtol=1e-12, atol=0)
    assert alone[0] > alone[1] > alone[2]


def test_ssim_bounds_and_symmetry():
    image, target = batch()
    torch.testing.assert_close(ssim(image, image), torch.ones(3).double(), rtol=1e-12, atol=0)
    torch.testing.assert_close(ssim(image, target), ssim(target, image))
    assert (ssim(1 - target, target) < 0.2).all()


@pytest.mark.parametrize("sigma", [0.003, 0.03, 0.1])
def test_a_batch_in_single_precision_scores_as_each_image_in_double_precision(sigma):
    reference = pytest.importorskip("skimage.metrics")
    _, target = batch(height=96, width=96)
    target[:, :, 20:80, 10:90] = 0.97  # flat and bright: the variances are what rounding leaves
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    image, target = (target + sigma * noise).clamp(0, 1).float(), target.float()
    for score in (psnr(image, target), ssim(image, target)):
        assert score.dtype == torch.float64
    pairs = zip(image.double().numpy(), target.double().numpy(), strict=True)
    for number, (x, y) in enumerate(pairs):
        expected = ssim_maps(y, x)[:, 5:-5, 5:-5].mean()
        assert ssim(image, target)[number].item() == pytest.approx(expected, abs=1e-9)
        expected = reference.peak_signal_noise_ratio(y, x, data_range=1)
        assert psnr(image, target)[number].item() == pytest.approx(expected, rel=1e-12)


def test_the_smallest_image_is_one_window():
    noisy, clean = pair(height=11, width=11)
    ours = ssim(torch.from_numpy(noisy)[None], torch.from_numpy(clean)[None]).item()
    assert ours == pytest.approx(ssim_by_loops(noisy, clean), abs=1e-12)
    with pytest.raises(ValueError, match="11×10.*11×11"):
        ssim(torch.rand(1, 1, 11, 10), torch.rand(1, 1, 11, 10))


@pytest.mark.parametrize("metric", [psnr, ssim, rmse, mae])
def test_shapes_that_would_broadcast_are_refused(metric):
    with pytest.raises(ValueError, match=r"\[4, 1, 16, 16\]"):
        metric(torch.rand(4, 3, 16, 16), torch.rand(4, 1, 16, 16))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_scores_as_the_cpu_does_also_under_autocast():
    image, target = (images.float() for images in batch())
    with torch.autocast("cuda", dtype=torch.bfloat16):
        there = ssim(image.cuda(), target.cuda()).cpu()
    torch.testing.assert_close(there, ssim(image, target), rtol=0, atol=1e-5)


# RMSE and MAE


def test_errors_are_per_image_on_the_unit_range():
    image, target = batch()
    differences = (image - target).numpy().reshape(3, -1)
    expected = np.sqrt((differences**2).mean(axis=1))
    assert rmse(image, target).tolist() == pytest.approx(expected, rel=1e-12)
    expected_mae = np.abs(differences).mean(axis=1)
    assert mae(image, target).tolist() == pytest.approx(expected_mae, rel=1e-12)
    # 20 log10(1 / RMSE) is the PSNR
    assert psnr(image, target).tolist() == pytest.approx(-20 * np.log10(expected), rel=1e-12)
