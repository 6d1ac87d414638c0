"""CAMUS is read alike from both of its layouts, and wrong files are named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import camus_files, datasets
from support.camus_source import LAYOUTS, source

from gradprom.data.base import Entry
from gradprom.data.check import check
from gradprom.data.images import load
from gradprom.data.sources import camus
from gradprom.errors import DataError


def by_id(data: camus.Camus, id: str) -> Entry:
    (entry,) = [entry for entry in data.index() if entry.id == id]
    return entry


def test_facts_need_no_file() -> None:
    facts = camus.facts(camus.Options(root="/nowhere"))
    assert (facts.channels, facts.classes) == (1, ())
    assert facts.mask_classes == ("background", "endocardium")


def test_index_has_four_frames_a_patient_and_no_sequences(old: Path) -> None:
    entries = source(old).index()
    assert [entry.id for entry in entries[:5]] == [
        "patient0001_2CH_ED",
        "patient0001_2CH_ES",
        "patient0001_4CH_ED",
        "patient0001_4CH_ES",
        "patient0002_2CH_ED",
    ]
    assert len(entries) == 24 and entries[4].group == "patient0002"
    assert {entry.label for entry in entries} == {None}


def test_both_layouts_give_the_same_arrays_and_splits(old: Path, new: Path) -> None:
    one, other = source(old), source(new)
    pairs = list(zip(one.index(), other.index(), strict=True))
    for first, second in pairs:
        assert (first.id, first.group, first.label) == (second.id, second.group, second.label)
        a, b = one.decode(first), other.decode(second)
        assert a.keys() == b.keys() == {"target", "mask"}
        for name in a:
            assert a[name].dtype == b[name].dtype == np.uint8
            np.testing.assert_array_equal(a[name], b[name])
    assert one.splits(one.index()) == other.splits(other.index())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_decode_is_upright_and_keeps_the_cavity_alone(tmp_path: Path, layout: str) -> None:
    data = source(LAYOUTS[layout](tmp_path), size=48)
    sample = data.decode(by_id(data, "patient0003_2CH_ES"))
    image, mask = camus_files.frame(31, 74, 116)
    assert sample["target"].shape == (1, 48, 48) and sample["mask"].shape == (48, 48)
    coarse, expected = (
        np.asarray(Image.fromarray(pixels).resize((6, 6), Image.BOX)).astype(int)
        for pixels in (sample["target"][0], image)
    )
    assert np.abs(coarse - expected).max() < 8 < np.abs(coarse.T - expected).max()
    assert set(np.unique(sample["mask"])) == {0, 1}
    # Oracle: the nearest pixel to each output pixel's centre.
    rows = ((np.arange(48) + 0.5) * 116 / 48).astype(int)
    columns = ((np.arange(48) + 0.5) * 74 / 48).astype(int)
    np.testing.assert_array_equal(sample["mask"], mask[np.ix_(rows, columns)] == 1)


def test_frames_at_their_own_size_are_not_changed(old: Path) -> None:
    square = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    data = source(old)
    entry = by_id(data, "patient0001_2CH_ED")
    for file, pixels in zip(entry.files[:2], (square, square % 4), strict=True):
        file.write_bytes(pixels.tobytes())
        camus_files.write_header(file.with_suffix(".mhd"), 32, 32)
    sample = data.decode(entry)
    np.testing.assert_array_equal(sample["target"][0], square)
    np.testing.assert_array_equal(sample["mask"], square % 4 == 1)


def test_of_both_layouts_the_newer_one_is_read(old: Path, new: Path) -> None:
    shutil.copytree(new / "database_nifti", old / "database_nifti")
    assert all(file.suffix == ".gz" for e in source(old).index() for file in e.files)


def test_a_file_named_like_a_patient_is_none(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "patients.csv").write_text("of another dataset")
    with pytest.raises(DataError, match="CAMUS was not found"):
        source(tmp_path).index()


def test_packed_patients_say_how_to_unpack(old: Path) -> None:
    shutil.rmtree(old / "training")
    (old / "training.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=f"\n  unzip -d '{old}' '{old / 'training.zip'}'$"):
        source(old).index()


def test_every_missing_file_is_named(old: Path) -> None:
    folder = old / "training"
    gone = [
        folder / "patient0001" / "patient0001_2CH_ED.raw",
        folder / "patient0002" / "patient0002_4CH_ES_gt.raw",
        folder / "patient0003" / "patient0003_2CH_ES_gt.mhd",
    ]
    for file in gone:
        file.unlink()
    (folder / "patient0099").mkdir()
    with pytest.raises(DataError, match="4 files of CAMUS are missing") as caught:
        source(old).index()
    text = str(caught.value)
    assert all(f"{file}: does not exist" in text for file in gone)
    assert f"{folder / 'patient0099'}: no patient0099_" in text
    assert "sequence" not in text


def test_a_missing_nifti_mask_is_named(new: Path) -> None:
    mask = new / "database_nifti" / "patient0004" / "patient0004_4CH_ED_gt.nii.gz"
    mask.unlink()
    with pytest.raises(DataError, match=f"{mask}: does not exist"):
        source(new).index()


@pytest.mark.parametrize(
    "old_text, new_text, message",
    [
        ("CompressedData = False", "CompressedData = True", "compressed MetaImage data, expected"),
        ("MET_UCHAR", "MET_SHORT", "ElementType = MET_SHORT, expected MET_UCHAR"),
        ("ElementType = MET_UCHAR\n", "", "ElementType = None, expected MET_UCHAR"),
        ("_2CH_ED.raw", "_2CH_ES.raw", "ElementDataFile = patient0001_2CH_ES.raw, expected"),
        ("55  78     1", "55  78     18", "DimSize = 55 78 18, expected width, height and 1"),
        ("55  78     1", "55", "DimSize = 55, expected"),
        ("55  78     1", "55 x 1", "DimSize = 55 x 1, expected"),
        ("55  78     1", "55  79     1", "4290 bytes, its header says 55×79 pixels"),
    ],
)
def test_other_headers_are_refused(old: Path, old_text: str, new_text: str, message: str) -> None:
    data = source(old)
    entry = by_id(data, "patient0001_2CH_ED")
    header = entry.files[0].with_suffix(".mhd")
    text = header.read_text()
    assert old_text in text
    header.write_text(text.replace(old_text, new_text))
    with pytest.raises(ValueError, match=message) as caught:
        data.decode(entry)
    assert "patient0001_2CH_ED." in str(caught.value)


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((55, 78, 3), np.uint8), r"shape \(55, 78, 3\), expected \(width, height\)"),
        (np.full((55, 78), 0.5, np.float32), "float32 values, expected whole numbers"),
        (np.full((55, 78), 300, np.int16), "int16 values, expected whole numbers from 0 to 255"),
        (np.full((55, 78), np.nan, np.float32), "float32 values, expected whole numbers"),
    ],
)
def test_other_nifti_arrays_are_refused(new: Path, array: np.ndarray, message: str) -> None:
    data = source(new)
    entry = by_id(data, "patient0001_2CH_ED")
    camus_files.write_nifti(entry.files[0], array)
    with pytest.raises(ValueError, match=f"patient0001_2CH_ED.nii.gz: .*{message}"):
        data.decode(entry)


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_whole_numbers_of_another_type_and_a_third_axis_of_one_do_no_harm(
    new: Path, kind: type
) -> None:
    data = source(new)
    entry = by_id(data, "patient0001_2CH_ED")
    before = data.decode(entry)["target"]
    image, _ = camus_files.frame(10, 55, 78)
    camus_files.write_nifti(entry.files[0], image.T[:, :, None].astype(kind))
    np.testing.assert_array_equal(data.decode(entry)["target"], before)


def test_masks_that_do_not_fit_are_refused(old: Path) -> None:
    data = source(old)
    entry = by_id(data, "patient0001_2CH_ED")
    mask = entry.files[1]
    mask.write_bytes(bytes([0, 4] * (55 * 78 // 2)))
    with pytest.raises(ValueError, match="ED_gt.raw: mask value 4, expected 0..3"):
        data.decode(entry)
    camus_files.write_header(mask.with_suffix(".mhd"), 78, 55)
    with pytest.raises(ValueError, match="ED_gt.raw: mask 78×55 pixels, its image has 55×78"):
        data.decode(entry)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_unreadable_files_are_listed_at_once(tmp_path: Path, layout: str) -> None:
    data = source(LAYOUTS[layout](tmp_path))
    entries = data.index()
    broken = [entries[0].files[0], entries[5].files[1], entries[9].files[0]]
    broken[0].write_bytes(b"")
    broken[1].write_bytes(broken[1].read_bytes()[:-100])
    broken[2].write_bytes(b"no image at all")
    with pytest.raises(DataError, match="3 of 24 images of camus cannot be read") as caught:
        load(data, tmp_path / "cache")
    assert all(str(file) in str(caught.value) for file in broken)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_data_check(tmp_path: Path, layout: str) -> None:
    report = check(source(LAYOUTS[layout](tmp_path)), tmp_path / "cache")
    assert report.notes == ["6 of 500 patients"]
    assert 0.02 < report.mask_share["endocardium"] < 0.5


@pytest.mark.realdata
def test_real_frames(tmp_path: Path) -> None:
    images = load(source(datasets.real_data("CAMUS"), size=64), tmp_path)
    assert images.target.shape == (20, 1, 64, 64)
    assert images.groups == [f"patient{n:04d}" for n in range(1, 6) for _ in range(4)]
    assert images.mask is not None and images.mask.unique().tolist() == [0, 1]
    share = images.mask.float().mean((1, 2))  # the cavity fills a plausible part of each frame
    assert 0.02 < share.min() and share.max() < 0.3
    assert len(images.splits["train"]) == 16 and len(images.splits["test"]) == 4
    report = check(source(datasets.real_data("CAMUS"), size=64), tmp_path)
    assert report.problems == [] and report.notes == ["5 of 500 patients"]


@pytest.mark.realdata
def test_real_frames_are_the_same_as_nifti(tmp_path: Path) -> None:
    root = datasets.real_data("CAMUS")
    data = source(root, size=64)
    entries = data.index()[:4]
    for entry in entries:
        folder = tmp_path / "database_nifti" / entry.group
        folder.mkdir(parents=True, exist_ok=True)
        for header in entry.files[2:]:
            sizes = [line for line in header.read_text().splitlines() if "DimSize" in line]
            width, height, _ = map(int, sizes[0].split("=")[1].split())
            pixels = np.fromfile(header.with_suffix(".raw"), np.uint8).reshape(height, width)
            camus_files.write_nifti(folder / f"{header.stem}.nii.gz", pixels.T)
    other = source(tmp_path, size=64)
    for first, second in zip(entries, other.index(), strict=True):
        for name, array in data.decode(first).items():
            np.testing.assert_array_equal(array, other.decode(second)[name])
