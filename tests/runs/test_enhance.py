"""Pictures, tiles, and `gradprom enhance`."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import tiny_runs
from support.datasets import covid_ct_folder
from torch.nn import functional as F

from gradprom import cli
from gradprom.data import image_files
from gradprom.data.image_files import Picture
from gradprom.errors import DataError, RunError
from gradprom.models.enhancers import resnet_encoder, srresnet
from gradprom.runs import inference

KINDS = [(kind, c, alpha) for kind in (np.uint8, np.uint16) for c in (1, 3) for alpha in (0, 1)]


def random_picture(kind: type, channels: int, alpha: int, size=(37, 61), seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    top = np.iinfo(kind).max
    pixels = rng.integers(0, top, (*size, channels), kind, endpoint=True)
    return Picture(pixels, rng.integers(0, top, size, kind, endpoint=True) if alpha else None)


# tiles


@given(
    length=st.integers(1, 3000),
    tile=st.sampled_from([256, 288, 512]),
    scale=st.sampled_from([1, 2, 3, 4]),
)
def test_weights_of_the_tiles_add_up_to_one_everywhere(length: int, tile: int, scale: int) -> None:
    total = np.zeros(scale * length)
    for span, weights in inference._spans(length, tile, scale):
        assert span.start % inference.GRID == 0
        assert len(weights) == scale * (span.stop - span.start) <= scale * tile
        total[scale * span.start : scale * span.stop] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


def trained_looking(network: torch.nn.Module) -> torch.nn.Module:
    """BatchNorm statistics that are not those of a fresh network."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def neighbourhood_mean(x: torch.Tensor) -> torch.Tensor:
    """All that a network of SR-ResNet's reach, 41 pixels to each side, can see weighs the same."""
    rows = F.avg_pool2d(x, (83, 1), stride=1, padding=(41, 0))
    return F.avg_pool2d(rows, (1, 83), stride=1, padding=(0, 41))


def published_srresnet() -> torch.nn.Module:
    """As deep as the published one."""
    torch.manual_seed(0)
    return trained_looking(srresnet.build(srresnet.Options(channels=2, blocks=16), 1))


