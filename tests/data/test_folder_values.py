"""dataset=folder reads deep images in the range of all of them, and every slice of a stack."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import png
import pytest
import tifffile
from PIL import Image
from support import image_samples as made

from gradprom.data.check import check
from gradprom.data.images import load
from gradprom.data.sources import folder
from gradprom.errors import DataError
from gradprom.identity import digest

SHAPE = (16, 16)


def source(root: Path, **options: object) -> folder.Folder:
    return folder.build(folder.Options(root=str(root), **{"size": 16, "test": 0.5, **options}))


def write_png(path: Path, pixels: np.ndarray) -> None:
    """16 bits per channel, [H, W, C] with C from 1 to 4."""
    height, width, channels = pixels.shape
    writer = png.Writer(width, height, greyscale=channels < 3, alpha=channels % 2 == 0, bitdepth=16)
    with path.open("wb") as stream:
        writer.write(stream, pixels.reshape(height, -1))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("top", "bits"), [(900, 10), (4012, 12), (60000, 16)])
def test_the_range_is_that_of_the_data(tmp_path: Path, channels: int, top: int, bits: int) -> None:
    images = {f"{n}": made.levels(np.uint16, (*SHAPE, channels), top, seed=n) for n in range(4)}
    for pixels in images.values():
        pixels[0, 1, 0] = top  # the colours, not only transparency, reach it
    images["dark"] = images["0"] // 8  # would be of fewer bits by itself
    for name, pixels in images.items():
        write_png(tmp_path / f"{name}.png", pixels)
    data = source(tmp_path, channels="rgb" if channels > 2 else "grey")
    assert data.value_range() == (0, 2**bits - 1)
    for entry in data.index():
        colours = images[entry.id][..., : 3 if channels > 2 else 1].transpose(2, 0, 1)
        expected = np.rint(colours / (2**bits - 1) * 255)
        np.testing.assert_allclose(data.decode(entry)["target"], expected, atol=1)
    report = check(data, tmp_path / "cache")
    assert report.problems == []
    read = f"uint16 values from 0 to {top}, read as black to white from 0 to {2**bits - 1}"
    assert read in report.notes
    assert all("16-bit" in mode for mode in report.modes)


def test_eight_bits_keep_their_range_beside_deep_images(tmp_path: Path) -> None:
    Image.fromarray(np.full(SHAPE, 200, np.uint8)).save(tmp_path / "a.png")
    write_png(tmp_path / "b.png", np.full((*SHAPE, 1), 2048, np.uint16))
    data = source(tmp_path, channels="grey")
    shallow, deep = (data.decode(entry)["target"] for entry in data.index())
    assert (shallow == 200).all() and (deep == 128).all()


def test_the_range_can_be_given_and_is_recorded(tmp_path: Path) -> None:
    for n in range(4):
        made.nifti(tmp_path / f"{n}.nii.gz", made.levels(np.int16, (2, *SHAPE), 3000, -1000, n))
    with pytest.raises(DataError, match=r"int16 values from -1000 to 3000.*dataset.range=\[BLACK"):
        load(source(tmp_path, channels="grey"), tmp_path / "cache")
    report = check(source(tmp_path, channels="grey"), tmp_path / "cache")
    assert len(report.problems) == 1 and "dataset.range" in report.problems[0]
    data = source(tmp_path, channels="grey", range=[-160, 240])
    for _ in range(2):  # from the files, then from the cache
        images = load(data, tmp_path / "cache")
        assert images.value_range == (-160, 240)
    stored = made.levels(np.int16, (2, *SHAPE), 3000, -1000, 0)
    expected = np.rint((stored.clip(-160, 240) + 160) / 400 * 255)
    np.testing.assert_allclose(images.target[:2, 0], expected, atol=1)
    other = load(source(tmp_path, channels="grey", range=[-1000, 3000]), tmp_path / "cache")
    assert other.fingerprint != images.fingerprint


def test_the_range_is_part_of_the_id_only_where_it_is_given() -> None:
    keys = ("name", "mask_classes", "classes", "channels", "size", "test", "split_seed")
    options = folder.Options(root="anywhere")
    assert digest(options) == digest({key: getattr(options, key) for key in keys})
    assert digest(folder.Options(range=[0, 4095])) != digest(options)


@pytest.mark.parametrize("given", [[1.0], [2.0, 1.0], [1.0, 1.0], [0.0, float("nan")]])
def test_a_wrong_range_is_refused(given: list[float]) -> None:
    with pytest.raises(ValueError, match=r"dataset.range=\[.*\]: must be two values"):
        folder.Options(range=given)


@pytest.mark.parametrize("type", ["tif", "gif", "nii", "dcm"])
def test_slices_of_a_stack_are_one_group(tmp_path: Path, type: str) -> None:
    (tmp_path / "masks").mkdir()
    stacks = {f"p{n}": made.levels(np.uint8, (3, *SHAPE), 250, seed=n) for n in range(4)}
    for name, stack in stacks.items():
        if type == "dcm":
            pytest.importorskip("pydicom")
            made.dicom(tmp_path / f"{name}.dcm", stack.astype(np.uint16), name, NumberOfFrames=3)
        elif type == "nii":
            made.nifti(tmp_path / f"{name}.nii", stack)
        else:
            pages = [Image.fromarray(page) for page in stack]
            path = tmp_path / f"{name}.{type}"
            pages[0].save(path, save_all=True, append_images=pages[1:])
        made.tiff(tmp_path / "masks" / f"{name}.tif", (stack > 99).astype(np.uint8))
    data = source(tmp_path, channels="grey", masks="masks", mask_classes=["dark", "bright"])
    entries = data.index()
    assert [e.id for e in entries] == [f"p{n}#{page}" for n in range(4) for page in (1, 2, 3)]
    groups = [e.group for e in entries]
    assert len(set(groups)) == 4 and groups[::3] == groups[1::3] == groups[2::3]
    for number in np.random.default_rng(0).permutation(12):
        sample, expected = data.decode(entries[number]), stacks[f"p{number // 3}"][number % 3]
        np.testing.assert_array_equal(sample["target"][0], expected)
        np.testing.assert_array_equal(sample["mask"], expected > 99)
    parts = data.splits(entries)
    assert not {i[:2] for i in parts["train"]} & {i[:2] for i in parts["test"]}
    assert check(data, tmp_path / "cache").problems == []


def test_a_stack_and_its_masks_are_of_one_length(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    made.tiff(tmp_path / "a.tif", np.zeros((3, *SHAPE), np.uint8))
    made.tiff(tmp_path / "masks" / "a.tif", np.zeros((2, *SHAPE), np.uint8))
    data = source(tmp_path, masks="masks", mask_classes=["no", "yes"])
    with pytest.raises(ValueError, match="a.tif: holds 2 masks, its image's file 3"):
        data.decode(data.index()[0])


def test_dicom_slices_are_grouped_by_patient(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    for n in range(6):
        made.dicom(tmp_path / f"1.2.840.{n}", np.full(SHAPE, n, np.uint16), f"p{n // 2}")
    entries = source(tmp_path).index()
    groups = [e.group for e in entries]
    assert groups[::2] == groups[1::2] and len(set(groups)) == 3
    assert not {"p0", "p1", "p2"} & set(groups)  # records show groups
    assert [e.id for e in entries] == [f"1.2.840.{n}" for n in range(6)]


def test_a_stack_under_the_name_of_a_picture_is_refused(tmp_path: Path) -> None:
    made.tiff(tmp_path / "a.png", np.zeros((3, *SHAPE), np.uint8))
    data = source(tmp_path)
    with pytest.raises(ValueError, match="a.png: holds 3 images; its suffix must be one of .tif"):
        data.decode(data.index()[0])


def test_links_to_nothing_are_named(tmp_path: Path) -> None:
    Image.new("L", SHAPE).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DataError, match="b.png: a link to nothing"):
        source(tmp_path).index()


@pytest.mark.parametrize("raw", [b"cafe\xcc\x81", b"caf\xe9"])
def test_a_name_in_another_form_finds_its_mask_and_label(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "masks").mkdir()
    try:
        path = tmp_path / os.fsdecode(raw + b".png")
        Image.new("L", SHAPE).save(path)
    except OSError:
        pytest.skip("the file system refuses such names")
    Image.new("L", SHAPE, 200).save(tmp_path / "b.png")
    composed = unicodedata.normalize("NFC", "café")
    half = Image.fromarray((np.indices(SHAPE)[0] > 7).astype(np.uint8))
    for name in (composed, "b"):
        half.save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "labels.csv").write_text(f"id,label\n{composed}.png,x\nb,y\n", "utf-8")
    options = {"masks": "masks", "mask_classes": ["no", "yes"]}
    data = source(tmp_path, **options, labels="labels.csv", classes=["x", "y"])
    assert {e.id: e.label for e in data.index()} == {composed: 0, "b": 1}
    assert check(data, tmp_path / "cache", tmp_path / "sheet.png").problems == []
    path.write_bytes(b"")
    told = check(source(tmp_path), tmp_path / "cache").text()
    assert "empty file" in told
    told.encode()  # can be printed
    told = check(source(tmp_path / os.fsdecode(raw)), tmp_path / "cache").text()
    assert "no folder" in told
    told.encode()


def palette_mask(path: Path, colours: list[int], indices: np.ndarray) -> None:
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette(colours)
    image.save(path)


@pytest.mark.parametrize("suffix", ["png", "gif", "tif"])
@pytest.mark.parametrize("white", [0, 1])
def test_black_and_white_masks_go_by_their_colours(tmp_path: Path, suffix: str, white: int) -> None:
    (tmp_path / "masks").mkdir()
    Image.new("L", SHAPE).save(tmp_path / "a.png")
    lesion = np.zeros(SHAPE, bool)
    lesion[4:9, 3:12] = True
    colours = [255, 255, 255, 0, 0, 0] if white == 0 else [0, 0, 0, 255, 255, 255]
    path = tmp_path / "masks" / f"a.{suffix}"
    palette_mask(path, colours, np.where(lesion, white, 1 - white))
    data = source(tmp_path, masks="masks", mask_classes=["skin", "lesion"])
    np.testing.assert_array_equal(data.decode(data.index()[0])["mask"], lesion)


def test_a_coloured_palette_counts_from_black_or_is_refused(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    Image.new("L", SHAPE).save(tmp_path / "a.png")
    indices = np.indices(SHAPE)[0] % 3
    path = tmp_path / "masks" / "a.png"
    palette_mask(path, [0, 0, 0, 128, 0, 0, 0, 128, 0], indices)  # as in PASCAL VOC
    data = source(tmp_path, masks="masks", mask_classes=["none", "cat", "dog"])
    np.testing.assert_array_equal(data.decode(data.index()[0])["mask"], indices)
    palette_mask(path, [128, 0, 0, 0, 0, 0, 0, 128, 0], indices)
    with pytest.raises(ValueError, match="a.png: of its palette index 1 is black and 0 is not"):
        source(tmp_path, masks="masks", mask_classes=["none", "cat", "dog"]).decode(data.index()[0])


@pytest.mark.parametrize("levels", [(254, 1), (200, 100)])
def test_a_grey_palette_whose_first_index_is_bright_is_refused(
    tmp_path: Path, levels: tuple[int, int]
) -> None:
    (tmp_path / "masks").mkdir()
    Image.new("L", SHAPE).save(tmp_path / "a.png")
    colours = [level for level in levels for _ in range(3)]
    palette_mask(tmp_path / "masks" / "a.png", colours, np.indices(SHAPE)[0] % 2)
    data = source(tmp_path, masks="masks", mask_classes=["skin", "lesion"])
    with pytest.raises(ValueError, match="palette index 1 is the darkest and 0 is not"):
        data.decode(data.index()[0])


def test_a_deep_mask_with_bright_zero_is_refused(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    Image.new("L", SHAPE).save(tmp_path / "a.png")
    indices = (np.indices(SHAPE)[0] % 2).astype(np.uint16)
    tifffile.imwrite(tmp_path / "masks" / "a.tif", indices, photometric="miniswhite")
    data = source(tmp_path, masks="masks", mask_classes=["skin", "lesion"])
    with pytest.raises(ValueError, match="16-bit grey whose low values are bright"):
        data.decode(data.index()[0])


@pytest.mark.parametrize("wrong", ["a stuck pixel", "an offset", "masks"])
def test_images_of_hardly_any_contrast_are_a_problem(tmp_path: Path, wrong: str) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    for number in range(4):
        pixels = made.levels(np.uint16, SHAPE, 4095)
        if wrong == "a stuck pixel" and number == 0:
            pixels[0, 0] = 65535
        pixels = {"an offset": pixels + 32768, "masks": (pixels % 2).astype(np.uint8)}.get(
            wrong, pixels
        )
        Image.fromarray(pixels).save(root / f"{number}.png")
    [problem] = [p for p in check(source(root), tmp_path / "cache").problems if "levels" in p]
    assert problem.startswith("99.8% of all pixels have the levels ")


@pytest.mark.parametrize(("psnr", "lower"), [(30, 0.0056), (40, 0.0553), (50, 0.523)])
def test_eight_bits_of_the_range_cost_what_is_documented(
    tmp_path: Path, psnr: float, lower: float
) -> None:
    """An estimate scored against the images as they are decoded, and as their files have them."""
    shape, rng = (256, 256), np.random.default_rng(0)
    pixels = rng.integers(4096, size=shape, dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    data = source(tmp_path, size=256, channels="grey")
    exact = pixels / 4095
    decoded = data.decode(data.index()[0])["target"][0] / 255
    estimate = exact + rng.normal(0, 10 ** (-psnr / 20), shape)
    errors = [np.mean((estimate - target) ** 2) for target in (exact, decoded)]
    assert 10 * np.log10(errors[1] / errors[0]) == pytest.approx(lower, abs=0.01 + 0.05 * lower)


def test_a_plan_says_the_range(tmp_path: Path) -> None:
    for number in range(4):
        Image.fromarray(made.levels(np.uint16, SHAPE, 4095)).save(tmp_path / f"{number}.png")
    notes = load(source(tmp_path), tmp_path / "cache").notes
    assert notes[-1] == "more than 8 bits: read as black to white from 0 to 4095"


@pytest.mark.parametrize("type", ["nii", "dcm"])
def test_eight_bits_that_are_rescaled_are_deep(tmp_path: Path, type: str) -> None:
    stored = made.levels(np.uint8, SHAPE, 250)
    for n in range(3):
        if type == "nii":
            made.nifti(tmp_path / f"{n}.nii", stored[None], slope=16)
        else:
            pytest.importorskip("pydicom")
            made.dicom(tmp_path / f"{n}.dcm", stored.astype(np.uint16), RescaleSlope=16)
    data = source(tmp_path, channels="grey")
    assert data.value_range() == (0, 4095)
    expected = np.rint(stored * (16 / 4095) * 255)
    np.testing.assert_allclose(data.decode(data.index()[0])["target"][0], expected, atol=1)
