"""Files of every format are read as other writers wrote them, and written as other readers read
them: by Pillow, tifffile, nibabel and pydicom themselves."""

import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image
from support import image_samples as made

from gradprom.data import formats
from gradprom.data.formats.contents import Contents, Picture

SHAPE = (3, 21, 30)


def values(contents: Contents) -> np.ndarray:
    return np.stack([page.pixels for page in contents.pages])


@pytest.mark.parametrize("type", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("colour", [(), (3,)])
def test_every_page_of_a_tiff(tmp_path: Path, type: type, colour: tuple[int, ...]) -> None:
    pages = made.levels(type, (*SHAPE, *colour), 200)
    made.tiff(tmp_path / "a.tif", pages, compression="zlib")
    found = formats.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(values(found).reshape(pages.shape), pages)
    assert found.pages[0].pixels.dtype == type
    header = formats.header(tmp_path / "a.tif")
    assert (header.pages, header.size, header.deep) == (3, (30, 21), type != np.uint8)


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_both_byte_orders_and_bigtiff(tmp_path: Path, byteorder: str) -> None:
    pages = made.levels(np.uint16, SHAPE, 4095)
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=byteorder, bigtiff=True) as writer:
        for page in pages:
            writer.write(page, metadata=None)
    np.testing.assert_array_equal(values(formats.read(tmp_path / "a.tif"))[..., 0], pages)


def test_a_compression_that_pillow_knows(tmp_path: Path) -> None:
    page = made.levels(np.uint16, SHAPE[1:], 4095)
    Image.fromarray(page).save(tmp_path / "a.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(formats.read(tmp_path / "a.tif").pages[0].pixels[..., 0], page)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_no_page_of_a_truncated_tiff_vanishes(tmp_path: Path, share: float) -> None:
    made.tiff(tmp_path / "a.tif", made.levels(np.uint16, SHAPE, 4095))
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match="a.tif: "):
        formats.read(tmp_path / "a.tif")


def test_frames_of_a_gif(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 5), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    found = values(formats.read(tmp_path / "a.gif"))
    assert found[:, 2, 4].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert formats.header(tmp_path / "a.gif").pages == 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("target", ["L", "RGB"])
def test_datasets_see_what_pillow_converts(tmp_path: Path, mode: str, target: str) -> None:
    from gradprom.data import image_io

    pixels = np.random.default_rng(0).integers(256, size=(12, 17, 3), dtype=np.uint8)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(pixels).convert(mode).save(path)
    with Image.open(path) as image:
        expected = np.asarray(image.convert(target))
    found = image_io.picture(path, 1 if target == "L" else 3)
    np.testing.assert_array_equal(np.asarray(found), expected)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    ("type", "scaling"),
    [(np.int16, (1, 0)), (np.uint16, (2, -100)), (np.int16, (0.5, 3)), (np.float32, (1, 0))],
)
def test_a_volume_is_read_and_written_as_nibabel_does(
    tmp_path: Path, name: str, type: type, scaling: tuple[float, float]
) -> None:
    stored = made.levels(type, SHAPE, 900)
    made.nifti(tmp_path / name, stored, *scaling)
    expected = nibabel.load(tmp_path / name)
    found = formats.read(tmp_path / name)
    np.testing.assert_array_equal(values(found)[..., 0].transpose(2, 1, 0), expected.get_fdata())
    assert formats.header(tmp_path / name).pages == 3
    (tmp_path / "out").mkdir()
    formats.write(tmp_path / "out" / name, found)
    written = nibabel.load(tmp_path / "out" / name)
    np.testing.assert_array_equal(written.get_fdata(), expected.get_fdata())
    np.testing.assert_array_equal(written.affine, expected.affine)
    assert written.get_data_dtype() == expected.get_data_dtype()
    assert written.header.get_xyzt_units() == expected.header.get_xyzt_units()
    assert (written.dataobj.slope, written.dataobj.inter) == scaling


def test_larger_slices_lie_where_the_smaller_ones_lay(tmp_path: Path) -> None:
    made.nifti(tmp_path / "a.nii", made.levels(np.int16, SHAPE, 900))
    found = formats.read(tmp_path / "a.nii")
    pages = [Picture(page.pixels.repeat(2, 0).repeat(2, 1)) for page in found.pages]
    formats.write(tmp_path / "b.nii", found.enlarged(pages))
    before, after = (nibabel.load(tmp_path / name) for name in ("a.nii", "b.nii"))
    assert after.header.get_zooms() == (0.25, 0.25, 3)
    # the corner of the first voxel and the centre of the volume are where they were
    for corner in ((-0.5, -0.5, 0), (SHAPE[2] - 0.5, SHAPE[1] - 0.5, 1)):
        finer = [2 * (corner[0] + 0.5) - 0.5, 2 * (corner[1] + 0.5) - 0.5, corner[2]]
        np.testing.assert_allclose(after.affine @ [*finer, 1], before.affine @ [*corner, 1])


def test_nifti_of_the_second_version_is_read_and_written(tmp_path: Path) -> None:
    import nibabel

    path = tmp_path / "volume.nii.gz"
    values = np.arange(5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3)
    nibabel.Nifti2Image(values, np.diag([0.5, 0.7, 2, 1])).to_filename(path)
    contents = formats.read(path)
    assert len(contents.pages) == 3 and contents.pages[1].size == (5, 4)
    formats.write(tmp_path / "again.nii.gz", contents)
    again = nibabel.load(tmp_path / "again.nii.gz")
    assert type(again) is nibabel.Nifti2Image
    np.testing.assert_array_equal(np.asarray(again.dataobj), values)
    np.testing.assert_array_equal(again.affine, np.diag([0.5, 0.7, 2, 1]))


