"""`gradprom.load`: an exported run as a function of arrays, tensors and files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.exported import export
from support.pictures import KINDS, random_picture, write

import gradprom
from gradprom.config import composing, folders
from gradprom.data import formats
from gradprom.data.formats.contents import Contents, Picture
from gradprom.errors import GradpromError, RunError
from gradprom.methods.base import Method
from gradprom.runs import inference
from gradprom.runs.load import Exported


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, Method]:
    folder, method = export(tmp_path_factory.mktemp("colour"), "auxiliary=diagnosis")
    return gradprom.load(folder), method


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, Method]:
    small = ("degradation=downsample", "scale=2", "strategy=mainstream")
    folder, method = export(tmp_path_factory.mktemp("twice"), *small)
    return gradprom.load(folder), method


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, Method]:
    folder, method = export(
        tmp_path_factory.mktemp("grey"),
        *("dataset=folder", "dataset.channels=grey", "auxiliary=none", "strategy=mainstream"),
    )
    return gradprom.load(folder), method


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


# tensors and arrays


def test_a_tensor_becomes_what_the_method_makes_of_it(colour: Any, twice: Any) -> None:
    for loaded, method in (colour, twice):
        batch = images(2, 3, 33, 20)
        expected = method.enhance(batch)
        assert torch.equal(loaded(batch), expected)
        assert torch.equal(loaded(batch[0]), method.enhance(batch[:1])[0])
        assert not loaded(batch.requires_grad_()).requires_grad
    assert expected.shape == (2, 3, 66, 40)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.uint8])
def test_a_tensor_keeps_its_type(colour: Any, dtype: torch.dtype) -> None:
    loaded, method = colour
    white = 1 if dtype.is_floating_point else 255
    given = (images(1, 3, 17, 12) * white).to(dtype)
    expected = method.enhance(given.float() / white) * white
    found = loaded(given)
    assert found.dtype == dtype and found.shape == given.shape
    tolerance = {torch.bfloat16: 0.01, torch.float16: 1e-3, torch.uint8: 0.5001}.get(dtype, 1e-6)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("dtype", "white"),
    [("uint8", 255), ("uint16", 65535), ("float32", 1), ("float64", 1), ("float16", 1)],
)
@pytest.mark.parametrize("shape", [(33, 20), (33, 20, 1), (33, 20, 3)])
def test_an_array_keeps_its_type_and_form(
    colour: Any, dtype: str, white: int, shape: tuple[int, ...]
) -> None:
    loaded, method = colour
    given = (np.random.default_rng(0).random(shape) * white).astype(dtype)
    found = loaded(given)
    assert found.dtype == given.dtype and found.shape == given.shape
    planes = np.atleast_3d(given.astype(np.float32)).transpose(2, 0, 1) / white
    three = torch.from_numpy(planes).expand(3, -1, -1)[None]
    expected = method.enhance(three)[0].numpy() * white
    if planes.shape[0] == 1:  # a grey picture is three equal channels
        expected = expected.mean(0, keepdims=True)
    tolerance = {"float16": 1e-3, "uint8": 0.501, "uint16": 0.51}.get(dtype, 1e-6)
    shown = np.atleast_3d(found.astype(np.float32)).transpose(2, 0, 1)
    np.testing.assert_allclose(shown, expected, rtol=0, atol=tolerance)


def test_a_network_of_grey_images_sees_each_channel_alone(grey: Any) -> None:
    loaded, method = grey
    batch = images(2, 3, 20, 24)
    expected = torch.stack([method.enhance(image[:, None])[:, 0] for image in batch])
    torch.testing.assert_close(loaded(batch), expected, rtol=0, atol=1e-6)
    assert loaded(batch[:, :1].numpy()[0, 0]).shape == (20, 24)


def test_transparency_is_kept_and_enlarged(colour: Any, twice: Any) -> None:
    picture = random_picture(np.uint16, 3, 1)
    given = np.dstack([picture.pixels, picture.alpha])
    found = colour[0](given)
    np.testing.assert_array_equal(found[..., 3], given[..., 3])
    np.testing.assert_array_equal(found[..., :3], colour[0](given[..., :3]))
    larger = twice[0](given)
    assert larger.shape == (74, 122, 4) and larger.dtype == np.uint16


@pytest.mark.parametrize("size", [(1, 1), (300, 520), (257, 31)])
def test_any_size_is_taken_in_tiles(colour: Any, size: tuple[int, int]) -> None:
    _, method = colour
    loaded = Exported.__new__(Exported)
    loaded.method, loaded.device, loaded.tile = method, torch.device("cpu"), 256
    given = images(1, 3, *size)
    # four channels, one block: it sees 9 + 4 pixels to each side, less than a tile's margin
    torch.testing.assert_close(loaded(given), method.enhance(given), rtol=0, atol=1e-5)


def test_a_tile_that_cannot_be_is_refused(colour: Any, tmp_path: Path) -> None:
    folder, _ = export(tmp_path, "strategy=mainstream")
    with pytest.raises(RunError, match="tile=100: allowed are multiples of 32 from 256 on"):
        gradprom.load(folder, tile=100)(images(3, 8, 8))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.zeros((4, 4), bool), "images of bool: allowed are integers and floats"),
        (np.full((4, 4), -1000), r"values from -1000 to -1000.*give values=\(black, white\)"),
        (np.full((4, 4), 255.0), "values from 255 to 255.*which of them are black and white"),
        (np.full((4, 4), np.nan), "not a number"),
        (np.zeros((2, 4, 4, 3)), r"shape \[2, 4, 4, 3\]: allowed are \[H, W\] or \[H, W, C\]"),
        (np.zeros((3, 4, 8)), "images of 8 channel.*allowed are 1 or 3"),
        (np.zeros((0, 4)), "0×4 pixels.*at least one pixel"),
        (torch.zeros(4, 4), r"shape \[4, 4\]: allowed are \[C, H, W\] or \[N, C, H, W\]"),
        (torch.zeros(2, 4, 4, dtype=torch.int64), "allowed are 1 or 3"),
        (7, "int is no image"),
        ("nowhere.png", "nowhere.png: No such file"),
    ],
)
def test_what_is_no_image_is_one_sentence(colour: Any, given: Any, told: str) -> None:
    with pytest.raises(GradpromError, match=told) as caught:
        colour[0](given)
    assert "\n" not in str(caught.value)


def test_noise_may_go_beyond_the_range(colour: Any) -> None:
    loaded, method = colour
    noisy = images(1, 3, 16, 16) + 0.5 * torch.randn(1, 3, 16, 16).clamp(-1.9, 1.9)
    assert noisy.min() < 0 and noisy.max() > 1
    assert torch.equal(loaded(noisy), method.enhance(noisy))


# files


@pytest.mark.parametrize(("kind", "channels", "alpha"), KINDS)
def test_a_file_is_enhanced_in_its_own_depth(
    colour: Any, tmp_path: Path, kind: Any, channels: int, alpha: int
) -> None:
    loaded, method = colour
    picture = random_picture(kind, channels, alpha)
    write(tmp_path / "a.png", picture)
    values = (0.0, float(np.iinfo(kind).max))
    planes = inference.enhance(method.enhance, picture.planes(values), 3)
    expected = picture.showing(planes, values)
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        found = np.atleast_3d(loaded(path))
        assert found.dtype == kind
        np.testing.assert_array_equal(found[..., :channels], expected.pixels)
        assert (found.shape[2] == channels + 1) == bool(alpha)


def test_twelve_bits_in_sixteen_are_read_as_such(colour: Any, tmp_path: Path) -> None:
    """As an array, a tensor and a file; the oracle is the method on values that end at 4095."""
    loaded, method = colour
    given = np.random.default_rng(0).integers(0, 4095, (20, 24, 3), np.uint16, endpoint=True)
    given[0, 0] = 4095
    planes = torch.from_numpy(given.astype(np.float32) / 4095).permute(2, 0, 1)[None]
    expected = np.rint(method.enhance(planes)[0].permute(1, 2, 0).numpy() * 4095)
    found = loaded(given)
    assert found.dtype == np.uint16 and np.abs(found - expected).max() <= 1
    write(tmp_path / "a.png", Picture(given))
    np.testing.assert_array_equal(loaded(tmp_path / "a.png"), found)
    tensor = loaded(torch.from_numpy(given.astype(np.int32)).permute(2, 0, 1))
    np.testing.assert_array_equal(tensor.permute(1, 2, 0).numpy(), found)


def test_values_below_zero_need_a_range_and_keep_it(grey: Any) -> None:
    loaded, method = grey
    given = np.random.default_rng(0).integers(-1000, 1000, (20, 24), np.int16)
    planes = torch.from_numpy((given.astype(np.float32) + 160) / 400)[None, None]
    expected = np.rint(method.enhance(planes)[0, 0].numpy() * 400 - 160)
    found = loaded(given, values=(-160, 240))
    assert found.dtype == np.int16 and np.abs(found - expected).max() <= 1
    for wrong in [(240, -160), (1,), (0, np.inf)]:
        with pytest.raises(RunError, match="two values"):
            loaded(given, values=wrong)


def test_a_stack_is_an_array_of_its_images(grey: Any, tmp_path: Path) -> None:
    loaded, _ = grey
    pages = [random_picture(np.uint16, 1, 0, seed=n) for n in range(3)]
    formats.write(tmp_path / "a.tif", Contents("TIFF", pages))
    found = loaded(tmp_path / "a.tif")
    assert found.shape == (3, 37, 61) and found.dtype == np.uint16
    for page, enhanced in zip(pages, found, strict=True):
        np.testing.assert_array_equal(enhanced, loaded(page.pixels[..., 0]))


# the networks


def test_it_says_which_network_restores(colour: Any, tmp_path: Path) -> None:
    loaded, method = colour
    assert loaded.restorer == "enhancer" and set(loaded.networks) == {"enhancer", "diagnosis"}
    batch = images(1, 3, 16, 16)
    with torch.no_grad():
        restored = loaded.networks[loaded.restorer](batch).clamp(0, 1)
    assert torch.equal(restored, method.enhance(batch)) and "enhancer restores" in repr(loaded)


def test_a_recognizer_has_networks_alone(tmp_path: Path) -> None:
    folder, method = export(tmp_path, "method=recognizer", "auxiliary=diagnosis")
    loaded = gradprom.load(folder)
    batch = images(2, 3, 32, 32)
    with torch.no_grad():
        found, expected = (m.networks["diagnosis"](batch) for m in (loaded, method))
    assert torch.equal(found, expected) and loaded.restorer == ""
    with pytest.raises(RunError, match="method=recognizer has no enhancer that takes an image"):
        loaded(batch)


# elsewhere


def test_in_a_new_process_from_a_moved_folder(colour: Any, tmp_path: Path) -> None:
    """Without Hydra, without records, and only torch when it is used."""
    folder, method = export(tmp_path / "here", "strategy=mainstream")
    moved = str(shutil.move(folder, tmp_path / "there"))
    shutil.rmtree(tmp_path / "here")
    np.save(tmp_path / "a.npy", images(20, 30, 3).numpy())
    code = f"""
