import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import datasets
from support import isic_files as made

from gradprom.data.check import check
from gradprom.data.images import load
from gradprom.data.sources import isic2018
from gradprom.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made.isic_folder(tmp_path)


def source(root: Path, **options: object) -> isic2018.ISIC2018:
    return isic2018.build(isic2018.Options(root=str(root), **{"size": 16, **options}))


def mask_file(root: Path, number: int) -> Path:
    return root / made.TRUTH / f"{made.isic_id(number)}_segmentation.png"


def labels(root: Path) -> dict[str, int | None]:
    return {entry.id: entry.label for entry in source(root).index()}


def test_facts_need_no_file() -> None:
    facts = isic2018.facts(isic2018.Options(root="/nowhere"))
    assert facts.channels == 3
    assert facts.classes == ("nevus", "melanoma", "seborrheic keratosis")
    assert facts.mask_classes == ("background", "lesion")


def test_index_pairs_images_masks_and_labels(root: Path) -> None:
    entries = source(root).index()
    assert [entry.id for entry in entries] == [made.isic_id(number) for number in made.ISIC]
    for entry, kinds in zip(entries, made.ISIC.values(), strict=True):
        expected = {None: None, (0, 0): 0, (1, 0): 1, (0, 1): 2}[kinds]
        assert (entry.label, entry.group) == (expected, entry.id)
        assert [file.name for file in entry.files] == [
            f"{entry.id}.jpg",
            f"{entry.id}_segmentation.png",
        ]


def test_labels_may_lie_beside_the_images_or_be_missing(root: Path) -> None:
    before = labels(root)
    for table in (root / "labels").iterdir():
        shutil.move(table, root / table.name)
    assert labels(root) == before
    (root / made.VALIDATION_2017).unlink()
    (root / made.TRAINING_2017).unlink()
    assert set(labels(root).values()) == {None}


@pytest.mark.parametrize("place", ["labels", made.TASK3, "."])
def test_task_3_labels_count_where_ids_match(root: Path, place: str) -> None:
    before = labels(root)
    kinds = {12: "MEL", 13: "NV", 14: "BKL", 16: "VASC", 10: "BKL", 7: "MEL", 4000: "NV"}
    made.task3_table(root / place / f"{made.TASK3}.csv", kinds)
    assert labels(root) == {**before, made.isic_id(12): 1, made.isic_id(13): 0}


def test_wrong_labels_are_listed_together(root: Path) -> None:
    made.task3_table(root / f"{made.TASK3}.csv", {0: "MEL", 12: "none"})
    table = root / "labels" / made.TRAINING_2017
    text = table.read_text().replace(f"{made.isic_id(1)},0.0,0.0", f"{made.isic_id(1)},1.0,1.0")
    table.write_text(text.replace(f"{made.isic_id(3)},0.0,0.0", f"{made.isic_id(3)},?,0.5"))
    with pytest.raises(DataError, match="4 labels of ISIC 2018 are wrong") as caught:
        source(root).index()
    for offender in (
        f"{made.isic_id(0)} has another class here than before",
        f"{made.isic_id(1)}: 1.0,1.0 names no single class",
        f"{made.isic_id(3)}: ?,0.5 names no single class",
        f"{made.isic_id(12)}: 0.0,0.0,0.0,0.0,0.0,0.0,0.0 names no single class",
    ):
        assert offender in str(caught.value)


def test_a_table_without_the_column_is_named(root: Path) -> None:
    table = root / "labels" / made.TRAINING_2017
    table.write_text(table.read_text().replace("melanoma", "mel", 1))
    with pytest.raises(DataError, match="lacks the column melanoma; it has: image_id, mel, seb"):
        source(root).index()


def test_an_empty_table_is_named(root: Path) -> None:
    (root / "labels" / made.TRAINING_2017).write_text("")
    with pytest.raises(DataError, match=f"{made.TRAINING_2017} is empty"):
        source(root).index()


def test_decode_gives_the_image_and_a_mask_of_classes(root: Path) -> None:
    data = source(root)
    for entry in data.index():
        sample = data.decode(entry)
        assert sample["target"].shape == (3, 16, 16) and sample["target"].dtype == np.uint8
        assert sample["mask"].shape == (16, 16) and sample["mask"].dtype == np.uint8
        assert np.unique(sample["mask"]).tolist() == [0, 1]
        image = Image.open(entry.files[0]).resize((16, 16), Image.Resampling.BOX)
        expected = np.asarray(image).transpose(2, 0, 1).astype(int)
        assert np.abs(sample["target"] - expected).mean() < 6
        # The lesion is darker than the skin: image and mask show the same place.
        grey = sample["target"].mean(0)
        assert grey[sample["mask"] == 1].mean() < grey[sample["mask"] == 0].mean() - 60


@pytest.mark.parametrize("mode", ["L", "1"])
def test_a_mask_is_not_blurred_by_resizing(root: Path, mode: str) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 16:] = 255
    Image.fromarray(mask).convert(mode).save(mask_file(root, 0))
    data = source(root, size=8)
    assert data.decode(data.index()[0])["mask"].tolist() == [[0] * 4 + [1] * 4] * 8


