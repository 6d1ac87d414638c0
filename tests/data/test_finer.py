"""What augmentation crops from: images at twice the working size, up to the files' own pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.datasets import covid_ct_folder
from torch.nn import functional as F

from gradprom.data import augment, image_io, memory
from gradprom.data.base import Images
from gradprom.data.batches import Batches
from gradprom.data.holdout import hold_out
from gradprom.data.images import load
from gradprom.data.loader import Loader, test_batches
from gradprom.data.sources import covid_ct, folder

SIZE = 32


def source(root: Path) -> covid_ct.CovidCT:
    return covid_ct.build(covid_ct.Options(root=str(root), size=SIZE))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of white noise, of half to three times the working size along their smaller side."""
    folder = covid_ct_folder(tmp_path_factory.mktemp("files"))
    rng = np.random.default_rng(0)
    for number, entry in enumerate(source(folder).index()):
        height, width = 16 + 8 * (number % 11), 100
        pixels = rng.integers(256, size=(height, width), dtype=np.uint8)
        Image.fromarray(pixels).save(entry.files[0], format="PNG")
    return folder


@pytest.fixture
def images(root: Path, tmp_path: Path) -> Images:
    return load(source(root), tmp_path / "cache")


def test_the_smallest_crop_has_as_many_pixels_in_its_file(images: Images, root: Path) -> None:
    assert images.finer is not None
    finer, entries = images.finer(), source(root).index()
    assert finer.target.shape == (len(entries), 1, 2 * SIZE, 2 * SIZE)
    shares = set()
    for row, entry in enumerate(entries):
        height, width = Image.open(entry.files[0]).size[::-1]
        least = finer.least[row].item()
        shares.add(least)
        enough = min(height, width) * least >= SIZE - 1e-4
        assert least == 1 if min(height, width) <= SIZE else enough and least >= 0.5
        expected = image_io.squashed(image_io.picture(entry.files[0], 1), 2 * SIZE)
        assert np.array_equal(finer.target[row].numpy(), expected)
    assert {0.5, 1.0} < shares  # and some between


def test_they_are_decoded_when_first_asked_for_and_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    images = load(source(root), cache)
    assert len([*cache.glob("covid_ct-*")]) == 1
    Loader(images, "train", Batches(2, augment=False), "cpu")
    [*test_batches(images, "test", 4, None, 0, "cpu")]
    assert len([*cache.glob("covid_ct-*")]) == 1
    first = Loader(images, "train", Batches(2), "cpu")
    assert len([*cache.glob("covid_ct-*")]) == 2
    monkeypatch.setattr(covid_ct.CovidCT, "decode", lambda *_: pytest.fail("decoded again"))
    again = Loader(load(source(root), cache), "train", Batches(2), "cpu")
    assert torch.equal(first.batch(0, 3).target, again.batch(0, 3).target)
    assert images.finer is not None and images.finer() is images.finer()


def test_the_fingerprint_and_the_test_images_are_as_without_them(
    root: Path, images: Images, tmp_path: Path
) -> None:
    before = images.fingerprint
    assert images.finer is not None and images.finer()
    assert load(source(root), tmp_path / "cache").fingerprint == before
    for batch in test_batches(images, "test", 4, None, 0, "cpu"):
        rows = [images.ids.index(id) for id in batch.ids]
        assert torch.equal(batch.target, images.target[rows].float() / 255)


def test_a_batch_is_cropped_from_them(images: Images) -> None:
    loader = Loader(images, "train", Batches(4), "cpu")
    assert images.finer is not None
    finer = images.finer()
    for step in range(loader.steps_per_epoch):
        batch = loader.batch(1, step)
        rows = torch.tensor([images.ids.index(id) for id in batch.ids])
        affine = loader._maps(rows, 1, step)
        expected = augment.apply_to_finer(finer.target[rows].float() / 255, affine)
        assert torch.equal(batch.target, expected) and batch.target.shape[-1] == SIZE
        assert (affine[:, :, 0].norm(dim=1) >= finer.least[rows] - 1e-6).all()


def test_crops_are_as_sharp_as_the_test_images(images: Images) -> None:
    """White noise in every file: what is enlarged loses most of its contrast."""
    assert images.finer is not None
    sharp = images.finer().least == 0.5
    rows = [row for row in images.splits["train"] if sharp[row]]
    loader = Loader(images, "train", Batches(1), "cpu")
    loader.rows = torch.tensor(rows)
    loader.labels = loader.labels[: len(rows)]
    loader.steps_per_epoch = len(rows)
    crops = torch.cat([loader.batch(0, step).target for step in range(20 * len(rows))])
    stored = images.target[rows].float() / 255
    half = F.interpolate(stored, scale_factor=0.75, mode="bilinear", antialias=True)
    enlarged = F.interpolate(half, size=(SIZE, SIZE), mode="bilinear")
    detail = [x.diff(dim=-1).square().mean().sqrt() for x in (crops, stored, enlarged)]
    assert detail[0] > 0.75 * detail[1] > 1.2 * detail[2]


def test_a_held_out_part_is_cropped_alike(images: Images) -> None:
    held_out = hold_out(images, 0.3)
    assert held_out.finer is images.finer
    batch = Loader(held_out, "train", Batches(2), "cpu").batch(0, 0)
    assert set(batch.ids) <= {images.ids[row] for row in held_out.splits["train"]}


def test_what_is_mapped_gives_the_same_batches(
    root: Path, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Loader(images, "train", Batches(2), "cpu").batch(0, 1)
    monkeypatch.setattr(memory, "free_host", lambda: 1000)
    mapped = load(source(root), tmp_path / "cache")
    assert mapped.finer is not None and mapped.finer().mapped
    loader = Loader(mapped, "train", Batches(2), "cpu")
    assert loader.ahead is not None
    assert torch.equal(loader.batch(0, 1).target, here.target)


def test_slices_of_a_stack_have_finer_ones_each(tmp_path: Path) -> None:
    """Of 16 bits, in one file: read in the range that all have, as the working ones are."""
    rng = np.random.default_rng(0)
    slices = [Image.fromarray(rng.integers(4096, size=(64, 80), dtype=np.uint16)) for _ in range(5)]
    for name in ("a", "b"):
        slices[0].save(tmp_path / f"{name}.tif", save_all=True, append_images=slices[1:])
    options = folder.Options(root=str(tmp_path), size=SIZE, channels="grey", test=0.5)
    images = load(folder.build(options), tmp_path / "cache")
    assert images.finer is not None
    finer = images.finer()
    assert finer.target.shape == (10, 1, 64, 64) and (finer.least == 0.5).all()
    halved = F.avg_pool2d(finer.target.float(), 2)
    assert (halved - images.target.float()).abs().mean() < 12  # of noise from 0 to 255
    assert not torch.equal(finer.target[0], finer.target[1])
