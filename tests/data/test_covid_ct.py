import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import datasets

from gradprom.data.base import Entry
from gradprom.data.check import check
from gradprom.data.images import load
from gradprom.data.sources import covid_ct
from gradprom.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return datasets.covid_ct_folder(tmp_path)


def source(root: Path, **options: object) -> covid_ct.CovidCT:
    return covid_ct.build(covid_ct.Options(root=str(root), **{"size": 16, **options}))


def by_name(entries: list[Entry], name: str) -> Entry:
    (entry,) = [entry for entry in entries if entry.files[0].name == name]
    return entry


def test_facts_need_no_file() -> None:
    facts = covid_ct.facts(covid_ct.Options(root="/nowhere"))
    assert (facts.channels, facts.classes, facts.mask_classes) == (1, ("non-COVID", "COVID"), ())


def test_index_has_names_with_percent_signs_and_patients(root: Path) -> None:
    entries = source(root).index()
    assert [entry.label for entry in entries] == [0] * 11 + [1] * 9
    entry = by_name(entries, "1%2.jpg")
    assert (entry.id, entry.group) == ("CT_NonCOVID/1%2.jpg", "crawled_patient_1")
    assert by_name(entries, "2020.03.22.20040782-p25-1542.png").group == "Patient 180"


def test_hidden_files_are_no_images(root: Path) -> None:
    (root / "Images-processed" / "CT_COVID" / ".DS_Store").write_bytes(b"\0\1")
    assert len(source(root).index()) == 20


def test_decode_gives_one_grey_channel_whatever_is_in_the_file(root: Path) -> None:
    data = source(root)
    for entry in data.index():
        target = data.decode(entry)["target"]
        assert target.shape == (1, 16, 16) and target.dtype == np.uint8
        # Grey images kept as RGB(A) or JPEG are still the same grey.
        box = Image.open(entry.files[0]).convert("RGB").convert("L").resize((16, 16), Image.BOX)
        assert np.abs(target[0].astype(int) - np.asarray(box)).mean() < 8


def test_shrinking_does_not_alias(root: Path) -> None:
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::2] = 255
    data = source(root)
    entry = data.index()[0]
    Image.fromarray(stripes).save(entry.files[0], format="PNG")
    assert np.ptp(data.decode(entry)["target"][0, :, 1:-1].astype(int)) <= 2


def test_sixteen_bit_images_are_refused(root: Path) -> None:
    data = source(root)
    entry = data.index()[0]
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(entry.files[0], format="PNG")
    with pytest.raises(ValueError, match="0.jpg: 16-bit grey, expected 8 bits"):
        data.decode(entry)


def test_official_split_follows_the_lists(root: Path) -> None:
    data = source(root, split="official")
    splits = data.splits(data.index())
    for part in ("train", "val", "test"):
        expected = {f"CT_NonCOVID/{s.name}" for s in datasets.NON_COVID if s.part == part}
        expected |= {f"CT_COVID/{s.name}" for s in datasets.COVID if s.part == part}
        assert set(splits[part]) == expected and len(splits[part]) == len(expected)


def test_official_split_lists_every_offender(root: Path) -> None:
    lists = root / "Data-split"
    (lists / "COVID" / "valCT_COVID.txt").unlink()
    with (lists / "NonCOVID" / "testCT_NonCOVID.txt").open("a") as file:
        file.write("gone.png\n9%9.jpg\n")
    data = source(root, split="official")
    entries = data.index()
    with pytest.raises(DataError) as caught:
        data.splits(entries)
    text = str(caught.value)
    for offender in (
        "valCT_COVID.txt: no such list",
        "CT_NonCOVID/gone.png",
        "CT_NonCOVID/9%9.jpg",
    ):
        assert offender in text


def test_paper_split_is_stratified(root: Path) -> None:
    data = source(root)
    entries = data.index()
    splits = data.splits(entries)
    assert len(splits["test"]) == 4 and len(splits["train"]) == 16  # 146 of 746, of 20
    assert sum(id.startswith("CT_COVID") for id in splits["test"]) == 2


def test_patient_split_needs_the_metadata_but_others_do_not(root: Path) -> None:
    (root / datasets.COVID_CSV).unlink()
    entries = source(root).index()
    entry = by_name(entries, "kjr-21-e24-p1-5%1.png")
    assert entry.group == entry.id
    assert source(root).splits(entries)
    assert source(root).notes(entries)[1] == "the patient of 9 images is not known"
    with pytest.raises(DataError, match=datasets.COVID_CSV):
        source(root, split="patient").splits(entries)


def test_patient_split_refuses_a_table_that_names_other_images(root: Path) -> None:
    table = root / datasets.NON_COVID_CSV
    table.write_text(table.read_text().replace(".jpg", "").replace(".png", ""))
    with pytest.raises(DataError) as caught:
        source(root, split="patient").splits(source(root).index())
    assert f"{table}: names none of the images: 0, 1%0 and 9 more; these are 0.jpg," in str(
        caught.value
    )


