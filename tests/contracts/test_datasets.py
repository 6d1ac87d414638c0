"""What every dataset keeps to. A new dataset is one more line in `CASES`.

The files are made by code in the published layouts; a few real ones are looked at where they are.
`own_sizes` is made up, and `contrasts` is the example in `docs/datasets.md`.
"""

import dataclasses
import functools
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from support import (
    camus_files,
    datasets,
    documented,
    isic_files,
    lizard_files,
    own_sizes,
    tiny_runs,
)

from gradprom.data.base import Entry, Facts, Source
from gradprom.data.cache import content_key, fingerprint
from gradprom.data.check import check
from gradprom.data.dataset_card import describe
from gradprom.data.images import load
from gradprom.data.loader import test_batches
from gradprom.data.sources import camus, covid_ct, folder, isic2018, lizard, phantom
from gradprom.errors import DataError

SIZE = 32


class Case(NamedTuple):
    module: ModuleType
    make: Callable[[Path], Path] | None
    """Makes the files in a folder and returns the dataset's; None: it needs no files."""
    options: dict[str, Any] = {}


ANNOTATED = {
    "masks": "masks",
    "mask_classes": ["background", "lesion", "ruler"],
    "labels": "labels.csv",
    "classes": ["benign", "malignant"],
}

contrasts = documented.module("datasets.md", "contrasts")
ELSEWHERE = {
    "own_sizes": OmegaConf.structured(own_sizes.Options()),
    "contrasts": OmegaConf.create(documented.block("datasets.md", "yaml")),
}
"""Configurations of the datasets that this project does not ship."""

CASES = {
    "own_sizes": Case(own_sizes, None),
    "contrasts": Case(contrasts, documented.contrasts_folder),
    "phantom": Case(phantom, None, {"train": 9, "test": 6}),
    "covid_ct": Case(covid_ct, datasets.covid_ct_folder),
    "isic2018": Case(isic2018, isic_files.isic_folder),
    "lizard": Case(lizard, lizard_files.lizard_folder),
    "camus_metaimage": Case(camus, camus_files.old_layout),
    "camus_nifti": Case(camus, camus_files.new_layout),
    "folder": Case(folder, isic_files.own_folder),
    "folder_annotated": Case(folder, isic_files.own_folder, ANNOTATED),
    "folder_of_patients": Case(folder, isic_files.grouped_folder, {**ANNOTATED, "test": 0.4}),
}
REAL = {
    "real_covid_ct": Case(covid_ct, lambda _: datasets.real_data("COVID-CT")),
    "real_isic2018": Case(isic2018, lambda _: datasets.real_data("ISIC2018")),
    "real_camus": Case(camus, lambda _: datasets.real_data("CAMUS")),
}
ALL = CASES | REAL

EVERY = [*CASES, *(pytest.param(name, marks=pytest.mark.realdata) for name in REAL)]
WITH_FILES = [name for name, case in CASES.items() if case.make]
PUBLISHED = [name for name, case in CASES.items() if case.module.ABOUT.folders]
SIZED = [name for name, case in CASES.items() if hasattr(case.module.Options, "size")]
LABELLED = ["own_sizes", "covid_ct", "isic2018", "lizard", "phantom", "folder_annotated"]


def splits_of(name: str) -> list[dict[str, str]]:
    """Options that choose each split there is."""
    return [{"split": split} for split in getattr(ALL[name].module, "SPLITS", ())] or [{}]


SPLITS = [(name, options) for name in CASES for options in splits_of(name)]
SPLIT_IDS = ["-".join([name, *options.values()]) for name, options in SPLITS]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A dataset's folder, made once; what changes files works on a copy."""

    @functools.cache
    def make(name: str) -> Path:
        case = ALL[name]
        return case.make(tmp_path_factory.mktemp(name)) if case.make else Path("nowhere")

    return make


@pytest.fixture
def copied(made: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(made(name), tmp_path / "copy" / made(name).name))


def options_of(name: str, root: Path, **options: Any) -> Any:
    case = ALL[name]
    place = {"root": str(root)} if case.make else {}
    size = {"size": SIZE} if hasattr(case.module.Options, "size") else {}
    return case.module.Options(**{**size, **place, **case.options, **options})


def build(name: str, root: Path, **options: Any) -> Source:
    return ALL[name].module.build(options_of(name, root, **options))


def fingerprint_of(source: Source, entries: list[Entry], cache: Path) -> str:
    return fingerprint(content_key(source, entries, cache), entries, source.splits(entries))


def test_every_dataset_that_can_be_configured_is_here() -> None:
    configured = {path.stem for path in (tiny_runs.CONF / "dataset").glob("*.yaml")}
    modules = {case.module.__name__.rpartition(".")[2] for case in CASES.values()}
    assert modules - set(ELSEWHERE) == configured


