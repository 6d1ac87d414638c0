"""What a sampler draws for an image is the image's own, whatever the batch."""

import pytest
import torch
from torch import Tensor

from gradprom.data.image_noise import ImageNoise
from gradprom.randomness import stream

CPU = torch.device("cpu")
IDS = ["a", "b", "c", "d"]


def drawn(ids: list[str], seed: int = 0) -> dict[str, list[Tensor]]:
    """Three draws in a row of each image, by its id."""
    torch.manual_seed(len(ids))  # what others drew must not matter
    noise = ImageNoise(seed, ids, CPU)
    rows = [noise.normal(2, 5), noise.uniform(7), noise.normal(3)]
    return {id: [row[place] for row in rows] for place, id in enumerate(ids)}


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(map(torch.equal, first, second))


@pytest.mark.parametrize("ids", [["a"], ["c", "a"], ["d", "c", "b", "a"], ["a", "x", "b"]])
def test_an_image_has_its_draws_in_every_batch(ids: list[str]) -> None:
    whole, part = drawn(IDS), drawn(ids)
    for id in set(ids) & set(IDS):
        assert same(whole[id], part[id]), id


def test_draws_go_on_where_the_last_ended_in_the_images_own_stream() -> None:
    generator = torch.Generator().manual_seed(stream("evaluation sampler", 4, "b"))
    expected = [
        torch.randn(2, 5, generator=generator),
        torch.rand(7, generator=generator),
        torch.randn(3, generator=generator),
    ]
    assert same(drawn(IDS, seed=4)["b"], expected)


def test_images_and_seeds_differ() -> None:
    first, other = drawn(IDS), drawn(IDS, seed=1)
    rows = [value[0].flatten().tolist() for told in (first, other) for value in told.values()]
    assert len({tuple(row) for row in rows}) == 2 * len(IDS)


def test_shapes_types_and_distributions() -> None:
    noise = ImageNoise(0, IDS, CPU)
    normal, uniform = noise.normal(3, 64, 64), noise.uniform(3, 64, 64)
    assert normal.shape == uniform.shape == (4, 3, 64, 64)
    assert normal.dtype == uniform.dtype == torch.float32
    count = normal[0].numel()
    for image in normal:
        assert abs(float(image.mean())) < 5 / count**0.5
        assert float(image.var()) == pytest.approx(1, abs=5 * (2 / count) ** 0.5)
    assert 0 <= float(uniform.min()) and float(uniform.max()) < 1
    for image in uniform:
        assert float(image.mean()) == pytest.approx(0.5, abs=5 * (1 / 12 / count) ** 0.5)


def test_drawing_leaves_the_process_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    ImageNoise(0, IDS, CPU).normal(5)
    assert torch.equal(torch.rand(4), expected)