def test_a_table_without_the_column_is_named(root: Path) -> None:
    table = root / datasets.NON_COVID_CSV
    table.write_text(table.read_text().replace("patient id", "patient", 1))
    with pytest.raises(DataError, match="lacks the column patient id; it has: , image name, pat"):
        source(root).index()


def test_packed_images_say_how_to_unpack(root: Path) -> None:
    images = root / "Images-processed"
    for name in ("CT_COVID", "CT_NonCOVID"):
        shutil.rmtree(images / name)
        (images / f"{name}.zip").write_bytes(b"PK")
    with pytest.raises(DataError) as caught:
        source(root.parent).index()
    for name in ("CT_COVID", "CT_NonCOVID"):
        assert f"unzip -d '{images}' '{images / name}.zip'" in str(caught.value)


def test_an_empty_image_folder_is_an_error(root: Path) -> None:
    for file in (root / "Images-processed" / "CT_COVID").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="CT_COVID holds no images"):
        source(root).index()


def test_data_check_tells_of_the_traps(root: Path, tmp_path: Path) -> None:
    report = check(source(root), tmp_path / "cache")
    assert report.problems == []
    assert report.counts["all"] == {"non-COVID": 11, "COVID": 9}
    assert report.sizes == {"width": (25, 115), "height": (30, 90)}
    assert report.modes == {"RGB": 13, "RGBA": 3, "L": 4}
    assert report.formats == {"JPEG": 8, "PNG": 12}
    text = report.text()
    assert "20 images; the published dataset has 746" in text
    assert "3 .png files are JPEG inside: CT_NonCOVID/166.png" in text


def real(**options: object) -> covid_ct.CovidCT:
    return source(datasets.real_data("COVID-CT"), **{"size": 64, **options})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.realdata
@pytest.mark.parametrize(
    "split, expected",
    [
        ("official", {"train": (234, 191), "val": (58, 60), "test": (105, 98)}),
        ("paper", {"train": (319, 281), "test": (78, 68)}),
        ("patient", {"train": (319, 281), "test": (78, 68)}),
    ],
)
def test_real_counts(split: str, expected: dict[str, tuple[int, int]], cache: Path) -> None:
    images = load(real(split=split), cache)
    assert images.target.shape == (746, 1, 64, 64) and images.label is not None
    assert images.label.bincount().tolist() == [397, 349]
    counts = {name: images.label[rows].bincount() for name, rows in images.splits.items()}
    assert {name: tuple(count.tolist()) for name, count in counts.items()} == expected
    patients = [{images.groups[row] for row in rows} for rows in images.splits.values()]
    shared = sum(map(len, patients)) - len(set.union(*patients))
    assert shared == (69 if split == "paper" else 0)


@pytest.mark.realdata
def test_real_traps(cache: Path) -> None:
    report = check(real(), cache)
    assert report.problems == []
    assert report.modes == {"RGB": 528, "RGBA": 174, "L": 44}
    assert report.sizes == {"width": (115, 1671), "height": (61, 1225)}
    (misnamed,) = [note for note in report.notes if "inside" in note]
    assert misnamed.startswith("34 .png files are JPEG inside")
    assert any("patients) are in both train and test (as this" in note for note in report.notes)


@pytest.mark.realdata
def test_real_patients() -> None:
    data = real(split="patient")
    entries = data.index()
    assert all(entry.group != entry.id for entry in entries)
    group = {entry.id: entry.group for entry in entries}
    parts = data.splits(entries)
    assert not {group[id] for id in parts["train"]} & {group[id] for id in parts["test"]}


# patients as identities


@pytest.mark.parametrize("split", ["patient", "official"])
def test_patients_are_identities_that_no_split_divides(root: Path, split: str) -> None:
    data = source(root, identities=True, split=split)
    assert len(data.facts.further["identity"]) == covid_ct.PATIENTS
    entries = data.index()
    known = {entry.group for entry in entries if entry.group != entry.id}
    numbers = {(entry.group, entry.annotations.get("identity")) for entry in entries}
    assert {number for group, number in numbers if group in known} == set(range(len(known)))
    assert all((number is None) == (group not in known) for group, number in numbers)
    parts = data.splits(entries)
    shown = {
        split: {e.annotations.get("identity") for e in entries if e.id in set(ids)} - {None}
        for split, ids in parts.items()
    }
    assert shown["test"] and not shown["train"] & shown["test"]


def test_without_the_option_images_are_those_that_they_were(root: Path, tmp_path: Path) -> None:
    plain, identified = (source(root, split="patient", identities=on) for on in (False, True))
    assert not plain.facts.further and not any(entry.annotations for entry in plain.index())
    assert plain.splits(plain.index()) == identified.splits(identified.index())
    with pytest.raises(ValueError, match="dataset.identities=true needs a split that divides no"):
        covid_ct.Options(identities=True)
