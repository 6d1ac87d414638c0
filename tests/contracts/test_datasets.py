"""Every dataset knows its facts and options without files, and lists what its facts say."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from support import tiny_runs
from support.dataset_cases import (
    CASES,
    ELSEWHERE,
    EVERY,
    PUBLISHED,
    SIZED,
    WITH_FILES,
    build,
    options_of,
    splits_of,
)

from gradprom.data.dataset_card import describe
from gradprom.errors import DataError


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


@pytest.mark.parametrize("name", CASES)
def test_options_that_came_later_leave_the_data_of_older_records_as_they_were(name: str) -> None:
    source = build(name, Path("here"))
    later = {
        field.name
        for field in dataclasses.fields(source.options)
        if "before" in field.metadata
        and getattr(source.options, field.name) == field.metadata["before"]
    }
    # stored keys of folders have held their range for longer than this has been a rule
    assert not (later - {"range"}) & set(source.decode_options())


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


# The card


@pytest.mark.parametrize("name", CASES)
def test_the_card_can_be_read(name: str) -> None:
    options = options_of(name, Path("somewhere"))
    text = describe(CASES[name].module, options)
    assert options.name in text and CASES[name].module.ABOUT.licence in " ".join(text.split())
