import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from gradprom.data import augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(count: int, seed: int = 0) -> torch.Tensor:
    """Maps for images from files of twice the working size."""
    return augment.draw(count, generator(seed), torch.full((count,), 0.5, dtype=torch.float64))


def smooth(*shape: int) -> torch.Tensor:
    noise = np.random.default_rng(0).random(shape)
    return torch.from_numpy(ndimage.gaussian_filter(noise, (0, 0, 2, 2))).float()


def one(flip_x: bool = False, flip_y: bool = False, degrees: float = 0, scale: float = 1):
    values = (flip_x, flip_y, math.radians(degrees), scale)
    return augment.compose(*(torch.tensor([value], dtype=torch.float64) for value in values))


def by_scipy(image: np.ndarray, affine: np.ndarray, order: int) -> np.ndarray:
    """The same map for one channel [H,W]; scipy's axes are (y, x) and its origin a corner."""
    matrix = affine[::-1, 1::-1]
    center = (np.array(image.shape) - 1) / 2
    offset = center + affine[::-1, 2] - matrix @ center
    return ndimage.affine_transform(image, matrix, offset, order=order, mode="reflect")


@pytest.mark.parametrize("height, width", [(24, 24), (20, 31)])
def test_agrees_with_scipy_image_by_image(height: int, width: int) -> None:
    images = smooth(16, 2, height, width)
    mask = (images[:, 0] * 40).long()
    affine = drawn(16)
    sampled, sampled_mask = augment.apply(images, affine), augment.apply_to_mask(mask, affine)
    for i, matrix in enumerate(affine.double().numpy()):
        for channel in range(2):
            expected = by_scipy(images[i, channel].double().numpy(), matrix, order=1)
            np.testing.assert_allclose(sampled[i, channel].numpy(), expected, atol=1e-5)
        expected = by_scipy(mask[i].numpy(), matrix, order=0)
        # A point half-way between two pixels may fall to either of them.
        assert (sampled_mask[i].numpy() == expected).mean() > 0.99


def test_mirrors_beyond_the_border_as_scipy_does() -> None:
    images = smooth(1, 1, 12, 15)
    affine = torch.tensor([[[2.7, 0.4, 3.0], [-0.5, 3.1, -4.0]]])
    sampled = augment.apply(images, affine)
    expected = by_scipy(images[0, 0].double().numpy(), affine[0].double().numpy(), order=1)
    np.testing.assert_allclose(sampled[0, 0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (7, 12), (256, 255)])
def test_identity_and_flips_are_exact(size: tuple[int, int]) -> None:
    images = torch.rand(1, 3, *size, generator=generator())
    mask = torch.randint(0, 5, (1, *size), generator=generator())
    for flip_x, flip_y in ((False, False), (True, False), (False, True), (True, True)):
        affine = one(flip_x, flip_y)
        sampled, sampled_mask = augment.apply(images, affine), augment.apply_to_mask(mask, affine)
        axes = [axis for axis, flip in ((-1, flip_x), (-2, flip_y)) if flip]
        assert torch.equal(sampled, images.flip(axes))
        assert torch.equal(sampled_mask, mask.flip(axes))


def test_rotation_agrees_with_torchvision() -> None:
    from torchvision.transforms.v2 import functional as tv

    images = smooth(1, 1, 64, 64)
    sampled = augment.apply(images, one(degrees=10))
    expected = tv.rotate(images, 10, interpolation=tv.InterpolationMode.BILINEAR)
    inner = (..., slice(8, -8), slice(8, -8))  # torchvision fills the corners with zeros
    torch.testing.assert_close(sampled[inner], expected[inner], atol=1e-4, rtol=0)


def test_centre_crop_agrees_with_torchvision() -> None:
    from torchvision.transforms.v2 import functional as tv

    images = smooth(1, 3, 64, 48)
    sampled = augment.apply(images, one(scale=0.5))
    expected = tv.resize(tv.center_crop(images, [32, 24]), [64, 48], antialias=False)
    inner = (..., slice(1, -1), slice(1, -1))  # at its edge the crop still has neighbours
    torch.testing.assert_close(sampled[inner], expected[inner], atol=1e-5, rtol=0)


def test_image_and_mask_have_the_same_geometry() -> None:
    mask = torch.zeros(32, 40, 40, dtype=torch.int64)
    mask[:, 5:22, 9:31] = 1
    affine = drawn(32)
    sampled = augment.apply(mask.float().unsqueeze(1), affine)
    sampled_mask = augment.apply_to_mask(mask, affine)
    # Of four neighbours weighted bilinearly the nearest decides unless the value is near ½.
    clear = (sampled[:, 0] - 0.5).abs() > 0.26
    assert clear.float().mean() > 0.9
    assert torch.equal((sampled[:, 0] > 0.5)[clear], sampled_mask.bool()[clear])


