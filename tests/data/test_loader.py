"""A batch follows from its seed and step alone, and has what was asked for."""

import pytest
import torch
from support.tiny_source import same, training

from gradprom.data import loader
from gradprom.data.base import Images
from gradprom.degradations import Gaussian
from gradprom.errors import DataError


def test_a_batch_follows_from_seed_and_step_alone(images: Images) -> None:
    one = training(images)
    batches = [one.batch(seed=1, step=step) for step in range(6)]
    fresh = training(images)
    for step in (5, 0, 3):
        assert same(fresh.batch(seed=1, step=step), batches[step])
        assert not same(fresh.batch(seed=2, step=step), batches[step])


def test_shapes_and_types(images: Images) -> None:
    batch = training(images).batch(0, 0)
    assert batch.input.shape == batch.target.shape == (3, 1, 8, 8)
    assert batch.input.dtype == batch.target.dtype == torch.float32
    assert 0 <= batch.target.min() and batch.target.max() <= 1
    assert batch.mask is not None and batch.mask.shape == (3, 8, 8)
    assert batch.label is not None and batch.label.shape == (3,)
    assert batch.mask.dtype == batch.label.dtype == torch.int64
    assert not torch.equal(batch.input, batch.target)


def test_an_epoch_shows_every_image_once_and_drops_the_rest(images: Images) -> None:
    data = training(images, size=3)
    assert data.steps_per_epoch == 2  # 8 training images
    epochs = []
    for epoch in range(30):
        ids = [id for step in (0, 1) for id in data.batch(0, 2 * epoch + step).ids]
        assert len(set(ids)) == 6 and set(ids) <= set("01234567")
        epochs.append(ids)
    assert {id for ids in epochs for id in ids} == set("01234567")
    assert len({tuple(ids) for ids in epochs}) > 25


def test_a_split_smaller_than_a_batch_is_one_batch(images: Images) -> None:
    data = training(images, size=100)
    assert data.steps_per_epoch == 1
    assert sorted(data.batch(0, 4).ids) == list("01234567")


def test_without_augmentation_the_target_is_the_stored_image(images: Images) -> None:
    batch = training(images, augment=False).batch(0, 0)
    rows = [images.ids.index(id) for id in batch.ids]
    assert images.mask is not None and images.label is not None and batch.mask is not None
    assert torch.equal(batch.target, images.target[rows].float() / 255)
    assert torch.equal(batch.mask, images.mask[rows].long())
    assert batch.label is not None and torch.equal(batch.label, images.label[rows])


def test_clean_batches_have_the_same_targets(images: Images) -> None:
    clean, degraded = (training(images, **o).batch(0, 3) for o in ({"degradation": None}, {}))
    assert torch.equal(clean.input, clean.target) and clean.observation is None
    assert torch.equal(clean.target, degraded.target) and clean.ids == degraded.ids


def test_noise_is_another_in_every_step(images: Images) -> None:
    data = training(images, augment=False, degradation=Gaussian(sigma=0.1, clamp=False))
    noise = [(batch := data.batch(0, step)).input - batch.target for step in range(200)]
    assert torch.stack(noise).std() == pytest.approx(0.1, rel=0.02)
    assert not torch.equal(noise[0], noise[1])


def test_unlabelled_images_stay_in_the_batch(images: Images) -> None:
    label = training(images, size=8).batch(0, 0).label
    assert label is not None and sorted(label.tolist()) == [-1, -1, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "names, mask, label",
    [
        ((), False, False),
        (("label",), False, True),
        (("mask",), True, False),
        (("label", "mask"), True, True),
    ],
)
def test_batches_have_the_annotations_that_are_named(
    images: Images, names: tuple[str, ...], mask: bool, label: bool
) -> None:
    batch = training(images, annotations=names).batch(0, 0)
    assert (batch.mask is not None, batch.label is not None) == (mask, label)
    assert set(batch.annotations) == set(names)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"split": "val"}, r"split=val has no images; choose from train \(8\), test \(2\)"),
        ({"size": 0}, "batch_size=0: must be at least 1"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(
    images: Images, options: dict[str, object], message: str
) -> None:
    with pytest.raises((DataError, ValueError), match=message):
        training(images, **options)


def test_an_annotation_that_the_dataset_lacks_is_refused(images: Images) -> None:
    images.mask = None
    for name in ("mask", "identity"):
        with pytest.raises(ValueError, match=f"annotation={name} .*: label$"):
            training(images, annotations=(name,))


def test_test_batches_show_the_split_in_order_whatever_the_batch_size(images: Images) -> None:
    images.splits["test"] = [9, 2, 5, 4, 7]
    results = []
    for batch_size in (1, 2, 5):
        batches = list(loader.test_batches(images, "test", batch_size, Gaussian(), 0, "cpu"))
        assert [id for batch in batches for id in batch.ids] == ["9", "2", "5", "4", "7"]
        results.append(torch.cat([batch.input for batch in batches]))
        targets = torch.cat([batch.target for batch in batches])
        assert torch.equal(targets, images.target[[9, 2, 5, 4, 7]].float() / 255)
        assert all(batch.mask is not None and batch.label is not None for batch in batches)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    assert not torch.equal(results[0], targets)
    other = list(loader.test_batches(images, "test", 5, Gaussian(), 1, "cpu"))
    assert not torch.equal(other[0].input, results[0])