import sys, gradprom
assert "torch" not in sys.modules and "numpy" not in sys.modules
import numpy as np
np.save({str(tmp_path / "b.npy")!r}, gradprom.load({moved!r})(np.load({str(tmp_path / "a.npy")!r})))
from hydra.core.global_hydra import GlobalHydra
assert not GlobalHydra.instance().is_initialized()
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    expected = method.enhance(images(20, 30, 3).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), expected.numpy())


def test_without_the_repositorys_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, method = export(tmp_path, "strategy=mainstream")
    for module in (folders, composing):
        monkeypatch.setattr(module, "CONF", tmp_path / "nowhere")
    assert torch.equal(
        gradprom.load(folder)(images(3, 9, 9)), method.enhance(images(1, 3, 9, 9))[0]
    )


def test_a_method_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder, _ = export(tmp_path, "strategy=mainstream")
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("name: task_driven", "name: of_a_plugin"))
    with pytest.raises(RunError, match="method.name=of_a_plugin is unknown"):
        gradprom.load(folder)
    with pytest.raises(RunError, match="there is no .*config.yaml"):
        gradprom.load(tmp_path / "nowhere")


@pytest.mark.parametrize("device", ["cuda:99", "cudda"])
def test_a_device_that_is_not_there_is_named(tmp_path: Path, device: str) -> None:
    folder, _ = export(tmp_path, "strategy=mainstream")
    with pytest.raises(RunError, match=f"^device={device} cannot be used here: [^\n]+$"):
        gradprom.load(folder, device=device)


def test_the_package_has_no_other_late_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        gradprom.lode  # noqa: B018
