import shutil
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image
from support import isic_files as made

from gradprom import config
from gradprom.data.check import check
from gradprom.data.images import load
from gradprom.data.sources import folder
from gradprom.errors import DataError
from gradprom.identity import digest

MASKS = {"masks": "masks", "mask_classes": ["background", "lesion", "ruler"]}
LABELS = {"labels": "labels.csv", "classes": ["benign", "malignant"]}
UNREAD = "images in folders below are not read (masks); dataset.subfolders=true reads them"
STEMS = sorted(Path(name).stem for name in made.OWN)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made.own_folder(tmp_path)


def source(root: Path, **options: object) -> folder.Folder:
    return folder.build(folder.Options(root=str(root), **{"size": 16, **options}))


def write_groups(root: Path, header: tuple[str, ...] = ("id", "label", "group")) -> None:
    row = {"id": "", "label": "benign", "group": ""}
    rows = [{**row, "id": s, "group": f"p{n // 2}"} for n, s in enumerate(STEMS)]
    made.write_csv(root / "labels.csv", [header, *([r[c] for c in header] for r in rows)])


def test_facts_need_no_file() -> None:
    facts = folder.facts(folder.Options(root="/nowhere", **MASKS, **LABELS))
    assert facts.channels == 3
    assert facts.classes == ("benign", "malignant")
    assert facts.mask_classes == ("background", "lesion", "ruler")
    facts = folder.facts(folder.Options(channels="grey"))
    assert (facts.channels, facts.classes, facts.mask_classes) == (1, (), ())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"size": 0}, "dataset.size=0: must be at least 1"),
        ({"test": 1.1}, "dataset.test=1.1: must be above 0 and at most 1"),
        ({"test": 0.0}, "dataset.test=0.0: must be above 0 and at most 1"),
        ({"title": "a/b"}, "dataset.title=a/b: must be a name"),
        ({"title": ".."}, "dataset.title=..: must be a name"),
        ({"channels": "bgr"}, "dataset.channels=bgr: must be one of grey, rgb"),
        ({"labels": "l.csv", "classes": ["a"]}, r"classes=\[a\]: must be none, or two"),
        ({"labels": "l.csv", "classes": ["a", "a"]}, r"classes=\[a,a\]: must be none, or two"),
        ({"masks": "m"}, "dataset.masks and dataset.mask_classes: set both or neither"),
        ({"mask_classes": ["a", "b"]}, "set both or neither"),
        ({"classes": ["a", "b"]}, "dataset.classes: needs dataset.labels"),
    ],
)
def test_wrong_options_say_what_is_allowed(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        folder.Options(**options)


def test_the_configuration_takes_it_from_the_command_line() -> None:
    config.register()
    conf = Path(__file__).resolve().parents[2] / "conf"
    words = [
        "dataset=folder", "data_root=mine", "dataset.masks=masks", "auxiliary=multitask",
        "dataset.mask_classes=[background,lesion]", "dataset.labels=labels.csv",
        "dataset.classes=[benign,malignant]",
    ]  # fmt: skip
    with initialize_config_dir(str(conf), version_base=None):
        loaded = config.load(compose("config", words))
    assert loaded.dataset.root == str(Path("mine").absolute()) and loaded.dataset.test == 0.2
    assert loaded.facts.mask_classes == ("background", "lesion")


def test_images_alone(root: Path) -> None:
    data = source(root)
    entries = data.index()
    assert [entry.id for entry in entries] == [
        "a", "b", "c", "d%1", "e.f", "g", "h", "h2", "i", "j",
    ]  # fmt: skip
    assert all(entry.label is None and entry.group == entry.id for entry in entries)
    assert all(list(data.decode(entry)) == ["target"] for entry in entries)
    assert data.notes(entries) == [UNREAD, f"{folder._OTHER} are not read: labels.csv, notes.txt"]


def test_labels_by_stem_or_file_name(root: Path) -> None:
    data = source(root, **LABELS)
    entries = data.index()
    expected = {Path(name).stem: int(n % 3 == 0) for n, name in enumerate(made.OWN[:8])}
    assert {e.id: e.label for e in entries} == {**expected, "i": None, "j": None}
    assert data.notes(entries) == [
        UNREAD,
        "8 of 10 images are labelled; diagnosis leaves the others out",
        f"{folder._OTHER} are not read: notes.txt",
    ]


def test_labels_and_masks_from_elsewhere(root: Path, tmp_path: Path) -> None:
    shutil.move(root / "masks", tmp_path / "masks")
    shutil.move(root / "labels.csv", tmp_path / "labels.csv")
    table = str(tmp_path / "labels.csv")
    entries = source(root, **{**MASKS, **LABELS, "masks": "../masks", "labels": table}).index()
    assert sum(entry.label is not None for entry in entries) == 8
    assert entries[0].files[1].samefile(tmp_path / "masks" / "a.png")


@pytest.mark.parametrize("channels, count", [("rgb", 3), ("grey", 1)])
def test_decode_gives_the_channels_asked_for(root: Path, channels: str, count: int) -> None:
    data = source(root, channels=channels, **MASKS)
    for entry in data.index():
        sample = data.decode(entry)
        assert sample["target"].shape == (count, 16, 16) and sample["target"].dtype == np.uint8
        assert sample["mask"].shape == (16, 16) and sample["mask"].dtype == np.uint8
        assert np.unique(sample["mask"]).tolist() == [0, 1, 2]
        assert sample["mask"][0, 0] == 2
        grey = sample["target"].mean(0)
        assert grey[sample["mask"] == 1].mean() < grey[sample["mask"] == 0].mean() - 60


def save_masks(root: Path, values: np.ndarray, mode: str = "L") -> None:
    for file in (root / "masks").iterdir():
        with Image.open(root / next(n for n in made.OWN if Path(n).stem == file.stem)) as image:
            drawn = Image.fromarray(values).resize(image.size, Image.Resampling.NEAREST)
        drawn.convert(mode).save(file)


@pytest.mark.parametrize("high, mode", [(1, "L"), (255, "L"), (255, "1")])
def test_two_classes_are_0_and_1_or_0_and_255(root: Path, high: int, mode: str) -> None:
    save_masks(root, np.array([[0, high]], np.uint8), mode)
    data = source(root, size=8, masks="masks", mask_classes=["background", "lesion"])
    assert data.decode(data.index()[0])["mask"].tolist() == [[0] * 4 + [1] * 4] * 8


def test_a_rotated_photograph_stands_upright(root: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 20:] = 255  # lies on its side: the bright half is up when turned by 270 degrees
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(pixels).save(root / "b.jpg", format="JPEG", exif=exif, quality=95)
    data = source(root, size=8)
    target = data.decode(next(entry for entry in data.index() if entry.id == "b"))["target"]
    assert target[:, :3].min() > 200 and target[:, 5:].max() < 50


def test_masks_that_cannot_be_used_are_all_named(root: Path, tmp_path: Path) -> None:
    masks = root / "masks"
    Image.fromarray(np.zeros((28, 30), np.uint8)).save(masks / "a.png")
    Image.fromarray(np.full((28, 37), 3, np.uint8)).save(masks / "b.png")
    Image.fromarray(np.full((28, 38), 255, np.uint8)).save(masks / "c.png")
    (root / "j.png").write_bytes((root / "j.png").read_bytes()[:60])
    with pytest.raises(DataError, match="4 of 10 images of folder cannot be read") as caught:
        load(source(root, **MASKS), tmp_path / "cache")
    for offender in (
        f"{masks / 'a.png'}: the mask has 30×28 pixels, its image 36×28",
        f"{masks / 'b.png'}: mask values 3, expected 0, 1, 2",
        f"{masks / 'c.png'}: mask values 255, expected 0, 1, 2",
        f"{root / 'j.png'}: ",
    ):
        assert offender in str(caught.value)


def test_values_of_both_codes_in_one_mask_are_refused(root: Path) -> None:
    save_masks(root, np.array([[0, 1, 255]], np.uint8))
    data = source(root, masks="masks", mask_classes=["background", "lesion"])
    with pytest.raises(ValueError, match="mask values 0, 1, 255, expected 0, 1 or 0, 255"):
        data.decode(data.index()[0])


def test_every_offender_is_named_at_once(root: Path) -> None:
    shutil.copy(root / "a.png", root / "a.bmp")
    shutil.copy(root / "masks" / "b.png", root / "masks" / "b.gif")
    (root / "masks" / "c.png").unlink()
    with (root / "labels.csv").open("a") as table:
        table.write("j,unsure\nzzz,benign\nb,benign\n")
    with pytest.raises(DataError) as caught:
        source(root, **MASKS, **LABELS).index()
    table = root / "labels.csv"
    assert str(caught.value).splitlines() == [
        f"{root} is not as dataset=folder expects:",
        f"  {root}: a.bmp, a.png have the same stem",
        f"  {root / 'masks'}: b.gif, b.png have the same stem",
        f"  {root / 'c.PNG'}: no mask in {root / 'masks'}",
        f"  {table}: j has the label unsure, expected benign, malignant",
        f"  {table}: zzz is not an image",
        f"  {table}: b occurs twice",
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        ("id,kind\na,benign\n", "labels.csv lacks the column label; it has: id, kind."),
        ("id;label\na;benign\n", "labels.csv lacks the column id and label; it has: id;label."),
        ("", "labels.csv is empty."),
    ],
)
def test_a_table_without_the_column_is_named(root: Path, text: str, message: str) -> None:
    (root / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        source(root, **LABELS).index()


def test_a_spreadsheets_table_is_read(root: Path) -> None:
    text = "id , label\r\n a , benign\r\n\r\nb,malignant,more\r\nc\r\n"
    (root / "labels.csv").write_text(text, encoding="utf-8-sig", newline="")
    entries = source(root, **LABELS).index()
    assert [entry.label for entry in entries[:4]] == [0, 1, None, None]


def test_missing_folders_and_table_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"no folder {tmp_path / 'gone'}. Put the images there"):
        source(tmp_path / "gone").index()
    with pytest.raises(DataError, match=f"no images in {root / 'no'}. Put the images there"):
        (root / "no").mkdir()
        source(root / "no").index()
    with pytest.raises(DataError, match="no folder .*gone; .* holds the folders masks"):
        source(root, **{**MASKS, "masks": "gone"}).index()
    with pytest.raises(DataError, match=f"{root / 'gone.csv'} cannot be read: .*No such file"):
        source(root, **{**LABELS, "labels": "gone.csv"}).index()


