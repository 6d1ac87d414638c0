"""The sample sheet: which images it shows, and that it shows them as they are."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from support import lizard_files

from gradprom.data import contact_sheet
from gradprom.data.base import Entry, Facts, Source
from gradprom.data.sources import lizard, phantom


class Options:
    name, size = "flat", 32


class Flat(Source):
    """Images of one grey level, the class's; a mask of its left half."""

    levels = (40, 200)

    def __init__(self, masks: int = 2) -> None:
        names = tuple(f"part {n}" for n in range(masks))
        super().__init__(Options, Facts(1, ("dark", "bright"), names if masks else ()))

    def index(self) -> list[Entry]:
        return [Entry(f"a_{n}$x^", f"{n}", n % 2, ()) for n in range(30)]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        level = self.levels[entry.label or 0]
        target = np.full((1, 32, 32), level, np.uint8)
        if not self.facts.mask_classes:
            return {"target": target}
        mask = np.zeros((32, 32), np.uint8)
        for number in range(1, len(self.facts.mask_classes)):
            mask[number * 5 : number * 5 + 3, 4:28] = number
        return {"target": target, "mask": mask}

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        ids = [entry.id for entry in entries]
        return {"train": ids[:20], "test": ids[20:28]}


def drawn(source: Source, path: Path) -> np.ndarray:
    entries = source.index()
    contact_sheet.draw(source, entries, source.splits(entries), path)
    return np.asarray(Image.open(path).convert("RGB"))


def kinds(chosen: list[tuple[Entry, str]]) -> Counter[tuple[str, int | None]]:
    return Counter((split, entry.label) for entry, split in chosen)


def test_each_split_and_class_has_its_share() -> None:
    source = Flat()
    entries = source.index()
    chosen = contact_sheet.choose(entries, source.splits(entries))
    assert len({entry.id for entry, _ in chosen}) == len(chosen) == 12
    # two images in no split, one of each class; eleven and twelve go to the first cells
    assert kinds(chosen) == {
        ("train", 0): 3, ("train", 1): 3, ("test", 0): 2, ("test", 1): 2,
        ("no split", 0): 1, ("no split", 1): 1,
    }  # fmt: skip
    assert [split for _, split in chosen] == ["train"] * 6 + ["test"] * 4 + ["no split"] * 2


def test_the_choice_follows_from_the_ids() -> None:
    source = Flat()
    entries = source.index()
    splits = source.splits(entries)
    first = contact_sheet.choose(entries, splits)
    again = contact_sheet.choose(entries[::-1], splits)
    assert {entry.id for entry, _ in again} == {entry.id for entry, _ in first}


@pytest.mark.parametrize(("classes", "images"), [(40, 12), (2, 3), (1, 1)])
def test_many_classes_and_few_images(classes: int, images: int) -> None:
    count = 200 if classes == 40 else images
    entries = [Entry(f"{n}", f"{n}", n % classes, ()) for n in range(count)]
    chosen = contact_sheet.choose(entries, {"train": [entry.id for entry in entries]})
    assert len(chosen) == images
    assert len(kinds(chosen)) == min(classes, images)


def test_grey_images_keep_their_level(tmp_path: Path) -> None:
    pixels = drawn(Flat(masks=0), tmp_path / "sheet.png")
    levels, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    common = {tuple(level) for level, count in zip(levels, counts, strict=True) if count > 40000}
    assert common == {(40, 40, 40), (200, 200, 200), (255, 255, 255)}


def test_each_class_is_outlined_in_a_colour_of_its_own(tmp_path: Path) -> None:
    plain = drawn(Flat(masks=2), tmp_path / "one.png")
    pixels = drawn(Flat(masks=4), tmp_path / "three.png")

    def share(image: np.ndarray, number: int) -> float:
        colour = 255 * np.array(to_rgb(contact_sheet._line(number)[0]))
        return float((np.abs(image - colour).max(-1) < 12).mean())

    assert all(share(pixels, number) > 0.002 for number in (1, 2, 3))
    assert share(plain, 1) > 0.002 and share(plain, 2) == share(plain, 3) == 0
    assert share(pixels, 4) == 0


def test_lines_of_many_classes_differ() -> None:
    assert len({contact_sheet._line(number) for number in range(1, 19)}) == 18


def test_a_mask_that_fills_the_image_or_is_empty_does_no_harm(tmp_path: Path) -> None:
    source = Flat()
    grey = np.zeros((1, 32, 32), np.uint8)
    source.decode = lambda entry: {  # type: ignore[method-assign]
        "target": grey,
        "mask": np.full((32, 32), entry.label, np.uint8),
    }
    drawn(source, tmp_path / "sheet.png")


def test_the_same_sheet_twice(tmp_path: Path) -> None:
    source = phantom.build(phantom.Options(size=32, train=9, test=6))
    first, second = (drawn(source, tmp_path / f"{n}.png") for n in range(2))
    np.testing.assert_array_equal(first, second)


def test_tiles_of_many_classes(tmp_path: Path) -> None:
    root = lizard_files.lizard_folder(tmp_path)
    pixels = drawn(lizard.build(lizard.Options(root=str(root), size=32)), tmp_path / "sheet.png")
    assert pixels.shape[1] == 1152 and pixels.std() > 20


def test_the_sheet_needs_no_torch(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from gradprom.data.sources import phantom
from gradprom.data.check import check
source = phantom.build(phantom.Options(size=32, train=3, test=3))
print(check(source, Path({str(tmp_path)!r}), Path({str(tmp_path / "sheet.png")!r})).sheet)
print("torch" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == f"sample sheet: {tmp_path / 'sheet.png'}\nFalse\n"
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"
