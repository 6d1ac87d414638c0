"""Tiles give what the whole picture gives, for any size, channels and enlargement."""

import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from gradprom.data.formats.contents import Contents, Picture
from gradprom.errors import RunError
from gradprom.models.enhancers import resnet_encoder, srresnet
from gradprom.runs import enhancement, inference


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


def test_rows_come_once_and_in_order() -> None:
    image = np.random.default_rng(0).random((2, 1, 700, 300), np.float32)
    parts = list(
        inference.bands(lambda x: x, lambda *at: image[..., *at], (700, 300), 1, 256, "cpu", 1)
    )
    assert [rows.start for rows, _ in parts] == [0, *(rows.stop for rows, _ in parts[:-1])]
    np.testing.assert_allclose(np.concatenate([p for _, p in parts], 2), image, atol=1e-6)


@pytest.mark.parametrize("given", [1, 3])
def test_a_large_picture_takes_little_more_memory_than_its_pixels(given: int) -> None:
    pixels = np.random.default_rng(0).integers(256, size=(12000, 300, given), dtype=np.uint8)
    picture = Contents("PNG", [Picture(pixels)])
    facts, degradation = SimpleNamespace(channels=3), SimpleNamespace(scale=1)
    config = SimpleNamespace(facts=facts, degradation=degradation)
    method: Any = SimpleNamespace(config=config, enhance=lambda x: x)
    tracemalloc.start()
    result = enhancement.enhanced(method, picture, (0, 255), 256, "cpu")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(result.pages[0].pixels, pixels)
    floats = 4 * 3 * 256 * 300  # of a band of the network's channels
    assert peak < pixels.nbytes + 12 * floats < 4 * 3 * 12000 * 300


@pytest.mark.parametrize("tile", [0, 100, 224, 300])
def test_tiles_of_no_use_are_refused(tile: int) -> None:
    with pytest.raises(RunError, match=f"tile={tile}: allowed are multiples of 32 from 256 on"):
        inference.enhance(lambda x: x, np.zeros((1, 8, 8), np.float32), 1, tile=tile)