def test_draw_covers_the_papers_ranges_and_nothing_else() -> None:
    affine = drawn(4000).double()
    scale = affine[:, :, 0].norm(dim=1)
    flip_x, flip_y = affine[:, 0, 0] < 0, affine[:, 1, 1] < 0
    sign = 1 - 2 * flip_x.double()
    degrees = torch.atan2(affine[:, 1, 0] * sign, affine[:, 0, 0] * sign).rad2deg()
    assert 0.5 - 1e-6 <= scale.min() < 0.505 and 0.995 < scale.max() <= 1 + 1e-6
    assert -10 - 1e-4 <= degrees.min() < -9.9 and 9.9 < degrees.max() <= 10 + 1e-4
    assert abs(scale.mean() - 0.75) < 0.01 and abs(degrees.mean()) < 0.5
    for flip in (flip_x, flip_y, flip_x & flip_y):
        expected = 0.25 if flip is not flip_x and flip is not flip_y else 0.5
        assert abs(flip.double().mean() - expected) < 0.03
    assert torch.equal(affine[:, :, 2], torch.zeros(4000, 2, dtype=torch.float64))


def test_draw_follows_from_the_generator() -> None:
    for draw in (drawn, lambda count, seed: augment.draw(count, generator(seed))):
        assert torch.equal(draw(8, 3), draw(8, 3)) and not torch.equal(draw(8, 3), draw(8, 4))


def test_values_stay_in_range_and_types_are_kept() -> None:
    images = torch.rand(8, 3, 16, 16, generator=generator())
    mask = torch.randint(0, 4, (8, 16, 16), generator=generator())
    affine = drawn(8)
    sampled, sampled_mask = augment.apply(images, affine), augment.apply_to_mask(mask, affine)
    assert sampled.dtype == torch.float32 and sampled_mask.dtype == torch.int64
    assert sampled.min() >= images.min() and sampled.max() <= images.max()
    assert set(sampled_mask.unique().tolist()) <= {0, 1, 2, 3}


def test_white_and_black_stay_in_range_and_beyond_the_border_there_is_nothing_else() -> None:
    affine = drawn(64)
    for size, sample in itertools.product((64, 50), (augment.apply, augment.apply_to_finer)):
        white = sample(torch.ones(64, 1, size, size), affine)
        assert 1 - 1e-6 < white.min() and white.max() <= 1
        assert not sample(torch.zeros(64, 1, size, size), affine).any()


