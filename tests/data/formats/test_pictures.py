"""Pictures of one image are read and written without loss."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import pictures
from support.pictures import KINDS, random_picture

from gradprom.data import formats
from gradprom.data.formats.contents import Picture


@pytest.mark.parametrize(("kind", "channels", "alpha"), KINDS)
def test_what_is_written_is_read(tmp_path: Path, kind: type, channels: int, alpha: int) -> None:
    picture = random_picture(kind, channels, alpha)
    pictures.write(tmp_path / "a.png", picture)
    found = pictures.read(tmp_path / "a.png")
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
    shown = picture.showing(np.ones((1, 4, 4), np.float32), (0, top))
    assert (shown.pixels == top).all() and shown.pixels.shape == (4, 4, 1)
    # bilinear between centres: a quarter and three quarters of the way
    row = np.rint(np.array([0, 0.25, 0.75, 1]) * top)
    assert shown.alpha is not None and shown.alpha.dtype == kind
    np.testing.assert_array_equal(shown.alpha, np.tile(row, (4, 1)))


@pytest.mark.parametrize(("channels", "alpha"), [(1, 1), (3, 0), (3, 1)])
def test_pillow_sees_the_high_byte_of_16_bits(tmp_path: Path, channels: int, alpha: int) -> None:
    picture = random_picture(np.uint16, channels, alpha)
    pictures.write(tmp_path / "a.png", picture)
    with Image.open(tmp_path / "a.png") as image:
        seen = np.asarray(image)[..., :channels]
    np.testing.assert_array_equal(seen, picture.pixels >> 8)


def test_16_bit_grey_of_another_writer(tmp_path: Path) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for name in ("a.png", "a.tif"):
        Image.fromarray(levels).save(tmp_path / name)
        np.testing.assert_array_equal(pictures.read(tmp_path / name).pixels[..., 0], levels)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_level_survives_as_a_float(kind: type) -> None:
    levels = np.arange(np.iinfo(kind).max + 1, dtype=kind).reshape(1, -1, 1)
    picture = Picture(levels, None)
    top = float(np.iinfo(kind).max)
    planes = picture.planes((0, top))
    assert planes.dtype == np.float32 and planes.min() == 0 and planes.max() == 1
    np.testing.assert_array_equal(picture.showing(planes, (0, top)).pixels, levels)
    beyond = picture.showing(planes * 3 - 1, (0, top)).pixels
    assert beyond[0, 0, 0] == 0 and beyond[0, -1, 0] == np.iinfo(kind).max


@pytest.mark.parametrize(
    ("mode", "channels", "alpha"),
    [("1", 1, 0), ("P", 3, 0), ("PA", 3, 1), ("LA", 1, 1), ("RGBA", 3, 1)],
)
def test_modes_of_png(tmp_path: Path, mode: str, channels: int, alpha: int) -> None:
    grey = Image.fromarray(random_picture(np.uint8, 1, 0).pixels[..., 0])
    image = grey.convert("P") if mode == "PA" else grey.convert(mode)
    image.save(tmp_path / "a.png", **({"transparency": 3} if mode == "PA" else {}))
    found = pictures.read(tmp_path / "a.png")
    assert found.pixels.shape == (37, 61, channels)
    assert (found.alpha is not None) == bool(alpha)


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    upright = random_picture(np.uint8, 3, 0).pixels // 2 + 60
    Image.fromarray(np.rot90(upright)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(pictures.read(tmp_path / "a.png").pixels, upright)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_opening_a_picture_leaves_it_as_it_is(kind: type) -> None:
    pixels = np.arange(12, dtype=kind).reshape(3, 4, 1)
    Picture(pixels).planes((2, 9))
    np.testing.assert_array_equal(pixels.ravel(), np.arange(12))


@pytest.mark.parametrize("values", [(0, 4095), (-160, 240)])
def test_values_outside_the_range_are_clipped(values: tuple[float, float]) -> None:
    low, high = values
    pixels = np.array([low - 50, low, (low + high) // 2, high, high + 50], np.int16)
    picture = Picture(pixels.reshape(1, -1, 1))
    planes = picture.planes(values)
    np.testing.assert_allclose(planes.ravel(), [0, 0, 0.5, 1, 1], atol=1e-3)
    shown = picture.showing(planes, values).pixels
    assert shown.dtype == np.int16 and shown.ravel().tolist() == pixels.clip(low, high).tolist()


def test_a_picture_may_be_larger_than_pillow_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (1500, 1500)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "a.png")
    assert formats.header(tmp_path / "a.png").size == (1500, 1500)
    assert formats.read(tmp_path / "a.png").pages[0].size == (1500, 1500)