def test_split_by_share(root: Path) -> None:
    data = source(root, test=0.3)
    entries = data.index()
    splits = data.splits(entries)
    assert len(splits["test"]) == 3 and sorted(splits["train"] + splits["test"]) == STEMS


def test_groups_without_labels(root: Path) -> None:
    write_groups(root, ("group", "id"))
    data = source(root, test=0.4, labels="labels.csv")
    entries = data.index()
    assert data.notes(entries)[0] == UNREAD
    assert data.notes(entries)[-1] == "5 groups, the largest of 2 images"
    group = {entry.id: entry.group for entry in entries}
    train, test = ({group[id] for id in ids} for ids in data.splits(entries).values())
    assert not train & test and len(test) == 2


def test_a_table_without_labels_to_read_needs_groups(root: Path) -> None:
    made.write_csv(root / "labels.csv", [["id", "age"], ["a", 1]])
    with pytest.raises(DataError, match="lacks the column group; it has: id, age"):
        source(root, labels="labels.csv").index()


def test_labels_without_classes_say_what_to_set(root: Path) -> None:
    with pytest.raises(DataError, match=r"set dataset.classes=\[benign,malignant\]"):
        source(root, labels="labels.csv").index()
    rows = [[stem, f"kind {number:02d}", "p"] for number, stem in enumerate([*STEMS, "x", "y"])]
    made.write_csv(root / "labels.csv", [["id", "label"], *(row[:2] for row in rows)])
    with pytest.raises(DataError, match=r"kind 09,…\]$"):
        source(root, labels="labels.csv").index()
    write_groups(root)  # with a group, the labels may be there for others
    assert {e.label for e in source(root, labels="labels.csv").index()} == {None}


