import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import datasets, lizard_files
from support.lizard_files import PICTURES, nuclei_of

from gradprom.data import tiling
from gradprom.data.base import Entry
from gradprom.data.check import check
from gradprom.data.images import load
from gradprom.data.sources import lizard
from gradprom.errors import DataError

LABELS = Path("lizard_labels", "Lizard_Labels")
SEED = {picture.name: seed for seed, picture in enumerate(PICTURES)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lizard_files.lizard_folder(tmp_path)


def source(root: Path, **options: object) -> lizard.Lizard:
    return lizard.build(lizard.Options(root=str(root), **{"size": 32, **options}))


def nuclei(name: str) -> lizard_files.Nuclei:
    return nuclei_of(PICTURES[SEED[name]], SEED[name])


def corner(entry: Entry) -> tuple[int, int]:
    _, top, left = entry.id.split("/")
    return int(top), int(left)


def images(ids: list[str]) -> set[str]:
    return {id.split("/")[0] for id in ids}


def test_facts_need_no_file() -> None:
    facts = lizard.facts(lizard.Options(root="/nowhere"))
    assert facts.channels == 3 and len(facts.classes) == 6
    assert facts.mask_classes == ("background", *facts.classes)
    assert (facts.mask_classes[1], facts.mask_classes[6]) == ("neutrophil", "connective")


@pytest.mark.parametrize(
    "length, starts",
    [(31, []), (32, [0]), (33, [0, 1]), (64, [0, 32]), (65, [0, 32, 33]), (100, [0, 32, 64, 68])],
)
def test_tiles_cover_a_side_and_never_leave_it(length: int, starts: list[int]) -> None:
    assert tiling.tiles(length, 32) == starts


def test_index_has_the_tiles_of_each_image_in_one_group(root: Path) -> None:
    entries = source(root).index()
    count = Counter(entry.group for entry in entries)
    assert count == {
        "consep_1": 4, "crag_1": 12, "crag_10": 9, "crag_2": 9, "dpath_1": 6, "dpath_2": 6,
        "dpath_3": 6, "glas_1": 6, "pannuke_1": 4,
    }  # fmt: skip
    assert all(entry.id.split("/")[0] == entry.group for entry in entries)
    assert list(count) == sorted(count)
    assert [entry.id for entry in entries[:4]] == [
        "consep_1/0/0", "consep_1/0/32", "consep_1/32/0", "consep_1/32/32",
    ]  # fmt: skip


def test_hidden_files_are_no_images(root: Path) -> None:
    (root / "lizard_images1" / "Lizard_Images1" / "._crag_1.png").write_bytes(b"\0\1")
    assert "crag_1" in {entry.group for entry in source(root).index()}


def test_tiles_are_cut_where_their_id_says(root: Path) -> None:
    data = source(root)
    for entry in data.index():
        picture = PICTURES[SEED[entry.group]]
        target = data.decode(entry)["target"]
        assert target.shape == (3, 32, 32) and target.dtype == np.uint8
        top, left = corner(entry)
        assert top + 32 <= picture.size[1] and left + 32 <= picture.size[0]
        x, y = np.meshgrid(np.arange(left, left + 32), np.arange(top, top + 32))
        expected = np.stack([2 * x, 2 * y, np.full_like(x, 20 * SEED[entry.group])])
        off = np.abs(target.astype(int) - expected)
        if picture.mode == "P" or picture.format == "JPEG":  # stored with loss
            assert off.mean() < 20
        else:
            assert off.max() == 0


def test_masks_find_the_class_through_the_id(root: Path) -> None:
    data = source(root)
    shuffled = 0
    for entry in data.index():
        known = nuclei(entry.group)
        top, left = corner(entry)
        part = known.inst_map[top : top + 32, left : left + 32]
        expected = [[known.classes.get(int(id), 0) for id in row] for row in part]
        mask = data.decode(entry)["mask"]
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, expected)
        by_row = dict(enumerate(known.classes.values(), 1))
        shuffled += [[by_row.get(int(id), 0) for id in row] for row in part] != expected
    assert shuffled > 40  # the fixture would tell a reader that goes by row order