@pytest.mark.parametrize("size", [(1, 257), (300, 391), (33, 600), (385, 64)])
@pytest.mark.parametrize("network", [neighbourhood_mean, published_srresnet()])
def test_tiles_give_what_the_whole_picture_gives(
    size: tuple[int, int], network: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    image = np.random.default_rng(0).random((1, *size), np.float32)
    with torch.no_grad():
        whole = network(torch.from_numpy(image[None]))[0].numpy()
        tiled = inference.enhance(network, image, 1, tile=256)
        cut = network(torch.from_numpy(image[None, ..., :40]))[0].numpy()
    tolerance = 1e-4 * whole.std()
    assert np.abs(cut - whole[..., :40]).max() > 100 * tolerance  # a border does show
    np.testing.assert_allclose(tiled, whole, atol=tolerance)


@pytest.mark.parametrize(("scale", "size"), [(2, (300, 391)), (3, (33, 300)), (4, (33, 300))])
def test_tiles_of_an_enlarging_network_give_what_the_whole_picture_gives(
    scale: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    options = srresnet.Options(channels=4, blocks=2, global_skip=True)
    network = trained_looking(srresnet.build(options, 1, scale))
    image = np.random.default_rng(0).random((1, *size), np.float32)
    with torch.no_grad():
        whole = network(torch.from_numpy(image[None]))[0].numpy()
        tiled = inference.enhance(network, image, 1, tile=256, scale=scale)
        cut = network(torch.from_numpy(image[None, ..., :40]))[0].numpy()
    assert np.abs(cut - whole[..., : 40 * scale]).max() > 1e-2  # a border does show
    assert tiled.shape == (1, scale * size[0], scale * size[1])
    # thirds of a pixel round, halves do not
    np.testing.assert_allclose(tiled, whole, atol=5e-5 if scale == 3 else 1e-5)


def test_the_fade_of_an_enlarged_tile_is_the_fade_enlarged() -> None:
    plain = inference._fade_in(1)
    np.testing.assert_allclose(inference._fade_in(4)[1::4], plain, atol=0.02)
    assert np.count_nonzero(inference._fade_in(4) == 0) == 4 * inference.MARGIN


def test_no_seams_where_the_network_sees_the_whole_tile() -> None:
    image = np.random.default_rng(0).random((1, 300, 700), np.float32)
    image[..., :350] += 1
    enhanced = inference.enhance(
        lambda x: x.mean(dim=(2, 3), keepdim=True).expand_as(x), image, 1, tile=256
    )
    levels = enhanced.max() - enhanced.min()
    assert levels > 0.5
    # the steepest place of sin² over the fade
    steepest = levels * np.pi / 2 / inference.FADE
    assert np.abs(np.diff(enhanced, axis=2)).max() <= steepest
    assert np.abs(np.diff(enhanced, axis=1)).max() <= steepest


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (33, 47), (257, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_can_be_enhanced(size: tuple[int, int], channels: int) -> None:
    torch.manual_seed(0)
    networks = (
        srresnet.build(srresnet.Options(channels=4, blocks=1), channels),
        resnet_encoder.build(resnet_encoder.Options("resnet_encoder", "resnet18", False), channels),
    )
    image = np.random.default_rng(0).random((channels, *size), np.float32)
    for network in networks:
        with torch.no_grad():
            enhanced = inference.enhance(network.eval(), image, channels, tile=256)
        assert enhanced.shape == image.shape and np.isfinite(enhanced).all()


def test_a_colour_network_sees_grey_as_three_equal_channels() -> None:
    image = np.random.default_rng(0).random((1, 9, 7), np.float32)

    def network(x: torch.Tensor) -> torch.Tensor:
        assert x.shape == (1, 3, 9, 7) and (x == torch.from_numpy(image)).all()
        return x * torch.tensor([0.1, 0.2, 0.6]).view(3, 1, 1)

    np.testing.assert_allclose(inference.enhance(network, image, 3), image * 0.3, rtol=1e-6)


def test_a_grey_network_sees_each_colour_alone() -> None:
    image = np.random.default_rng(0).random((3, 9, 7), np.float32)

    def network(x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1] == 1
        return x / 2

    np.testing.assert_array_equal(inference.enhance(network, image, 1), image / 2)


@pytest.mark.parametrize("tile", [0, 100, 224, 300])
def test_tiles_of_no_use_are_refused(tile: int) -> None:
    with pytest.raises(RunError, match=f"tile={tile}: allowed are multiples of 32 from 256 on"):
        inference.enhance(lambda x: x, np.zeros((1, 8, 8), np.float32), 1, tile=tile)


# pictures


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


# the command


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with an enhancer for colour, one for grey, and a recognizer."""
    root = tmp_path_factory.mktemp("enhance")
    covid_ct_folder(root / "data")
    path = root / "results"
    tiny_runs.train(path, *tiny_runs.PHANTOM, "strategy=mainstream", "study=colour")
    tiny_runs.train(path, *tiny_runs.PHANTOM, "method=recognizer", "study=recognizer")
    small = (*tiny_runs.PHANTOM, "degradation=downsample", "scale=2")
    tiny_runs.train(path, *small, "strategy=mainstream", "study=twice")
    tiny_runs.train(
        path,
        *tiny_runs.SMALL,
        "dataset=covid_ct",
        f"data_root={root / 'data'}",
        "strategy=mainstream",
        "study=grey",
    )
    return path


def only_run(results: Path, study: str) -> str:
    (run,) = (results / study / "runs").iterdir()
    return run.name


def enhance(results: Path, study: str, source: Path, output: Path) -> None:
    run = only_run(results, study)[:6]
    cli.main(
        [
            "enhance",
            "--run",
            run,
            str(source),
            "-o",
            str(output),
            "--device",
            "cpu",
            f"study={study}",
            f"results={results}",
        ]
    )


@pytest.mark.parametrize("study", ["colour", "grey"])
def test_a_folder_keeps_bit_depths_and_channels(
    tmp_path: Path, results: Path, study: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, channels, alpha in KINDS:
        name = f"{kind.__name__}-{channels}-{alpha}.png"
        image_files.write(tmp_path / "in" / name, random_picture(kind, channels, alpha))
    enhance(results, study, tmp_path / "in", tmp_path / "out")
    told = capsys.readouterr().out
    assert "uint16-3-1.png  61×37, 16-bit colour, transparency kept" in told
    for kind, channels, alpha in KINDS:
        name = f"{kind.__name__}-{channels}-{alpha}.png"
        given, found = (image_files.read(tmp_path / part / name) for part in ("in", "out"))
        assert (found.pixels.dtype, found.pixels.shape) == (kind, given.pixels.shape)
        assert (found.pixels != given.pixels).mean() > 0.5
        if alpha:
            np.testing.assert_array_equal(found.alpha, given.alpha)


def test_a_run_on_small_inputs_makes_pictures_larger(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = random_picture(np.uint8, 3, 1)
    image_files.write(tmp_path / "a.png", given)
    enhance(results, "twice", tmp_path / "a.png", tmp_path / "b.png")
    found = image_files.read(tmp_path / "b.png")
    assert "b.png  122×74, 8-bit colour, transparency kept" in capsys.readouterr().out
    assert found.pixels.shape == (74, 122, 3)
    assert found.alpha is not None and found.alpha.shape == (74, 122)


def test_the_command_gives_what_the_method_gives(tmp_path: Path, results: Path) -> None:
    run = tiny_runs.make(results, *tiny_runs.PHANTOM, "strategy=mainstream", "study=colour")
    assert run.id == only_run(results, "colour")
    images = run.images()
    from gradprom.runs.restore import restored_method

    record = run.study.record(run.id)
    assert record is not None
    method = restored_method(run, record, torch.device("cpu"))
    clean = images.target[0].permute(1, 2, 0).numpy()
    image_files.write(tmp_path / "a.png", Picture(clean, None))
    enhance(results, "colour", tmp_path / "a.png", tmp_path / "out" / "b.png")
    expected = method.enhance(images.target[:1].float() / 255)[0].permute(1, 2, 0)
    found = image_files.read(tmp_path / "out" / "b.png").pixels
    np.testing.assert_array_equal(found, (expected.numpy() * 255).round())


def test_an_output_that_is_there_is_said_to_be_replaced(
    tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image_files.write(tmp_path / "a.png", random_picture(np.uint8, 1, 0))
    for replaced in (False, True):
        enhance(results, "grey", tmp_path / "a.png", tmp_path / "b.png")
        assert ("(replaced)" in capsys.readouterr().out) == replaced


def test_wrong_requests_are_one_sentence(tmp_path: Path, results: Path) -> None:
    image_files.write(tmp_path / "a.png", random_picture(np.uint8, 3, 0))
    output = tmp_path / "b.png"
    with pytest.raises(SystemExit, match="gradprom: a run of method=recognizer has no enhancer"):
        enhance(results, "recognizer", tmp_path / "a.png", output)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SystemExit, match="^gradprom: .*text.png: not an image; an 8- or 16-bit"):
        enhance(results, "colour", tmp_path / "text.png", output)
    with pytest.raises(SystemExit, match="gradprom: study colour has no run nosuch"):
        cli.main(
            [
                "enhance",
                "--run",
                "nosuch",
                str(tmp_path / "a.png"),
                "-o",
                str(output),
                "study=colour",
                f"results={results}",
            ]
        )
    assert not output.exists()


def stored_weights(results: Path, study: str) -> Path:
    record = tiny_runs.Study(results, study).resolve("")
    (folder,) = (results / "stages").glob(f"{record.training_id}-*")
    return folder / "artefact.pt"


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        ("gone", "the weights of run .* are gone: there is no .*artefact.pt; `gradprom rerun"),
        ("damaged", "the weights of run .* cannot be used: .* is damaged"),
        ("other", "the weights of run .* are those of another architecture .*size mismatch"),
        ("config", "the stored configuration does not fit this version: .*channels=0"),
        ("unknown", "config.yaml does not fit this version: .*nosuchkey"),
        ("started", "run .* has no results: it is running or was interrupted"),
    ],
)
def test_weights_of_no_use_are_one_sentence(
    tmp_path: Path, results: Path, harm: str, sentence: str
) -> None:
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    weights, study = stored_weights(copy, "colour"), tiny_runs.Study(copy, "colour")
    record = study.resolve("")
    yaml = study.run(record.id) / "config.yaml"
    if harm == "gone":
        weights.unlink()
    elif harm == "damaged":
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
    elif harm == "other":
        yaml.write_text(yaml.read_text().replace("channels: 4", "channels: 5"))
    elif harm == "config":
        yaml.write_text(yaml.read_text().replace("channels: 4", "channels: 0"))
    elif harm == "unknown":
        yaml.write_text(yaml.read_text() + "nosuchkey: 1\n")
    else:
        record = replace(record, status="started")
    study.write_record(record)  # as a version that wrote such a configuration would have left it
    image_files.write(tmp_path / "a.png", random_picture(np.uint8, 3, 0))
    with pytest.raises(SystemExit, match=sentence):
        enhance(copy, "colour", tmp_path / "a.png", tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()
