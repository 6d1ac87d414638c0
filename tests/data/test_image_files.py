"""Which file `gradprom enhance` makes of which, and in which range of values it reads them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import image_samples as made
from support import pictures
from support.pictures import random_picture

from gradprom.data import image_files
from gradprom.data.value_range import Extremes
from gradprom.errors import DataError, RunError


def damage(folder: Path) -> None:
    """An empty file, a text, and truncated pictures of both readers."""
    folder.mkdir(exist_ok=True)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    for name, kind in (("short8.png", np.uint8), ("short16.png", np.uint16)):
        pictures.write(folder / name, random_picture(kind, 3, 0))
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])


def test_every_file_that_cannot_be_read_is_listed(tmp_path: Path) -> None:
    damage(tmp_path / "in")
    pictures.write(tmp_path / "in" / "good.png", random_picture(np.uint8, 1, 0))
    work = image_files.assign(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in work.targets] == ["good.png"]
    for name in ("empty.png", "text.png", "short8.png", "short16.png"):
        assert any(name in sentence for sentence in work.unreadable)
    assert len(work.unreadable) == 4 and not (tmp_path / "out").exists()
    (tmp_path / "in" / "good.png").unlink()
    with pytest.raises(DataError, match="no images that can be read") as caught:
        image_files.assign(tmp_path / "in", tmp_path / "out")
    assert "short16.png" in str(caught.value)


def test_where_outputs_go(tmp_path: Path) -> None:
    picture = random_picture(np.uint8, 1, 0)
    folder = tmp_path / "in"
    pictures.write(folder / "a.png", picture)
    (folder / ".hidden").write_bytes((folder / "a.png").read_bytes())
    (folder / "inside").mkdir()
    (folder / "notes.txt").write_text("none")
    (folder / "gone.png").symlink_to(tmp_path / "nothing.png")
    made.tiff(folder / "c.tif", made.levels(np.uint16, (3, 5, 7), 900))
    made.nifti(folder / "d.nii.gz", made.levels(np.int16, (3, 5, 7), 900))
    Image.new("1", (4, 4)).save(
        folder / "e.gif", save_all=True, append_images=[Image.new("1", (4, 4), 1)]
    )
    Image.fromarray(picture.pixels[..., 0]).save(folder / "b.jpg")
    out = tmp_path / "out"
    work = image_files.assign(folder, out)
    assert {source.name: target for source, target in work.targets.items()} == {
        "a.png": out / "a.png",
        "b.jpg": out / "b.png",
        "c.tif": out / "c.tif",
        "d.nii.gz": out / "d.nii.gz",
        "e.gif": out / "e.tif",
    }
    assert work.skipped == [
        f"{folder / 'inside'}: a folder",
        f"{folder / 'notes.txt'}: not an image",
    ]
    assert work.unreadable == [f"{folder / 'gone.png'}: a link to nothing"]
    for source, output, expected in (
        ("b.jpg", folder, folder / "b.png"),
        ("a.png", out / "c.PNG", out / "c.PNG"),
        ("c.tif", out / "c.tiff", out / "c.tiff"),
        ("d.nii.gz", out / "d.nii", out / "d.nii"),
    ):
        work = image_files.assign(folder / source, output)
        assert work.targets == {folder / source: expected}


def refused(source: Path, output: Path, sentence: str) -> None:
    with pytest.raises((RunError, DataError), match=sentence):
        image_files.assign(source, output)


def test_outputs_that_are_refused(tmp_path: Path) -> None:
    picture, folder = random_picture(np.uint8, 1, 0), tmp_path / "in"
    pictures.write(folder / "a.png", picture)
    refused(folder / "a.png", tmp_path / "out.jpg", "without loss, as .png or .*; name it out.png")
    refused(folder / "a.png", tmp_path / "out", "without loss, as .png or .*; name it out.png")
    refused(folder / "a.png", folder / "a.png", "is an input and would be replaced")
    refused(folder / "a.png", folder / ".." / "in" / "a.png", "is an input")
    refused(folder, folder, "is an input and would be replaced")
    refused(folder, folder / "a.png", "name a folder for -o")
    refused(folder, tmp_path / "new.png", "name a folder for -o")
    made.tiff(tmp_path / "stack.tif", made.levels(np.uint16, (3, 5, 7), 900))
    refused(tmp_path / "stack.tif", tmp_path / "s.png", "as .tif or .tiff; name it s.tif")
    made.nifti(tmp_path / "v.nii.gz", made.levels(np.int16, (3, 5, 7), 900))
    refused(tmp_path / "v.nii.gz", tmp_path / "v.tif", "as .nii.gz or .nii; name it v.nii.gz")
    refused(tmp_path / "no.png", tmp_path / "out.png", "no.png: No such file or directory")
    Image.fromarray(picture.pixels[..., 0]).save(folder / "a.bmp")
    refused(folder, tmp_path / "out", "(?s)differ only in their extension:.*a.bmp.*a.png")
    (tmp_path / "nothing").mkdir()
    refused(tmp_path / "nothing", tmp_path / "out", "holds no images that can be read")


def test_what_png_cannot_say_stays_tiff(tmp_path: Path) -> None:
    made.tiff(tmp_path / "a.tif", made.levels(np.uint16, (1, 5, 7), 900), photometric="miniswhite")
    refused(tmp_path / "a.tif", tmp_path / "a.png", "as .tif or .tiff")


def extremes(low: float, high: float, type: str = "uint16") -> Extremes:
    return Extremes(low, high, {type})


@pytest.mark.parametrize(
    ("found", "given", "trained", "expected"),
    [
        (extremes(3, 900), None, None, (0, 1023)),
        (extremes(3, 900), None, (0, 4095), (0, 4095)),
        (extremes(3, 900), (0, 2000), (0, 4095), (0, 2000)),
        (extremes(-1000, 3000, "int16"), None, (-160, 240), (-160, 240)),
        (extremes(0, 0.9, "float32"), None, (0, 4095), (0, 1)),
        (Extremes(), None, None, (0, 255)),
    ],
)
def test_which_range_is_taken(
    found: Extremes, given: tuple | None, trained: tuple | None, expected: tuple
) -> None:
    assert image_files.value_range(found, given, trained) == expected


def test_a_range_that_cannot_be_told_must_be_given() -> None:
    with pytest.raises(RunError, match="int16 values from -1000 to 3000.*add --range"):
        image_files.value_range(extremes(-1000, 3000, "int16"), None, None)


def test_clipping_is_said() -> None:
    assert "clipped to -160 to 240" in image_files.clipped(extremes(-1000, 3000), (-160, 240))
    assert image_files.clipped(extremes(0, 4095), (0, 4095)) == ""
    assert image_files.clipped(Extremes(), (0, 255)) == ""
