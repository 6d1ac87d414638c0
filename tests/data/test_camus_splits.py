"""CAMUS is split by patient and quality, or as its authors' lists say."""

from pathlib import Path

import pytest
from support import datasets
from support.camus_source import LAYOUTS, source

from gradprom.data.base import Entry
from gradprom.data.sources import camus
from gradprom.errors import DataError


def patients(ids: list[str]) -> set[int]:
    return {int(id[7:11]) for id in ids}


def test_quality_is_that_of_the_worse_view(old: Path) -> None:
    folders = sorted((old / "training").iterdir())
    assert [camus.quality(folder) for folder in folders] == [2, 1, 1, 2, 0, 0]
    for info in folders[0].glob("Info_*.cfg"):
        info.unlink()
    assert camus.quality(folders[0]) is None


def test_paper_split_tests_a_patient_and_needs_no_info(old: Path) -> None:
    data = source(old)
    parts = data.splits(data.index())
    assert len(parts["train"]) == 20 and len(parts["test"]) == 4  # 50 of 500, at least one
    for info in old.rglob("Info_*.cfg"):
        info.unlink()
    assert len(data.splits(data.index())["test"]) == 4


def test_paper_split_has_the_qualities_in_proportion(tmp_path: Path) -> None:
    entries = []
    for number in range(500):  # as many of each as the paper counts: 406 and 94 poor ones
        folder = tmp_path / f"patient{number:04d}"
        folder.mkdir()
        quality = "Poor" if number < 94 else "Medium" if number < 300 else "Good"
        (folder / "Info_2CH.cfg").write_text(f"ImageQuality: {quality}\n")
        entries.append(Entry(f"{folder.name}_2CH_ED", folder.name, None, (folder / "x",)))
    parts = source(tmp_path).splits(entries)
    assert (len(parts["train"]), len(parts["test"])) == (450, 50)
    poor = sum(number < 94 for number in patients(parts["test"]))
    assert poor in (9, 10)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_official_split_follows_the_lists(tmp_path: Path, layout: str) -> None:
    data = source(LAYOUTS[layout](tmp_path), split="official")
    parts = data.splits(data.index())
    numbers = {part: patients(ids) for part, ids in parts.items()}
    assert numbers == {"train": {1, 2, 7}, "val": {3}, "test": {4, 12}}
    assert {part: len(ids) for part, ids in parts.items()} == {"train": 12, "val": 4, "test": 8}


def test_official_split_lists_every_offender(old: Path) -> None:
    lists = old / "database_split"
    (lists / "subgroup_validation.txt").unlink()
    (lists / "subgroup_testing.txt").write_text("patient0300\npatient0301\n")
    with (lists / "subgroup_training.txt").open("a") as file:
        file.write("patient0300\n")
    data = source(old, split="official")
    with pytest.raises(DataError) as caught:
        data.splits(data.index())
    text = str(caught.value)
    assert f"{lists / 'subgroup_validation.txt'}: no such list" in text
    assert "patient0300: listed 2 times" in text
    assert f"{lists / 'subgroup_testing.txt'}: none of its 2 patients is on disk" in text


@pytest.mark.realdata
def test_real_lists_say_that_no_test_patient_is_there() -> None:
    data = source(datasets.real_data("CAMUS"), split="official")
    with pytest.raises(DataError, match="testing.txt: none of its 50 patients is on disk"):
        data.splits(data.index())
