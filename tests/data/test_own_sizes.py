"""Images of their own size, inputs of their own, and further annotations: from cache to batch."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support import own_sizes

from gradprom.data import memory, targets
from gradprom.data.base import Entry, Images
from gradprom.data.batches import Batches
from gradprom.data.images import load
from gradprom.data.loader import Batch, Loader, test_batches
from gradprom.data.ragged import Ragged
from gradprom.degradations import Downsample, Gaussian
from gradprom.errors import DataError

SOURCE = own_sizes.build(own_sizes.Options())
ENTRIES = SOURCE.index()
ARRAYS = ("target", "input", "mask", "depth")


def stored(images: Images) -> dict[str, Ragged]:
    parts = {"target": images.target, "input": images.input, **images.annotations}
    return {name: parts[name] for name in ARRAYS}  # type: ignore[misc]


def as_decoded(images: Images) -> bool:
    return all(
        np.array_equal(stored(images)[name][row].numpy(), array)
        for row, entry in enumerate(ENTRIES)
        for name, array in SOURCE.decode(entry).items()
    )


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return load(SOURCE, tmp_path / "cache")


# The cache


def test_images_of_their_own_size_are_what_decode_gives(images: Images) -> None:
    assert as_decoded(images)
    assert {tuple(image.shape) for image in images.target} == {(1, *s) for s in own_sizes.SIZES}
    assert len(images.target) == len(ENTRIES)
    assert images.annotations.keys() == {"mask", "label", "person", "depth"}
    assert images.further["person"].tolist() == [0, 0, 1, 1, -1, -1, 3, 3, 4, 4, 5, 5]


def test_a_flat_file_has_its_shapes_beside_it(images: Images, tmp_path: Path) -> None:
    [folder] = (tmp_path / "cache").glob("own_sizes-*")
    names = {f"{name}{end}.npy" for name in ARRAYS for end in ("", ".shapes")}
    assert {path.name for path in folder.iterdir()} == names | {"sha256.json"}
    for name in ARRAYS:
        flat, shapes = (np.load(folder / f"{name}{end}.npy") for end in ("", ".shapes"))
        assert flat.ndim == 1 and shapes.dtype == np.int64
        parts = [SOURCE.decode(entry)[name] for entry in ENTRIES]
        assert np.array_equal(flat, np.concatenate([part.ravel() for part in parts]))
        assert [tuple(shape) for shape in shapes.tolist()] == [part.shape for part in parts]


def flip(folder: Path) -> None:
    content = bytearray((folder / "target.shapes.npy").read_bytes())
    content[-8] ^= 4
    (folder / "target.shapes.npy").write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda folder: (folder / "depth.shapes.npy").unlink(),
        lambda folder: os.truncate(folder / "input.npy", 200),
    ],
)
def test_damage_is_noticed_and_made_good(
    images: Images, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    [folder] = (tmp_path / "cache").glob("own_sizes-*")
    damage(folder)
    again = load(SOURCE, tmp_path / "cache")
    assert as_decoded(again) and again.fingerprint == images.fingerprint


def test_the_fingerprint_follows_further_annotations(images: Images, tmp_path: Path) -> None:
    other = own_sizes.build(own_sizes.Options())
    changed = [replace(ENTRIES[0], annotations={"person": 7}), *ENTRIES[1:]]
    other.index = lambda: changed  # type: ignore[method-assign]
    found = load(other, tmp_path / "cache")
    assert found.fingerprint != images.fingerprint and found.further["person"][0] == 7


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("target", np.zeros((3, 8, 8), np.uint8)),
        ("input", np.zeros((2, 8, 8), np.uint8)),
        ("mask", np.zeros((8, 9), np.uint8)),
    ],
)
def test_a_sample_that_is_not_what_the_facts_say_is_named(
    tmp_path: Path, name: str, array: np.ndarray
) -> None:
    other = own_sizes.build(own_sizes.Options())

    def decode(entry: Entry) -> dict[str, np.ndarray]:
        return SOURCE.decode(entry) | ({name: array} if entry.id == "05" else {})

    other.decode = decode  # type: ignore[method-assign]
    with pytest.raises(DataError, match=f"1 of 12 .*\n  05: {name}"):
        load(other, tmp_path / "cache")


# Testing


def shown(images: Images, size: int, degradation: object = None) -> list[Batch]:
    images = replace(images, splits={"test": [7, 3, 0, 6, 5, 2, 8]})
    return list(test_batches(images, "test", size, degradation, 3, "cpu"))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_shapes_come_together_in_an_order_that_nothing_else_changes(
    images: Images, size: int
) -> None:
    batches = shown(images, size, Gaussian(sigma=0.1))
    # 7 has the second size, 3, 0 and 6 the first, 5, 2 and 8 the third
    assert [id for batch in batches for id in batch.ids] == "07 03 00 06 05 02 08".split()
    assert all(len(batch.ids) <= size for batch in batches)
    for batch in batches:
        for number, id in enumerate(batch.ids):
            sample = SOURCE.decode(ENTRIES[int(id)])
            assert torch.equal(batch.target[number], torch.tensor(sample["target"]) / 255)
            assert torch.equal(
                batch.annotations["depth"][number], torch.tensor(sample["depth"]).long()
            )
    alone = {batch.ids[0]: batch.input[0] for batch in shown(images, 1, Gaussian(sigma=0.1))}
    for batch in batches:
        assert all(torch.equal(alone[i], x) for i, x in zip(batch.ids, batch.input, strict=True))


def test_equal_shapes_apart_come_together(images: Images) -> None:
    images = replace(images, splits={"test": [0, 1, 3, 4, 2]})
    batches = list(test_batches(images, "test", 8, None, 0, "cpu"))
    assert [batch.ids for batch in batches] == [["00", "03"], ["01", "04"], ["02"]]
    assert [batch.annotations["label"].tolist() for batch in batches] == [[0, 1], [1, 0], [0]]


def test_a_stored_input_is_the_input_and_what_is_degraded(images: Images) -> None:
    for clean, halved in zip(shown(images, 3), shown(images, 3, Downsample(scale=2)), strict=True):
        rows = [torch.tensor(SOURCE.decode(ENTRIES[int(id)])["input"]) for id in clean.ids]
        assert torch.equal(clean.input, torch.stack(rows) / 255) and clean.observation is None
        *_, height, width = clean.input.shape
        assert halved.input.shape == (len(clean.ids), 3, height // 2, width // 2)
        assert torch.equal(halved.input, Downsample(scale=2).apply(clean.input, {}))
        assert halved.observation is not None and halved.observation.shape == clean.input.shape


# Training


@pytest.mark.parametrize("annotation", ["mask", "label"])
def test_the_majority_share_is_that_of_the_most_frequent_value(
    images: Images, annotation: str
) -> None:
    rows = images.splits["train"]
    values = np.concatenate([np.ravel(images.annotations[annotation][row]) for row in rows])
    known = values[values != -1].astype(int)
    expected = np.bincount(known).max() / len(known)
    assert targets.majority_share(images, annotation, "train") == expected


def test_training_on_images_of_their_own_size_is_refused(images: Images) -> None:
    with pytest.raises(DataError) as caught:
        Loader(images, "train", Batches(2), "cpu")
    [line] = str(caught.value).splitlines()
    assert "split=train" in line and "3 shapes" in line and "×16×24" in line


def of_one_size(images: Images) -> Images:
    return replace(images, splits={**images.splits, "train": [9, 0, 3, 6]})


def test_training_on_those_of_one_size_is_not(images: Images) -> None:
    names = ("label", "mask", "person", "depth")
    loader = Loader(of_one_size(images), "train", Batches(4, None, False, names), "cpu")
    batch = loader.batch(0, 0)
    assert sorted(batch.ids) == ["00", "03", "06", "09"] and set(batch.annotations) == set(names)
    assert all(part.dtype == torch.int64 for part in batch.annotations.values())
    for number, id in enumerate(batch.ids):
        sample = SOURCE.decode(ENTRIES[int(id)])
        for name, values in (("target", batch.target), ("input", batch.input)):
            assert torch.equal(values[number], torch.tensor(sample[name]) / 255)
        for name in ("mask", "depth"):
            assert torch.equal(batch.annotations[name][number], torch.tensor(sample[name]).long())
        assert batch.annotations["person"][number] == int(id) // 2


def test_augmentation_moves_input_target_and_masks_alike(images: Images) -> None:
    """Inputs are functions of the target's pixels, and so are masks and depths."""
    loader = Loader(of_one_size(images), "train", Batches(4, annotations=("mask", "depth")), "cpu")
    for step in range(20):
        batch = loader.batch(0, step)
        target = 255 * batch.target[:, 0]
        first, _, inverse = (255 * batch.input).unbind(1)
        torch.testing.assert_close(first, target)
        torch.testing.assert_close(inverse, 255 - target, atol=1e-3, rtol=0)
        # nearest against bilinear: they differ beside an edge alone
        depth = batch.annotations["depth"]
        assert ((target * 4 / 256).floor() - depth).abs().max() <= 1
        assert ((target * 4 / 256).floor() == depth).float().mean() > 0.8
        assert ((target > 120) == batch.annotations["mask"].bool()).float().mean() > 0.8


