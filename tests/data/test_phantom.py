"""The generated dataset: the same everywhere, true to its masks, learnable but not trivial."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gradprom.data.images import load
from gradprom.data.sources import phantom, phantom_renderer
from gradprom.models.recognizers.small import SmallClassifier

IDS = [f"phantom-{i:05d}" for i in range(60)]
FINGERPRINT = """
import hashlib
from gradprom.data.sources import phantom_renderer
images = [phantom_renderer.render(f"phantom-{i:05d}", i % 3, 64) for i in range(6)]
print(hashlib.sha256(b"".join(part.tobytes() for pair in images for part in pair)).hexdigest())
"""

PINNED: dict[int, dict] = {
    0: {
        "rgb": [174.4, 120.1, 98.3],
        "lesion": 1640,
        "grey": [
            [168.5, 137.7, 104.6, 148.7],
            [160.7, 67.1, 59.5, 120.7],
            [142.0, 76.5, 107.9, 159.8],
            [159.9, 166.3, 162.1, 152.8],
        ],
    },
    1: {
        "rgb": [194.2, 147.4, 137.5],
        "lesion": 1312,
        "grey": [
            [187.6, 198.9, 186.8, 190.2],
            [206.4, 111.4, 91.6, 199.3],
            [176.8, 71.7, 66.5, 200.4],
            [179.2, 143.5, 166.6, 177.8],
        ],
    },
    2: {
        "rgb": [163.6, 132.7, 105.8],
        "lesion": 1313,
        "grey": [
            [155.8, 166.2, 153.6, 145.3],
            [158.7, 95.2, 90.8, 150.2],
            [156.4, 91.3, 80.0, 119.6],
            [169.3, 149.4, 118.4, 144.6],
        ],
    },
}


@pytest.fixture(scope="module")
def scenes() -> tuple[np.ndarray, np.ndarray]:
    """Images float [60,3,64,64] in [0,1] and masks bool [60,64,64]."""
    pairs = [phantom_renderer.render(id, i % 3, 64) for i, id in enumerate(IDS)]
    return np.stack([p[0] for p in pairs]) / 255, np.stack([p[1] for p in pairs]) > 0


def halved(values: np.ndarray) -> np.ndarray:
    return (
        values[..., ::2, ::2]
        + values[..., 1::2, ::2]
        + values[..., ::2, 1::2]
        + values[..., 1::2, 1::2]
    ) / 4


def test_two_processes_give_the_same_bytes() -> None:
    images = [phantom_renderer.render(f"phantom-{i:05d}", i % 3, 64) for i in range(6)]
    here = hashlib.sha256(b"".join(part.tobytes() for pair in images for part in pair)).hexdigest()
    command = [sys.executable, "-c", FINGERPRINT]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert there == here


def test_images_are_pinned() -> None:
    """Means over 16×16 pixels; a change needs a higher VERSION, for records name their data."""
    assert phantom_renderer.VERSION == phantom.Phantom.version == 1
    for number, expected in PINNED.items():
        image, mask = phantom_renderer.render(f"phantom-{number:05d}", number % 3, 64)
        blocks = image.mean(0).reshape(4, 16, 4, 16).mean((1, 3))
        np.testing.assert_allclose(blocks, expected["grey"], atol=1)
        np.testing.assert_allclose(image.mean((1, 2)), expected["rgb"], atol=1)
        assert abs(int(mask.sum()) - expected["lesion"]) <= 4


def test_ids_show_different_scenes(scenes: tuple[np.ndarray, np.ndarray]) -> None:
    thumbnails = scenes[0].reshape(60, 3, 8, 8, 8, 8).mean((3, 5)).reshape(60, -1)
    distance = np.abs(thumbnails[:, None] - thumbnails[None]).mean(-1)
    assert distance[~np.eye(60, dtype=bool)].min() > 0.01


def test_lesion_is_darker_than_the_skin_around_it(scenes: tuple[np.ndarray, np.ndarray]) -> None:
    images, masks = scenes
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    field = x**2 + y**2 < 1  # without the dark rim
    contrast = []
    for image, mask in zip(images.mean(1), masks, strict=True):
        assert 0.05 < mask.mean() < 0.6
        contrast.append(np.median(image[field & ~mask]) - np.median(image[mask]))
    assert min(contrast) > 0.1 and np.median(contrast) > 0.25


def test_mask_edge_lies_on_the_image_edge(scenes: tuple[np.ndarray, np.ndarray]) -> None:
    """A mask moved by a few pixels separates lesion from skin less well."""
    images, masks = scenes
    grey = images.mean(1)

    def separation(masks: np.ndarray) -> np.ndarray:
        inside = (grey * masks).sum((1, 2)) / masks.sum((1, 2))
        return (grey * ~masks).sum((1, 2)) / (~masks).sum((1, 2)) - inside

    for shift in [(0, 4), (4, 0), (0, -4), (-4, 0)]:
        moved = np.roll(masks, shift, (1, 2))
        assert (separation(masks) > separation(moved)).mean() > 0.9


@pytest.mark.parametrize("size", [128, 256])
def test_same_scene_at_every_size(size: int) -> None:
    for number in range(6):
        image, mask = phantom_renderer.render(IDS[number], number % 3, 64)
        large, large_mask = (
            a.astype(float) for a in phantom_renderer.render(IDS[number], number % 3, size)
        )
        while large.shape[-1] > 64:
            large, large_mask = halved(large), halved(large_mask)
        assert np.abs(large - image).mean() < 1.5  # of 255 levels
        lesion, large_lesion = mask > 0, large_mask >= 0.5
        assert (lesion & large_lesion).sum() / (lesion | large_lesion).sum() > 0.95


def test_larger_images_show_more_detail() -> None:
    large = phantom_renderer.render(IDS[0], 0, 256)[0] / 255
    coarse = halved(halved(large)).repeat(4, -1).repeat(4, -2)
    assert np.abs(large - coarse).mean() > 0.005


def test_blur_is_no_denoiser(scenes: tuple[np.ndarray, np.ndarray]) -> None:
    """A 3×3 mean costs 28 to 34 dB: fine detail to restore, but no white texture."""
    images = torch.from_numpy(scenes[0])
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, 1)
    psnr = -10 * (images - blurred).square().mean((1, 2, 3)).log10()
    assert 28 < psnr.mean() < 34


def test_classes_and_splits_are_balanced() -> None:
    source = phantom.build(phantom.Options(train=100, test=50))
    entries = source.index()
    label = {entry.id: entry.label for entry in entries}
    splits = source.splits(entries)
    assert {name: len(ids) for name, ids in splits.items()} == {"train": 100, "test": 50}
    assert sorted(splits["train"] + splits["test"]) == sorted(label)
    for ids in splits.values():
        counts = np.bincount([label[id] for id in ids], minlength=3)
        assert counts.max() - counts.min() <= 1
    assert all(entry.group == entry.id and entry.files == () for entry in entries)


def test_split_seed_moves_the_split_and_nothing_else() -> None:
    first, second = (phantom.build(phantom.Options(split_seed=seed)) for seed in (0, 1))
    entries = first.index()
    assert entries == second.index()
    assert first.splits(entries) == first.splits(entries)
    common = set(first.splits(entries)["test"]) & set(second.splits(entries)["test"])
    assert 40 < len(common) < 140  # 80 of 240 by chance
    np.testing.assert_array_equal(
        first.decode(entries[5])["target"], second.decode(entries[5])["target"]
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 60}, "size=60"),
        ({"size": 24}, "size=24"),
        ({"train": 2}, "train=2"),
        ({"test": 0}, "test=0"),
    ],
)
def test_wrong_options(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        phantom.Options(**values)  # type: ignore[arg-type]


def trained_classifier(images: Tensor, labels: Tensor, steps: int) -> torch.nn.Module:
    """The demo's recognizer after `steps` of batch 8, one-cycle to 3e-3, with flips."""
    torch.manual_seed(0)
    network = SmallClassifier(3, 3)
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    order = torch.cat([torch.randperm(len(images)) for _ in range(steps * 8 // len(images) + 1)])
    for step in range(steps):
        rows = order[8 * step : 8 * step + 8]
        flips = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
        optimizer.zero_grad()
        F.cross_entropy(network(images[rows].flip(flips)), labels[rows]).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: torch.nn.Module, images: Tensor, labels: Tensor) -> float:
    return (network(images).argmax(1) == labels).float().mean().item()


@pytest.mark.trainings
def test_diagnosis_is_learnable_and_noise_hides_it(tmp_path: Path) -> None:
    data = load(phantom.build(phantom.Options()), tmp_path)
    assert data.label is not None
    images, train, test = data.target.float() / 255, data.splits["train"], data.splits["test"]
    network = trained_classifier(images[train], data.label[train], 400)
    clean, labels = images[test], data.label[test]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    on_clean = accuracy(network, clean, labels)
    assert 0.85 <= on_clean <= 0.99
    assert accuracy(network, (clean + 0.3 * noise).clamp(0, 1), labels) < on_clean - 0.1