# What is known without files


@pytest.mark.parametrize("name", CASES)
def test_facts_need_no_file_and_are_those_of_the_source(name: str) -> None:
    options, module = options_of(name, Path("/nowhere")), CASES[name].module
    facts = module.facts(options)
    assert facts.channels in (1, 3) and facts.inputs >= 1
    for names in (facts.classes, facts.mask_classes, *facts.further.values()):
        assert len(names) != 1 and len(set(names)) == len(names)
    assert not facts.further.keys() & {"target", "input", "label", "mask"}
    assert module.build(options).facts == facts


@pytest.mark.parametrize("name", CASES)
def test_options_pass_through_the_schema(name: str) -> None:
    options = options_of(name, Path("somewhere"), split_seed=3)
    assert OmegaConf.to_object(OmegaConf.structured(options)) == options
    path = tiny_runs.CONF / "dataset" / f"{options.name}.yaml"
    shipped = ELSEWHERE[name] if name in ELSEWHERE else OmegaConf.load(path)
    assert set(shipped) == {field.name for field in dataclasses.fields(options)}


@pytest.mark.parametrize("name", CASES)
def test_only_what_changes_images_is_an_option_of_decoding(name: str) -> None:
    first = build(name, Path("here"))
    assert build(name, Path("there"), split_seed=3).decode_options() == first.decode_options()
    for split in splits_of(name):
        assert build(name, Path("here"), **split).decode_options() == first.decode_options()


@pytest.mark.parametrize("name", SIZED)
def test_the_size_is_an_option_of_decoding(name: str) -> None:
    first = build(name, Path("here"))
    assert build(name, Path("here"), size=64).decode_options() != first.decode_options()


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(("option", "value"), [("size", 0), ("split", "nosuch")])
def test_wrong_options_say_what_is_allowed(name: str, option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"dataset.{option}={value}: must be"):
        options_of(name, Path("here"), **{option: value})


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_missing_folder_says_where_it_looked_and_how_to_get_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()  # of another dataset
    about = CASES[name].module.ABOUT
    with pytest.raises(DataError) as caught:
        build(name, tmp_path).index()
    first, *looked = str(caught.value).splitlines()
    assert about.title in first and about.get in first
    assert str(tmp_path) in str(caught.value)
    for place in about.folders:
        assert any(line.startswith(f"  {tmp_path / place}") for line in looked)


# The index