def test_a_degradation_applies_to_the_input_and_draws_in_its_shape(images: Images) -> None:
    chosen = Batches(4, Gaussian(sigma=0.1, clamp=False), augment=False)
    batch = Loader(of_one_size(images), "train", chosen, "cpu").batch(0, 0)
    clean = Loader(of_one_size(images), "train", replace(chosen, degradation=None), "cpu").batch(
        0, 0
    )
    assert batch.observation is not None and batch.observation.shape == (4, 3, 16, 24)
    assert torch.equal(batch.target, clean.target)
    assert (batch.input - clean.input).std().item() == pytest.approx(0.1, rel=0.1)


def test_what_is_mapped_gives_the_same_batches(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_host", lambda: 1000)
    mapped = load(SOURCE, tmp_path / "cache")
    assert mapped.mapped and as_decoded(mapped)
    shutil.copytree(tmp_path / "cache", tmp_path / "copy")
    chosen = Batches(2, Gaussian(sigma=0.1), annotations=("mask", "depth"))
    here, ahead = (Loader(of_one_size(i), "train", chosen, "cpu") for i in (images, mapped))
    assert here.ahead is None and ahead.ahead is not None
    for step in (0, 1, 4):
        one, other = here.batch(1, step), ahead.batch(1, step)
        assert one.ids == other.ids and torch.equal(one.input, other.input)
        assert all(torch.equal(one.annotations[n], other.annotations[n]) for n in one.annotations)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_sees_the_same(images: Images) -> None:
    chosen = Batches(2, Gaussian(sigma=0.1), annotations=("mask", "person"))
    here, there = (Loader(of_one_size(images), "train", chosen, d) for d in ("cpu", "cuda"))
    for step in (0, 1, 4):
        one, other = here.batch(1, step), there.batch(1, step)
        torch.testing.assert_close(one.target, other.target.cpu())
        assert torch.equal(one.annotations["person"], other.annotations["person"].cpu())


def test_a_list_of_tensors_is_one() -> None:
    ragged = Ragged(torch.arange(10), [(2, 2), (1, 1), (5, 1)])
    assert [row.tolist() for row in ragged] == [[[0, 1], [2, 3]], [[4]], [[5], [6], [7], [8], [9]]]
    assert len(ragged) == 3 and ragged.nbytes == 80
    with pytest.raises(ValueError, match="10 elements, but the shapes have 9"):
        Ragged(torch.arange(10), [(3, 3)])