def test_labels_are_the_most_frequent_class_of_the_tile(root: Path) -> None:
    entries = source(root).index()
    for entry in entries:
        known = nuclei(entry.group)
        top, left = corner(entry)
        inside = [
            known.classes[id]
            for id, (x, y) in known.centroids.items()
            if left <= x < left + 32 and top <= y < top + 32
        ]
        count = Counter(inside)
        best = [value for value in count if count[value] == max(count.values())]
        assert entry.label == (min(best) - 1 if best else None)
    assert {e.label for e in entries if e.group == "crag_10"} == {None}  # no nuclei at all
    assert None in {e.label for e in entries if e.group == "glas_1"}  # one nucleus, six tiles
    assert len({entry.label for entry in entries}) == 7


def test_official_split_follows_the_folds(root: Path) -> None:
    data = source(root, split="official")
    parts = {part: images(ids) for part, ids in data.splits(data.index()).items()}
    expected = {
        part: {p.name for p in PICTURES if p.fold in folds and p.name != "glas_2"}
        for part, folds in (("train", (1, 2)), ("test", (3,)))
    }
    assert parts == expected


def test_paper_split_has_the_collections_in_proportion(root: Path) -> None:
    sizes = {"dpath": 69, "crag": 64, "glas": 61, "pannuke": 28, "consep": 16}
    entries = [
        Entry(f"{name}_{number}/0/{left}", f"{name}_{number}", None, ())
        for name, count in sizes.items()
        for number in range(count)
        for left in (0, 32)
    ]
    parts = source(root).splits(entries)
    test = images(parts["test"])
    assert (len(images(parts["train"])), len(test)) == (180, 58)
    count = Counter(name.split("_")[0] for name in test)
    assert all(abs(count[name] - size * 58 / 238) < 1 for name, size in sizes.items())


def test_official_split_lists_every_offender(root: Path) -> None:
    table = root / LABELS / "info.csv"
    text = table.read_text().replace("crag_1,train_22,1", "crag_1,train_22,4")
    table.write_text(text.replace("pannuke_1,None,3", "pannuke_1,None,"))
    data = source(root, split="official")
    entries = data.index()
    with pytest.raises(DataError) as caught:
        data.splits(entries)
    assert "crag_1: Split '4'" in str(caught.value) and "pannuke_1: Split ''" in str(caught.value)
    assert "glas_1" not in str(caught.value)
    only = [entry for entry in entries if entry.group == "glas_1"]
    with pytest.raises(DataError, match="test: no image"):
        data.splits(only)


def test_every_unusable_image_is_named(root: Path) -> None:
    first, second = (root / f"lizard_images{n}" / f"Lizard_Images{n}" for n in (1, 2))
    labels = root / LABELS / "Labels"
    shutil.copy(first / "crag_1.png", first / "other_1.png")
    shutil.copy(first / "glas_1.png", second / "glas_1.png")
    (labels / "crag_2.mat").unlink()
    (labels / "dpath_1.mat").write_bytes(b"no labels at all, whatever its name says" * 9)
    (labels / "dpath_2.mat").write_bytes((labels / "dpath_3.mat").read_bytes()[:200])
    (labels / "dpath_3.mat").write_bytes(b"")
    (first / "consep_1.png").write_bytes(b"")
    lizard_files.write_labels(labels / "crag_1.mat", nuclei("crag_1"), centroid=None)
    with pytest.raises(DataError, match="8 images of Lizard cannot be used") as caught:
        source(root).index()
    text = str(caught.value)
    for offender in (
        f"{first / 'other_1.png'}: not in info.csv",
        f"{second / 'glas_1.png'}: a second image of this name",
        f"{labels / 'crag_2.mat'}: does not exist",
        f"{labels / 'dpath_1.mat'}: not readable as a MATLAB file",
        f"{labels / 'dpath_2.mat'}: ",
        f"{labels / 'dpath_3.mat'}: not readable as a MATLAB file",
        f"{first / 'consep_1.png'}",
        f"{labels / 'crag_1.mat'}: lacks centroid",
    ):
        assert offender in text


@pytest.mark.parametrize(
    "classes, message",
    [
        ([[1]] * 50, r"\d+ ids, 50 classes and \d+ centroids"),
        ([[7]], r"classes \[7\], expected 1..6"),
        ([[0]], r"classes \[0\], expected 1..6"),
    ],
)
def test_other_labels_are_refused(root: Path, classes: list[list[int]], message: str) -> None:
    known = nuclei("crag_1")
    if len(classes) == 1:
        classes *= len(known.classes)
    path = root / LABELS / "Labels" / "crag_1.mat"
    lizard_files.write_labels(path, known, **{"class": np.array(classes)})
    with pytest.raises(DataError, match=f"crag_1.mat: {message}"):
        source(root).index()


