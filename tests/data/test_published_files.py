"""Published datasets lose no image and no patient to how files are named, linked or listed."""

from pathlib import Path

import numpy as np
import png
import pytest
from PIL import Image
from support import camus_files, datasets, isic_files, lizard_files

from gradprom.data.base import Source
from gradprom.data.check import check
from gradprom.data.sources import camus, covid_ct, isic2018, lizard
from gradprom.errors import DataError

BOM = "\ufeff"


def camus_at(root: Path, **options: object) -> camus.Camus:
    return camus.build(camus.Options(root=str(root), **{"size": 16, **options}))


def covid_at(root: Path, **options: object) -> covid_ct.CovidCT:
    return covid_ct.build(covid_ct.Options(root=str(root), **{"size": 16, **options}))


def splits(source: Source) -> dict[str, list[str]]:
    return source.splits(source.index())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_a_list_of_another_editor_names_the_same_patients(tmp_path: Path, encoding: str) -> None:
    root = camus_files.new_layout(tmp_path)
    expected = splits(camus_at(root, split="official"))
    for path in (root / "database_split").glob("subgroup_*.txt"):
        path.write_bytes(path.read_text().replace("\n", "\r\n").encode(encoding))
    assert splits(camus_at(root, split="official")) == expected


def test_what_is_no_patient_is_shown(tmp_path: Path) -> None:
    root = camus_files.new_layout(tmp_path)
    path = root / "database_split" / "subgroup_training.txt"
    path.write_bytes(f"{BOM}{BOM}patient0001\npatient0002\u200b\n".encode() + b"caf\xe9\n")
    with pytest.raises(DataError) as caught:
        splits(camus_at(root, split="official"))
    told = str(caught.value)
    assert "subgroup_training.txt: " in told and "is no patient" in told
    told.encode()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_a_list_finds_its_files(tmp_path: Path, encoding: str) -> None:
    root = datasets.covid_ct_folder(tmp_path)
    expected = splits(covid_at(root, split="official"))
    for path in (root / "Data-split").rglob("*.txt"):
        path.write_bytes(path.read_text().encode(encoding))
    assert splits(covid_at(root, split="official")) == expected


def test_an_invisible_character_shows_in_the_message(tmp_path: Path) -> None:
    root = datasets.covid_ct_folder(tmp_path)
    path = root / "Data-split" / "COVID" / "trainCT_COVID.txt"
    path.write_text(path.read_text().replace(".png", "\u200b.png", 1), "utf-8")
    with pytest.raises(DataError, match=r"\\u200b\.png does not exist"):
        splits(covid_at(root, split="official"))


def test_capitals_in_isic_are_the_same_images(tmp_path: Path) -> None:
    root = isic_files.isic_folder(tmp_path)
    source = isic2018.build(isic2018.Options(root=str(root), size=16))
    before = [(entry.id, entry.label) for entry in source.index()]
    for number in (0, 3, 10):
        id = isic_files.isic_id(number)
        image, mask = root / isic_files.INPUT / f"{id}.jpg", root / isic_files.TRUTH
        image.rename(image.with_suffix(".JPG"))
        (mask / f"{id}_segmentation.png").rename(mask / f"{id}_Segmentation.PNG")
    assert [(entry.id, entry.label) for entry in source.index()] == before
    assert check(source, tmp_path / "cache").problems == []


def test_capitals_in_lizard_are_the_same_images(tmp_path: Path) -> None:
    root = lizard_files.lizard_folder(tmp_path)
    source = lizard.build(lizard.Options(root=str(root), size=32))
    before = [entry.id for entry in source.index()]
    for path in [*root.glob("lizard_images*/*/*.png")]:
        path.rename(path.with_suffix(".PNG"))
    assert [entry.id for entry in source.index()] == before


def test_files_of_isic_that_are_not_read_are_named(tmp_path: Path) -> None:
    root = isic_files.isic_folder(tmp_path)
    Image.new("L", (4, 4)).save(root / isic_files.INPUT / "ISIC_0000000_superpixels.png")
    Image.new("L", (4, 4)).save(root / isic_files.TRUTH / "ISIC_0009999_segmentation.png")
    source = isic2018.build(isic2018.Options(root=str(root), size=16))
    notes = " ".join(source.notes(source.index()))
    assert "ISIC_0000000_superpixels.png" in notes and "ISIC_0009999_segmentation" in notes


MADE = {
    "isic": (
        lambda folder: isic2018.build(isic2018.Options(root=str(isic_files.isic_folder(folder)))),
        "*/ISIC_0000003.jpg",
    ),
    "covid": (lambda folder: covid_at(datasets.covid_ct_folder(folder)), "**/CT_COVID/*.png"),
    "camus": (lambda folder: camus_at(camus_files.new_layout(folder)), "**/*_2CH_ED.nii.gz"),
    "lizard": (
        lambda folder: lizard.build(
            lizard.Options(root=str(lizard_files.lizard_folder(folder)), size=32)
        ),
        "*1/*/*.png",
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_links_to_nothing_are_refused_by_name(tmp_path: Path, name: str) -> None:
    make, pattern = MADE[name]
    source = make(tmp_path)
    path = sorted(Path(source.options.root).glob(pattern))[0]
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=path.name):
        source.index()


def test_a_patient_without_a_frame_is_noted(tmp_path: Path) -> None:
    source = camus_at(camus_files.new_layout(tmp_path))
    path = source.index()[0].files[0]
    path.unlink()
    assert any(path.name.split(".")[0] in note for note in source.notes(source.index()))


def test_deep_colours_are_not_read_as_eight_bits(tmp_path: Path) -> None:
    source = covid_at(datasets.covid_ct_folder(tmp_path))
    entry = source.index()[0]
    with entry.files[0].open("wb") as stream:
        png.Writer(4, 4, greyscale=False, bitdepth=16).write(stream, np.full((4, 12), 4095))
    with pytest.raises(ValueError, match="16-bit RGB, expected 8 bits"):
        source.decode(entry)
