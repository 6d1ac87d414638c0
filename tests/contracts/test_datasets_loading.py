"""Every dataset is decoded once, and its fingerprint follows what changes its data."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.dataset_cases import (
    CASES,
    LABELLED,
    SEEDED,
    SIZE,
    SIZED,
    WITH_FILES,
    build,
    fingerprint_of,
)

from gradprom.data.base import Facts
from gradprom.data.cache import content_key, fingerprint
from gradprom.data.check import check
from gradprom.data.images import load
from gradprom.data.loader import test_batches


@pytest.mark.parametrize("name", CASES)
def test_the_second_time_nothing_is_decoded(
    name: str, made: Callable[[str], Path], tmp_path: Path
) -> None:
    source = build(name, made(name))
    entries, splits = source.index(), source.splits(source.index())
    first = load(source, tmp_path)

    again = build(name, made(name))
    again.decode = lambda entry: pytest.fail(f"{entry.id} is decoded")  # type: ignore[method-assign]
    second = load(again, tmp_path)
    assert second.fingerprint == first.fingerprint == fingerprint_of(source, entries, tmp_path)
    assert second.ids == first.ids
    assert second.splits == first.splits and second.groups == first.groups

    if name in SIZED:
        assert isinstance(first.target, torch.Tensor)
        assert first.target.shape == (len(entries), first.facts.channels, SIZE, SIZE)
    assert set(first.annotations) == set(first.facts.annotations)
    for images in (first, second):
        stored = {"target": images.target, "input": images.input, **images.annotations}
        for row, entry in list(enumerate(entries))[::5]:
            for part, array in source.decode(entry).items():
                np.testing.assert_array_equal(stored[part][row], array)
            for part, number in entry.annotations.items():
                assert stored[part][row] == number
    # a run's record names the images of each split through these
    assert {part: [first.ids[row] for row in rows] for part, rows in first.splits.items()} == splits
    if first.facts.classes:
        assert first.label is not None
        expected = [-1 if entry.label is None else entry.label for entry in entries]
        assert first.label.tolist() == expected


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_folder_that_was_moved_is_the_same_data(
    name: str, copied: Callable[[str], Path], tmp_path: Path
) -> None:
    here = copied(name)
    first = load(build(name, here), tmp_path / "cache")
    there = build(name, Path(shutil.move(here, tmp_path / "elsewhere")))
    there.decode = lambda entry: pytest.fail(f"{entry.id} is decoded")  # type: ignore[method-assign]
    second = load(there, tmp_path / "cache")
    assert second.fingerprint == first.fingerprint and second.ids == first.ids
    assert all(map(torch.equal, first.target, second.target))


@pytest.mark.parametrize("name", WITH_FILES)
def test_the_fingerprint_follows_each_byte(
    name: str, copied: Callable[[str], Path], tmp_path: Path
) -> None:
    source = build(name, copied(name))
    entries = source.index()
    seen = {fingerprint_of(source, entries, tmp_path / "before")}
    for number, file in enumerate(entries[0].files):
        content = bytearray(file.read_bytes())
        content[-20] ^= 1
        file.write_bytes(content)
        seen.add(fingerprint_of(source, entries, tmp_path / f"{number}"))
    assert len(seen) == 1 + len(entries[0].files)


@pytest.mark.parametrize("name", LABELLED)
def test_the_fingerprint_follows_labels_but_the_images_do_not(
    name: str, made: Callable[[str], Path], tmp_path: Path
) -> None:
    source = build(name, made(name))
    entries = source.index()
    changed = [dataclasses.replace(entries[0], label=None), *entries[1:]]
    assert entries[0].label is not None
    key = content_key(source, entries, tmp_path)
    assert content_key(source, changed, tmp_path) == key
    splits = source.splits(entries)
    assert fingerprint(key, changed, splits) != fingerprint(key, entries, splits)


@pytest.mark.parametrize("name", SEEDED)
def test_the_fingerprint_follows_the_seed_of_the_split(
    name: str, made: Callable[[str], Path], tmp_path: Path
) -> None:
    found = set()
    for seed in range(8):
        source = build(name, made(name), split_seed=seed)
        found.add(fingerprint_of(source, source.index(), tmp_path))
    assert len(found) > 1


@pytest.mark.parametrize("name", CASES)
def test_each_image_of_a_split_is_tested_once(
    name: str, made: Callable[[str], Path], tmp_path: Path
) -> None:
    images = load(build(name, made(name)), tmp_path)
    batches = list(test_batches(images, "test", 3, None, 0, "cpu"))
    ids = [id for batch in batches for id in batch.ids]
    expected = [images.ids[row] for row in images.splits["test"]]
    assert sorted(ids) == sorted(expected) and (name not in SIZED or ids == expected)
    for batch in batches:
        assert batch.input.shape[1] == images.facts.inputs
        assert batch.target.shape[1] == images.facts.channels
        assert set(batch.annotations) == set(images.facts.annotations)
        assert 0 <= batch.input.min() and batch.input.max() <= 1


@pytest.mark.parametrize("name", CASES)
def test_the_check_finds_nothing_wrong(
    name: str, made: Callable[[str], Path], tmp_path: Path
) -> None:
    report = check(build(name, made(name)), tmp_path / "cache", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 0
    assert report.problems == []
    assert report.counts["all"] and report.counts["train"] and report.counts["test"]
    facts: Facts = build(name, made(name)).facts
    assert list(report.mask_share) == list(facts.mask_classes)


@pytest.mark.parametrize("name", CASES)
def test_what_resizes_its_images_has_them_at_twice_the_size(
    name: str, made: Callable[[str], Path], tmp_path: Path
) -> None:
    """Where the files have the pixels; an image that they do not is not cropped."""
    source = build(name, made(name))
    images = load(source, tmp_path)
    assert (images.finer is not None) == source.resizes
    if images.finer is None:
        return
    finer = images.finer()
    assert finer.target.shape == (*images.target.shape[:2], 2 * SIZE, 2 * SIZE)
    for least, entry in zip(finer.least.tolist(), source.index(), strict=True):
        side = min(source.shape(entry))
        assert least == pytest.approx(min(1, max(0.5, SIZE / side)), rel=1e-6)