def test_maps_that_do_not_fit_are_listed_at_once(root: Path, tmp_path: Path) -> None:
    labels = root / LABELS / "Labels"
    crag, dpath = nuclei("crag_1"), nuclei("dpath_1")
    strange = np.where(crag.inst_map == next(iter(crag.classes)), 5000, crag.inst_map)
    lizard_files.write_labels(labels / "crag_1.mat", crag, inst_map=strange)
    lizard_files.write_labels(labels / "dpath_1.mat", dpath, inst_map=dpath.inst_map.T)
    deep = root / "lizard_images1" / "Lizard_Images1" / "consep_1.png"
    Image.fromarray(np.full((64, 64), 40000, np.uint16)).save(deep)
    with pytest.raises(DataError, match="22 of 62 images of lizard cannot be read") as caught:
        load(source(root), tmp_path / "cache")
    text = str(caught.value)
    assert "crag_1.mat: 1 instances without a class, such as 5000" in text
    assert r"dpath_1.mat: inst_map of shape (96, 64), its image has (64, 96)" in text
    assert "consep_1.png: 16-bit grey, expected 8 bits per channel" in text


def test_a_table_without_the_column_is_named(root: Path) -> None:
    table = root / LABELS / "info.csv"
    table.write_text(table.read_text().replace("Split", "Fold", 1))
    with pytest.raises(DataError, match="lacks the column Split; it has: Filename, Source, Fold"):
        source(root).index()


def test_packed_parts_say_how_to_unpack(root: Path) -> None:
    for part in ("lizard_images1", "lizard_images2", "lizard_labels"):
        shutil.rmtree(root / part)
        (root / f"{part}.zip").write_bytes(b"PK")
    with pytest.raises(DataError) as caught:
        source(root.parent).index()
    assert str(caught.value).splitlines()[1:] == [
        f"  unzip -d '{root / part}' '{root / part}.zip'"
        for part in ("lizard_labels", "lizard_images1", "lizard_images2")
    ]


def test_images_of_one_folder_will_do(root: Path) -> None:
    shutil.rmtree(root / "lizard_images2")
    data = source(root)
    assert {entry.group for entry in data.index()} == {
        "consep_1", "crag_1", "crag_2", "crag_10", "glas_1",
    }  # fmt: skip
    assert data.notes(data.index())[0] == "6 of 238 images"


def test_images_smaller_than_a_tile_are_left_out_and_told(root: Path) -> None:
    data = source(root)
    assert data.notes(data.index()) == [
        "10 of 238 images",
        "smaller than a tile and left out: glas_2",
    ]
    with pytest.raises(DataError, match="size=512: no image of Lizard is that large"):
        source(root, size=512).index()


def test_data_check(root: Path, tmp_path: Path) -> None:
    report = check(source(root), tmp_path / "cache")
    assert report.counts["all"]["not labelled"] >= 9
    assert report.mask_share["background"] > 0.5
    assert any(".png files are JPEG inside: dpath_1/0/0" in note for note in report.notes)


@pytest.mark.realdata
def test_real_table() -> None:
    known = lizard.folds(datasets.real_data("Lizard"))
    assert len(known) == 238
    assert Counter(known.values()) == {"1": 70, "2": 70, "3": 98}
    names = Counter(name.split("_")[0] for name in known)
    assert names == {"dpath": 69, "crag": 64, "glas": 61, "pannuke": 28, "consep": 16}
    entries = [Entry(f"{name}/0/0", name, None, ()) for name in known]
    parts = source(datasets.real_data("Lizard")).splits(entries)
    assert {part: len(ids) for part, ids in parts.items()} == {"train": 180, "test": 58}


@pytest.mark.realdata
def test_real_folder_without_images_says_what_is_missing() -> None:
    root = datasets.real_data("Lizard")
    with pytest.raises(DataError, match="Lizard was not found") as caught:
        source(root).index()
    assert f"\n  {root / 'lizard_images1/Lizard_Images1/*.png'}" in str(caught.value)
    assert f"\n  {root / LABELS / 'info.csv'}" not in str(caught.value)
