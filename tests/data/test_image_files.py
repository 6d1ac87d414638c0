"""Pictures are read and written without loss, and what cannot be is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.pictures import KINDS, random_picture

from gradprom.data import image_files
from gradprom.data.image_files import Picture
from gradprom.errors import DataError, RunError


@pytest.mark.parametrize(("kind", "channels", "alpha"), KINDS)
def test_what_is_written_is_read(tmp_path: Path, kind: type, channels: int, alpha: int) -> None:
    picture = random_picture(kind, channels, alpha)
    image_files.write(tmp_path / "a.png", picture)
    found = image_files.read(tmp_path / "a.png")
    assert found.pixels.dtype == kind
    np.testing.assert_array_equal(found.pixels, picture.pixels)
    if picture.alpha is None:
        assert found.alpha is None
    else:
        np.testing.assert_array_equal(found.alpha, picture.alpha)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_transparency_is_enlarged_with_its_picture(kind: type) -> None:
    top = np.iinfo(kind).max
    pixels = np.zeros((2, 2, 1), kind)
    picture = Picture(pixels, np.array([[0, top], [0, top]], kind))
    shown = picture.showing(np.ones((1, 4, 4), np.float32))
    assert (shown.pixels == top).all() and shown.pixels.shape == (4, 4, 1)
    # bilinear between centres: a quarter and three quarters of the way
    row = np.rint(np.array([0, 0.25, 0.75, 1]) * top)
    assert shown.alpha is not None and shown.alpha.dtype == kind
    np.testing.assert_array_equal(shown.alpha, np.tile(row, (4, 1)))


@pytest.mark.parametrize(("channels", "alpha"), [(1, 1), (3, 0), (3, 1)])
def test_pillow_sees_the_high_byte_of_16_bits(tmp_path: Path, channels: int, alpha: int) -> None:
    picture = random_picture(np.uint16, channels, alpha)
    image_files.write(tmp_path / "a.png", picture)
    with Image.open(tmp_path / "a.png") as image:
        seen = np.asarray(image)[..., :channels]
    np.testing.assert_array_equal(seen, picture.pixels >> 8)


def test_16_bit_grey_of_another_writer(tmp_path: Path) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for name in ("a.png", "a.tif"):
        Image.fromarray(levels).save(tmp_path / name)
        np.testing.assert_array_equal(image_files.read(tmp_path / name).pixels[..., 0], levels)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_level_survives_as_a_float(kind: type) -> None:
    levels = np.arange(np.iinfo(kind).max + 1, dtype=kind).reshape(1, -1, 1)
    picture = Picture(levels, None)
    planes = picture.planes()
    assert planes.dtype == np.float32 and planes.min() == 0 and planes.max() == 1
    np.testing.assert_array_equal(picture.showing(planes).pixels, levels)
    beyond = picture.showing(planes * 3 - 1).pixels
    assert beyond[0, 0, 0] == 0 and beyond[0, -1, 0] == np.iinfo(kind).max


@pytest.mark.parametrize(
    ("mode", "channels", "alpha"),
    [("1", 1, 0), ("P", 3, 0), ("PA", 3, 1), ("LA", 1, 1), ("RGBA", 3, 1)],
)
def test_modes_of_png(tmp_path: Path, mode: str, channels: int, alpha: int) -> None:
    grey = Image.fromarray(random_picture(np.uint8, 1, 0).pixels[..., 0])
    image = grey.convert("P") if mode == "PA" else grey.convert(mode)
    image.save(tmp_path / "a.png", **({"transparency": 3} if mode == "PA" else {}))
    found = image_files.read(tmp_path / "a.png")
    assert found.pixels.shape == (37, 61, channels)
    assert (found.alpha is not None) == bool(alpha)


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    upright = random_picture(np.uint8, 3, 0).pixels // 2 + 60
    Image.fromarray(np.rot90(upright)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(image_files.read(tmp_path / "a.png").pixels, upright)


def test_what_would_lose_bits_is_refused(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")  # comes with scikit-image
    pixels = random_picture(np.uint16, 3, 0).pixels
    tifffile.imwrite(tmp_path / "deep.tif", pixels, photometric="rgb")
    with Image.open(tmp_path / "deep.tif") as image:
        assert image.mode == "RGB"  # Pillow says nothing
    Image.new("F", (4, 4)).save(tmp_path / "float.tif")
    for name in ("deep.tif", "float.tif"):
        with pytest.raises(ValueError, match=f"{name}: mode .* bits"):
            image_files.read(tmp_path / name)


def test_one_picture_a_file(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(
        tmp_path / "a.tif", save_all=True, append_images=[Image.new("L", (4, 4), 9)]
    )
    with pytest.raises(ValueError, match="holds 2 pictures; one is expected"):
        image_files.read(tmp_path / "a.tif")


def damage(folder: Path) -> None:
    """An empty file, a text, and truncated pictures of both readers."""
    folder.mkdir(exist_ok=True)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    for name, kind in (("short8.png", np.uint8), ("short16.png", np.uint16)):
        image_files.write(folder / name, random_picture(kind, 3, 0))
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])


def test_every_file_that_is_no_picture_is_listed(tmp_path: Path) -> None:
    damage(tmp_path / "in")
    image_files.write(tmp_path / "in" / "good.png", random_picture(np.uint8, 1, 0))
    with pytest.raises(DataError) as caught:
        image_files.assign(tmp_path / "in", tmp_path / "out")
    told = str(caught.value)
    assert "4 of 5 files" in told and "good.png" not in told
    for name in ("empty.png", "text.png", "short8.png", "short16.png"):
        assert name in told
    assert not (tmp_path / "out").exists()


def test_where_outputs_go(tmp_path: Path) -> None:
    picture = random_picture(np.uint8, 1, 0)
    folder = tmp_path / "in"
    image_files.write(folder / "a.png", picture)
    image_files.write(folder / ".hidden", picture)
    (folder / "inside").mkdir()
    Image.fromarray(picture.pixels[..., 0]).save(folder / "b.jpg")
    out = tmp_path / "out"
    assert image_files.assign(folder, out) == {
        folder / "a.png": out / "a.png",
        folder / "b.jpg": out / "b.png",
    }
    assert image_files.assign(folder / "b.jpg", folder) == {folder / "b.jpg": folder / "b.png"}
    assert image_files.assign(folder / "a.png", out / "c.PNG") == {folder / "a.png": out / "c.PNG"}


def refused(source: Path, output: Path, sentence: str) -> None:
    with pytest.raises((RunError, DataError), match=sentence):
        image_files.assign(source, output)


def test_outputs_that_are_refused(tmp_path: Path) -> None:
    picture, folder = random_picture(np.uint8, 1, 0), tmp_path / "in"
    image_files.write(folder / "a.png", picture)
    refused(folder / "a.png", tmp_path / "out.jpg", "written as PNG, without loss; name it out.png")
    refused(folder / "a.png", tmp_path / "out", "written as PNG, without loss; name it out.png")
    refused(folder / "a.png", folder / "a.png", "is an input and would be replaced")
    refused(folder / "a.png", folder / ".." / "in" / "a.png", "is an input")
    refused(folder, folder, "is an input and would be replaced")
    refused(folder, folder / "a.png", "name a folder for -o")
    refused(tmp_path / "no.png", tmp_path / "out.png", "no.png: No such file or directory")
    Image.fromarray(picture.pixels[..., 0]).save(folder / "a.bmp")
    refused(folder, tmp_path / "out", "differ only in their extension: .*a.bmp, .*a.png")
    (tmp_path / "nothing").mkdir()
    refused(tmp_path / "nothing", tmp_path / "out", "holds no files")