def test_one_cache_serves_all_splits_and_names(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    images = load(source(root, **MASKS, **LABELS), cache)
    renamed = {**MASKS, "mask_classes": ["skin", "spot", "ruler"], "title": "mine"}
    other = load(source(root, test=0.5, **renamed), cache)
    assert other.fingerprint != images.fingerprint and other.target.equal(images.target)
    assert len(list(cache.glob("folder-*"))) == 1
    grey = load(source(root, channels="grey", **MASKS), cache)
    assert grey.target.shape == (10, 1, 16, 16) and grey.label is None
    assert len(list(cache.glob("folder-*"))) == 2


def test_the_title_tells_the_runs_of_two_folders_apart() -> None:
    # as it was before there was a title: older records keep their ids
    keys = ("name", "mask_classes", "classes", "channels", "size", "test", "split_seed")
    options = folder.Options(root="anywhere", size=64)
    assert digest(options) == digest({key: getattr(options, key) for key in keys})
    titles = ("", "mine", "yours")
    assert len({digest(folder.Options(size=64, title=title)) for title in titles}) == 3


def test_data_check(root: Path, tmp_path: Path) -> None:
    report = check(source(root, **MASKS, **LABELS), tmp_path / "cache")
    assert report.counts["all"] == {"benign": 5, "malignant": 3, "not labelled": 2}


def many(parent: Path, count: int) -> Path:
    root = parent / "many"
    (root / "masks").mkdir(parents=True)
    image, mask = made.lesion(1, (12, 12))
    for number in range(count):
        Image.fromarray(image).save(root / f"{number:03d}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number:03d}_seg.png")
    return root


def test_many_offenders_of_one_kind_are_a_few_lines(tmp_path: Path) -> None:
    root = many(tmp_path, 40)
    rows = [[f"{number:03d}_seg", "benign"] for number in range(40)]
    made.write_csv(root / "labels.csv", [["id", "label"], *rows])
    named = {"masks": "masks", "mask_classes": ["no", "yes"]}
    with pytest.raises(DataError) as caught:
        source(root, **named, **LABELS).index()
    told = str(caught.value).splitlines()
    assert len(told) < 12
    assert "40 of 40 images have no mask" in told[1] and "looked for 000.*, 001.*" in told[1]
    assert "and there is 000_seg.png, 001_seg.png" in told[1]
    assert "000_seg, 001_seg, 002_seg and 37 more are not images; these are called 000" in told[2]


def test_many_unreadable_files_are_ten_lines_and_a_number(tmp_path: Path) -> None:
    root = many(tmp_path, 40)
    for path in root.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="40 of 40 images of folder cannot be read") as caught:
        load(source(root), tmp_path / "cache")
    told = str(caught.value).splitlines()
    assert len(told) == 12 and told[-1].strip() == "… and 30 more"
    problems = check(source(root), tmp_path / "cache").problems
    assert "… and 30 more files that cannot be read" in problems and len(problems) <= 12