@pytest.mark.parametrize("size", [(16, 16), (10, 24)])
def test_a_stored_mask_is_sampled_as_its_class_numbers_are(size: tuple[int, int]) -> None:
    mask = torch.randint(0, 256, (8, *size), generator=generator())
    affine = drawn(8)
    expected = augment.apply_to_mask(mask, affine)
    sampled = augment.apply_to_mask(mask.byte(), affine)
    assert sampled.dtype == torch.uint8
    assert torch.equal(sampled.long(), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_every_device_sees_the_same_images() -> None:
    images = smooth(8, 3, 64, 64)
    mask = (images[:, 0] * 40).long()
    affine = drawn(8)
    for sample in (augment.apply, augment.apply_to_finer):
        here, there = sample(images, affine), sample(images.cuda(), affine)
        torch.testing.assert_close(there.cpu(), here, atol=1e-5, rtol=0)
    same = augment.apply_to_mask(mask.cuda(), affine).cpu() == augment.apply_to_mask(mask, affine)
    assert same.float().mean() > 0.999


# finer images


def square(points: torch.Tensor) -> torch.Tensor:
    """Means of 2×2 pixels."""
    return (points[..., ::2, :] + points[..., 1::2, :]).unfold(-1, 2, 2).sum(-1) / 4


@pytest.mark.parametrize("size", [(8, 8), (7, 12), (64, 61)])
def test_at_full_scale_a_pixel_is_the_mean_of_those_it_covers(size: tuple[int, int]) -> None:
    finer = torch.rand(2, 3, 2 * size[0], 2 * size[1], generator=generator())
    for flip_x, flip_y in itertools.product((False, True), repeat=2):
        sampled = augment.apply_to_finer(finer, one(flip_x, flip_y).expand(2, 2, 3))
        axes = [axis for axis, flip in ((-1, flip_x), (-2, flip_y)) if flip]
        torch.testing.assert_close(sampled, square(finer).flip(axes), atol=1e-6, rtol=0)


def test_the_smallest_crop_keeps_the_files_pixels() -> None:
    finer = torch.rand(1, 3, 64, 64, generator=generator())
    assert torch.equal(augment.apply_to_finer(finer, one(scale=0.5)), finer[..., 16:48, 16:48])


def test_finer_images_agree_with_scipy() -> None:
    """Image by image: scipy looks up the four points of each pixel."""
    finer = smooth(8, 1, 48, 64)
    affine = drawn(8)
    sampled = augment.apply_to_finer(finer, affine)
    y, x = np.meshgrid(np.arange(24) - 11.5, np.arange(32) - 15.5, indexing="ij")
    for i, matrix in enumerate(affine.double().numpy()):
        pitch = 2 * np.hypot(*matrix[:, 0])
        spread = (pitch - 1) / (2 * pitch)
        points = []
        for dx, dy in itertools.product((-spread, spread), repeat=2):
            across, down = np.tensordot(matrix[:, :2], [x + dx, y + dy], 1)
            place = [2 * down + 23.5, 2 * across + 31.5]
            image = finer[i, 0].double().numpy()
            points.append(ndimage.map_coordinates(image, place, order=1, mode="reflect"))
        np.testing.assert_allclose(sampled[i, 0].numpy(), np.mean(points, axis=0), atol=1e-5)


def test_a_crop_is_as_sharp_as_an_image_reduced_to_the_working_size() -> None:
    """White noise at the file's resolution: what is enlarged loses most of its finest detail."""
    finer = torch.rand(64, 1, 128, 128, generator=generator())
    reduced, affine = square(finer), drawn(64)
    detail = {
        "reduced": reduced,
        "from finer": augment.apply_to_finer(finer, affine),
        "enlarged": augment.apply(reduced, affine),
    }
    kept = {name: images.diff(dim=-1).std().item() for name, images in detail.items()}
    assert kept["from finer"] > 0.9 * kept["reduced"] > 1.5 * kept["enlarged"]


def test_the_mask_shows_what_the_finer_image_shows() -> None:
    mask = torch.zeros(32, 40, 40, dtype=torch.int64)
    mask[:, 5:22, 9:31] = 1
    finer = mask.float().unsqueeze(1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    affine = drawn(32)
    sampled = augment.apply_to_finer(finer, affine)[:, 0]
    clear = (sampled - 0.5).abs() > 0.26
    assert clear.float().mean() > 0.9
    assert torch.equal((sampled > 0.5)[clear], augment.apply_to_mask(mask, affine).bool()[clear])


def test_no_crop_is_smaller_than_a_file_has_pixels_for() -> None:
    least = torch.linspace(0.5, 1, 4000, dtype=torch.float64)
    scale = augment.draw(4000, generator(), least)[:, :, 0].norm(dim=1)
    assert (scale >= least - 1e-6).all() and scale.max() <= 1 + 1e-6
    share = (scale - least) / (1 - least)
    assert abs(share[:-1].mean() - 0.5) < 0.02


# images whose files have no more pixels


def test_without_finer_images_pixels_move_and_keep_their_values() -> None:
    images = torch.rand(64, 3, 15, 15, generator=generator())
    mask = torch.randint(0, 5, (64, 15, 15), generator=generator())
    affine = augment.draw(64, generator())
    sampled, sampled_mask = augment.apply(images, affine), augment.apply_to_mask(mask, affine)
    ways = set()
    for i in range(64):
        for turns, flipped in itertools.product(range(4), (False, True)):

            def way(pixels: torch.Tensor) -> torch.Tensor:
                return (pixels.flip(-1) if flipped else pixels).rot90(turns, (-2, -1))  # noqa: B023

            if torch.equal(sampled[i], way(images[i])):
                assert torch.equal(sampled_mask[i], way(mask[i]))
                ways.add((turns, flipped))
                break
        else:
            pytest.fail(f"image {i} is none of the eight")
    assert len(ways) == 8


def test_images_that_are_not_square_are_not_turned() -> None:
    images = torch.rand(64, 1, 9, 14, generator=generator())
    sampled = augment.apply(images, augment.draw(64, generator(), square=False))
    for image, one in zip(images, sampled, strict=True):
        flips = [image, image.flip(-1), image.flip(-2), image.flip(-1, -2)]
        assert any(torch.equal(one, flip) for flip in flips)