def test_missing_masks_are_all_named(root: Path) -> None:
    for number in (3, 12):
        mask_file(root, number).unlink()
    with pytest.raises(DataError, match="2 of 15 images have no mask") as caught:
        source(root).index()
    named = str(caught.value).splitlines()
    assert str(mask_file(root, 3).parent) in named[0]
    assert [line.strip() for line in named[1:]] == [mask_file(root, n).name for n in (3, 12)]


def test_masks_that_cannot_be_used_are_all_named(root: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((32, 31), np.uint8)).save(mask_file(root, 0))
    Image.fromarray(np.ones((32, 32), np.uint8)).save(mask_file(root, 4))
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(mask_file(root, 6))
    mask_file(root, 8).write_bytes(b"")
    with pytest.raises(DataError, match="4 of 15 images") as caught:
        load(source(root), tmp_path / "cache")
    for offender in (
        f"{mask_file(root, 0)}: the mask has 31×32 pixels, its image 32×32",
        f"{mask_file(root, 4)}: mask values 1, expected 0, 255",
        f"{mask_file(root, 6)}: RGB, expected a mask of one channel",
        f"{mask_file(root, 8)}: empty file",
    ):
        assert offender in str(caught.value)


def test_paper_split_is_stratified(root: Path) -> None:
    data = source(root)
    entries = data.index()
    splits = data.splits(entries)
    label = {entry.id: entry.label for entry in entries}
    test = Counter(label[id] for id in splits["test"])  # 20 % of 5, 3, 2 and 5 unlabelled
    assert len(splits["test"]) == 3 and test[0] == test[None] == 1


def test_data_check_says_how_many_are_labelled(root: Path, tmp_path: Path) -> None:
    report = check(source(root), tmp_path / "cache")
    assert report.problems == []
    assert report.counts["all"] == {
        "nevus": 5, "melanoma": 3, "seborrheic keratosis": 2, "not labelled": 5,
    }  # fmt: skip
    text = report.text()
    assert "10 of 15 images are labelled (5 nevus, 3 melanoma, 2 seborrheic keratosis)" in text
    assert "15 images; the published dataset has 2594" in text


def test_each_table_that_fits_no_image_is_a_problem(root: Path, tmp_path: Path) -> None:
    table = root / "labels" / made.TRAINING_2017
    table.write_text(table.read_text().replace("ISIC_", "isic_"))
    [problem] = check(source(root), tmp_path / "cache").problems
    assert problem.startswith(f"{table}: none of its 8 rows is of an image here: its ids are isic_")
    table.write_text(table.read_text().replace("isic_", "ISIC_"))
    made.task3_table(root / "labels" / f"{made.TASK3}.csv", {9000: "MEL"})  # fits none, by design
    assert check(source(root), tmp_path / "cache").problems == []


def test_tables_are_found_whatever_the_case_of_their_names(root: Path) -> None:
    expected = [entry.label for entry in source(root).index()]
    table = root / "labels" / made.TRAINING_2017
    table.rename(table.with_name(table.name.lower()))
    assert [entry.label for entry in source(root).index()] == expected


def test_packed_images_say_how_to_unpack(root: Path) -> None:
    shutil.rmtree(root / made.INPUT)
    (root / f"{made.INPUT}.zip").write_bytes(b"PK")
    with pytest.raises(DataError) as caught:
        source(root.parent).index()
    assert f"unzip -d '{root}' '{root / made.INPUT}.zip'" in str(caught.value)


def test_an_empty_image_folder_is_an_error(root: Path) -> None:
    for file in (root / made.INPUT).glob("*.jpg"):
        file.unlink()
    with pytest.raises(DataError, match="Training_Input holds no images"):
        source(root).index()


@pytest.mark.realdata
def test_real_counts() -> None:
    data = source(datasets.real_data("ISIC2018"))
    entries = data.index()
    assert len(entries) == 2594
    count = Counter(entry.label for entry in entries)
    assert count == {0: 1379, 1: 382, 2: 160, None: 2594 - 1921}
    assert data.notes(entries) == [
        "1921 of 2594 images are labelled (1379 nevus, 382 melanoma, 160 seborrheic keratosis); "
        "diagnosis leaves the others out"
    ]
    splits = data.splits(entries)
    assert (len(splits["train"]), len(splits["test"])) == (2075, 519)
    label = {entry.id: entry.label for entry in entries}
    test = Counter(label[id] for id in splits["test"])
    assert all(abs(test[kind] - count[kind] * 519 / 2594) < 1 for kind in count)


@pytest.mark.realdata
def test_real_images_decode() -> None:
    data = source(datasets.real_data("ISIC2018"), size=32)
    for entry in data.index()[::100]:
        sample = data.decode(entry)
        assert sample["target"].shape == (3, 32, 32) and np.ptp(sample["target"]) > 30
        assert set(np.unique(sample["mask"])) <= {0, 1}