def test_four_dimensions_are_refused(tmp_path: Path) -> None:
    nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4)).to_filename(tmp_path / "a.nii")
    with pytest.raises(ValueError, match=r"a.nii: an array of shape \(4, 4, 4, 2\)"):
        formats.read(tmp_path / "a.nii")


def test_dicom_in_hounsfield_units_and_back(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    stored = made.levels(np.uint16, SHAPE[1:], 4095)
    made.dicom(tmp_path / "IM1", stored, "p7", RescaleSlope=1, RescaleIntercept=-1024)
    found = formats.read(tmp_path / "IM1")
    np.testing.assert_array_equal(values(found)[0, ..., 0], stored.astype(int) - 1024)
    header = formats.header(tmp_path / "IM1")
    assert (header.pages, header.size) == (1, (30, 21))
    assert header.patient.startswith("patient ") and "p7" not in header.patient
    assert formats.is_dicom(tmp_path / "IM1") and formats.stem(tmp_path / "IM1") == "IM1"
    formats.write(tmp_path / "b.dcm", found)
    before, after = pydicom.dcmread(tmp_path / "IM1"), pydicom.dcmread(tmp_path / "b.dcm")
    np.testing.assert_array_equal(after.pixel_array, stored)
    assert after.PixelSpacing == before.PixelSpacing and after.PatientID == "p7"
    assert after.RescaleIntercept == -1024 and after.BitsStored == 12
    assert after.ImageType[0] == "DERIVED" and after.SOPInstanceUID != before.SOPInstanceUID


def test_dicom_of_several_frames_and_bright_zero(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    stored = made.levels(np.uint16, SHAPE, 4095)
    made.dicom(
        tmp_path / "a.dcm", stored, NumberOfFrames=3, PhotometricInterpretation="MONOCHROME1"
    )
    found = formats.read(tmp_path / "a.dcm")
    assert len(found.pages) == 3 == formats.header(tmp_path / "a.dcm").pages
    planes = found.pages[1].planes((0, 4095))
    np.testing.assert_allclose(planes[0], 1 - stored[1] / 4095, atol=1e-6)
    again = found.pages[1].showing(planes, (0, 4095))
    np.testing.assert_array_equal(again.pixels[..., 0], stored[1])


def test_without_pydicom_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM")
    monkeypatch.setitem(sys.modules, "pydicom", None)  # as if it were not installed
    with pytest.raises(ValueError, match=r"a.dcm: .*pip install 'gradprom\[dicom\]'"):
        formats.read(tmp_path / "a.dcm")


@pytest.mark.parametrize("type", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_written_tiff_is_read_by_tifffile(tmp_path: Path, type: type, alpha: bool) -> None:
    made.tiff(
        tmp_path / "a.tif",
        made.levels(type, (*SHAPE, 4 if alpha else 3), 200),
        resolution=(400, 300),
        resolutionunit=3,
        description="slices of 3 mm",
        **({"extrasamples": ["unassalpha"]} if alpha else {}),
    )
    formats.write(tmp_path / "b.tif", formats.read(tmp_path / "a.tif"))
    with tifffile.TiffFile(tmp_path / "a.tif") as a, tifffile.TiffFile(tmp_path / "b.tif") as b:
        assert len(a.pages) == len(b.pages) == 3
        for before, after in zip(a.pages, b.pages, strict=True):
            np.testing.assert_array_equal(after.asarray(), before.asarray())
            assert after.dtype == before.dtype and after.photometric == before.photometric
            assert after.extrasamples == before.extrasamples
        for tag in ("XResolution", "YResolution", "ResolutionUnit", "ImageDescription"):
            assert b.pages[0].tags[tag].value == a.pages[0].tags[tag].value


@pytest.mark.parametrize("type", [np.uint8, np.uint16])
def test_a_written_png_keeps_its_resolution(tmp_path: Path, type: type) -> None:
    page = Picture(made.levels(type, (5, 7, 3), 200))
    formats.write(tmp_path / "a.png", Contents("PNG", [page], spacing=(11811.0, 7874.0)))
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 200), abs=0.01)
    assert formats.read(tmp_path / "a.png").spacing == pytest.approx((11811, 7874))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_formats_that_pillow_would_reduce_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "a.png", format="PPM")
    with pytest.raises(ValueError, match="a.png: format PPM; convert it"):
        formats.read(tmp_path / "a.png")


def test_pages_of_different_sizes_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for size in (16, 8):
            writer.write(np.zeros((size, size), np.uint8), metadata=None)
    with pytest.raises(ValueError, match="a.tif: images of different sizes or kinds"):
        formats.read(tmp_path / "a.tif")


def test_channels_that_are_no_colours_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
    tifffile.imwrite(path, np.zeros((9, 9, 3), np.uint16), **options)
    with pytest.raises(ValueError, match="a.tif: 3 channels of 16 bits"):
        formats.read(path)


@pytest.mark.parametrize("type", [np.uint16, np.uint8])
def test_bright_zero_in_tiff(tmp_path: Path, type: type) -> None:
    page = made.levels(type, SHAPE[1:], 200)
    made.tiff(tmp_path / "a.tif", page[None], photometric="miniswhite")
    found = formats.read(tmp_path / "a.tif").pages[0]
    top = float(np.iinfo(type).max)
    np.testing.assert_allclose(found.planes((0, top))[0], 1 - page / top, atol=1e-6)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.dcm", "a.tif", "a.png"])
def test_what_is_no_image_is_named(tmp_path: Path, name: str) -> None:
    for content in (b"", b"junk" * 200, b"II*\0" + bytes(400)):
        (tmp_path / name).write_bytes(content)
        for reads in (formats.header, formats.read):
            with pytest.raises(ValueError, match=f"{name}: "):
                reads(tmp_path / name)