@contextmanager
def backwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file system that lists the files of a folder the other way round."""
    listdir, scandir = os.listdir, os.scandir

    @contextmanager
    def scan(path: Any = ".") -> Iterator[Any]:
        with scandir(path) as entries:
            yield iter(list(entries)[::-1])

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", lambda path=".": listdir(path)[::-1])
        patch.setattr(os, "scandir", scan)
        yield


@pytest.mark.parametrize("name", EVERY)
def test_the_order_of_a_file_system_does_not_matter(
    name: str, made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = build(name, made(name))
    entries = source.index()
    with backwards(monkeypatch):
        other = build(name, made(name))
        assert other.index() == entries
        assert other.splits(entries) == source.splits(entries)
        assert other.notes(entries) == source.notes(entries)


@pytest.mark.parametrize("name", EVERY)
def test_entries_are_what_the_facts_say(name: str, made: Callable[[str], Path]) -> None:
    root = made(name)
    source = build(name, root)
    entries, classes = source.index(), source.facts.classes
    assert entries and len({entry.id for entry in entries}) == len(entries)
    allowed = {None, *range(len(classes))}
    for entry in entries:
        assert entry.id == entry.id.strip() != "" and entry.group == entry.group.strip() != ""
        assert str(root) not in entry.id and str(root) not in entry.group
        assert entry.label in allowed
        assert all(file.is_file() for file in entry.files)
        assert set(entry.annotations) <= set(source.facts.further)
    assert {entry.label for entry in entries} >= set(range(len(classes)))  # each is there


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_folder_may_be_named_or_the_one_above_it(
    name: str, made: Callable[[str], Path]
) -> None:
    assert build(name, made(name).parent).index() == build(name, made(name)).index()


# Decoding


@pytest.mark.parametrize("name", EVERY)
def test_decode_gives_what_the_facts_say(name: str, made: Callable[[str], Path]) -> None:
    source = build(name, made(name))
    facts, entries, values = source.facts, source.index(), defaultdict(set)
    of_images = {annotation for entry in entries for annotation in entry.annotations}
    of_pixels = set(facts.annotations) - of_images - {"label"}
    assert not facts.further or facts.further.keys() == (of_images | of_pixels) - {"mask"}
    for entry in entries[:: 1 + len(entries) // 70]:
        sample = source.decode(entry)
        assert set(sample) - {"input"} == {"target"} | of_pixels
        assert "input" in sample or facts.inputs == facts.channels
        channels, *size = sample["target"].shape
        assert channels == facts.channels and np.ptp(sample["target"]) > 0
        if name in SIZED:
            assert size == [SIZE, SIZE]
        if "input" in sample:
            assert sample["input"].ndim == 3 and len(sample["input"]) == facts.inputs
        for part, array in sample.items():
            whole = part in ("target", "input", "mask")
            assert array.dtype == np.uint8 if whole else array.dtype.kind in "iu"
            if part in of_pixels:
                assert list(array.shape) == size
                values[part] |= set(np.unique(array).tolist())
    assert values["mask"] == set(range(len(facts.mask_classes)))
    for part in of_pixels - {"mask"}:
        assert not facts.further[part] or values[part] <= set(range(len(facts.further[part])))


@pytest.mark.parametrize("name", CASES)
def test_decoding_does_not_depend_on_the_order(name: str, made: Callable[[str], Path]) -> None:
    source = build(name, made(name))
    entries = source.index()
    forward = {entry.id: source.decode(entry) for entry in entries}
    for number in np.random.default_rng(0).permutation(len(entries)):
        for part, array in source.decode(entries[number]).items():
            np.testing.assert_array_equal(array, forward[entries[number].id][part])


@pytest.fixture(scope="session")
def opened() -> set[str]:
    """Names of the files that are opened while this module runs; an audit hook stays for good."""
    names: set[str] = set()
    sys.addaudithook(lambda event, args: names.add(str(args[0])) if event == "open" else None)
    return names


@pytest.mark.parametrize("name", WITH_FILES)
def test_decoding_reads_the_files_of_its_entry_alone(
    name: str, made: Callable[[str], Path], opened: set[str]
) -> None:
    """Only those are hashed: a change of any other would not be noticed."""
    root = made(name)
    for entry in build(name, root).index()[::5]:
        opened.clear()
        build(name, root).decode(entry)
        assert {file for file in opened if str(root) in file} == set(map(str, entry.files))


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_truncated_image_is_named(
    name: str, copied: Callable[[str], Path], tmp_path: Path
) -> None:
    source = build(name, copied(name))
    broken = source.index()[1].files[0]
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    with pytest.raises(DataError, match=f"images of {source.options.name} cannot be read") as told:
        load(source, tmp_path / "cache")
    assert f"\n  {broken}: " in str(told.value)
    report = check(source, tmp_path / "cache", tmp_path / "sheet.png")
    assert any(str(broken) in problem for problem in report.problems)
    assert "no sample sheet" in report.text() and not (tmp_path / "sheet.png").exists()


# Splits


@pytest.mark.parametrize(("name", "options"), SPLITS, ids=SPLIT_IDS)
def test_splits_are_disjoint_and_divide_no_group(
    name: str, options: dict[str, str], made: Callable[[str], Path]
) -> None:
    for seed in range(8):
        source = build(name, made(name), split_seed=seed, **options)
        entries = source.index()
        agree(source, entries, source.splits(entries))


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_real_splits_are_disjoint_and_divide_no_group(
    name: str, made: Callable[[str], Path]
) -> None:
    source = build(name, made(name))
    entries = source.index()
    agree(source, entries, source.splits(entries))


def agree(source: Source, entries: list[Entry], splits: dict[str, list[str]]) -> None:
    group = {entry.id: entry.group for entry in entries}
    listed = [id for ids in splits.values() for id in ids]
    assert len(set(listed)) == len(listed) and set(listed) <= set(group)
    assert {"train", "test"} <= set(splits) <= {"train", "val", "test"}
    assert all(splits.values())
    if not source.divides_groups():
        groups = [{group[id] for id in ids} for ids in splits.values()]
        assert sum(map(len, groups)) == len(set.union(*groups))


@pytest.mark.parametrize(("name", "options"), SPLITS, ids=SPLIT_IDS)
def test_a_split_follows_from_its_seed(
    name: str, options: dict[str, str], made: Callable[[str], Path]
) -> None:
    def split(seed: int) -> dict[str, list[str]]:
        source = build(name, made(name), split_seed=seed, **options)
        return source.splits(source.index())

    assert split(0) == split(0)
    others = [split(seed) for seed in range(1, 8)]
    if options == {"split": "official"}:  # as its authors made it
        assert all(other == split(0) for other in others)
    else:
        assert any(other != split(0) for other in others)


# Loading


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


@pytest.mark.parametrize("name", CASES)
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
def test_the_card_can_be_read(name: str) -> None:
    options = options_of(name, Path("somewhere"))
    text = describe(CASES[name].module, options)
    assert options.name in text and CASES[name].module.ABOUT.licence in " ".join(text.split())


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