def test_images_in_folders_below_are_read_if_it_is_asked_for(root: Path, tmp_path: Path) -> None:
    below = root / "later"
    (below / "deep").mkdir(parents=True)
    (root / "masks" / "later" / "deep").mkdir(parents=True)
    shutil.copy(root / "a.png", below / "a.png")
    shutil.copy(root / "a.png", below / "deep" / "k.png")
    for name in ("a.png", "deep/k.png"):
        shutil.copy(root / "masks" / "a.png", root / "masks" / "later" / name)
    with (root / "labels.csv").open("a") as table:
        table.write("later/a.png,malignant\nlater/deep/k,benign\n")
    data = source(root, subfolders=True, **MASKS, **LABELS)
    entries = {entry.id: entry for entry in data.index()}
    assert sorted(entries) == sorted([*STEMS, "later/a", "later/deep/k"])
    assert (entries["later/a"].label, entries["later/deep/k"].label) == (1, 0)
    assert entries["later/a"].files[1] == root / "masks" / "later" / "a.png"
    assert not any("folders below" in note for note in data.notes(data.index()))
    shallow = source(root, **MASKS)
    assert sorted(entry.id for entry in shallow.index()) == STEMS
    assert "not read (later)" in shallow.notes(shallow.index())[0]
    elsewhere = tmp_path / "outer"
    elsewhere.mkdir()
    shutil.move(below, elsewhere / "later")
    with pytest.raises(DataError, match="in its folders later: set dataset.subfolders=true"):
        source(elsewhere).index()


def test_a_folder_that_is_only_tested_on_has_no_training_images(root: Path) -> None:
    data = source(root, **folder.TEST_SET)
    assert data.splits(data.index()) == {"train": [], "test": STEMS}
