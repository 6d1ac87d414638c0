import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from gradprom.data import augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
    affine = augment.draw(16, generator())
    sampled, sampled_mask = augment.apply(images, mask, affine)
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
    sampled, _ = augment.apply(images, None, affine)
    expected = by_scipy(images[0, 0].double().numpy(), affine[0].double().numpy(), order=1)
    np.testing.assert_allclose(sampled[0, 0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (7, 12), (256, 255)])
def test_identity_and_flips_are_exact(size: tuple[int, int]) -> None:
    images = torch.rand(1, 3, *size, generator=generator())
    mask = torch.randint(0, 5, (1, *size), generator=generator())
    for flip_x, flip_y in ((False, False), (True, False), (False, True), (True, True)):
        sampled, sampled_mask = augment.apply(images, mask, one(flip_x, flip_y))
        axes = [axis for axis, flip in ((-1, flip_x), (-2, flip_y)) if flip]
        assert torch.equal(sampled, images.flip(axes))
        assert torch.equal(sampled_mask, mask.flip(axes))


def test_rotation_agrees_with_torchvision() -> None:
    from torchvision.transforms.v2 import functional as tv

    images = smooth(1, 1, 64, 64)
    sampled, _ = augment.apply(images, None, one(degrees=10))
    expected = tv.rotate(images, 10, interpolation=tv.InterpolationMode.BILINEAR)
    inner = (..., slice(8, -8), slice(8, -8))  # torchvision fills the corners with zeros
    torch.testing.assert_close(sampled[inner], expected[inner], atol=1e-4, rtol=0)


def test_centre_crop_agrees_with_torchvision() -> None:
    from torchvision.transforms.v2 import functional as tv

    images = smooth(1, 3, 64, 48)
    sampled, _ = augment.apply(images, None, one(scale=0.5))
    expected = tv.resize(tv.center_crop(images, [32, 24]), [64, 48], antialias=False)
    inner = (..., slice(1, -1), slice(1, -1))  # at its edge the crop still has neighbours
    torch.testing.assert_close(sampled[inner], expected[inner], atol=1e-5, rtol=0)


def test_image_and_mask_have_the_same_geometry() -> None:
    mask = torch.zeros(32, 40, 40, dtype=torch.int64)
    mask[:, 5:22, 9:31] = 1
    sampled, sampled_mask = augment.apply(
        mask.float().unsqueeze(1), mask, augment.draw(32, generator())
    )
    # Of four neighbours weighted bilinearly the nearest decides unless the value is near ½.
    clear = (sampled[:, 0] - 0.5).abs() > 0.26
    assert clear.float().mean() > 0.9
    assert torch.equal((sampled[:, 0] > 0.5)[clear], sampled_mask.bool()[clear])


def test_draw_covers_the_papers_ranges_and_nothing_else() -> None:
    affine = augment.draw(4000, generator()).double()
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
    assert torch.equal(augment.draw(8, generator(3)), augment.draw(8, generator(3)))
    assert not torch.equal(augment.draw(8, generator(3)), augment.draw(8, generator(4)))


def test_values_stay_in_range_and_types_are_kept() -> None:
    images = torch.rand(8, 3, 16, 16, generator=generator())
    mask = torch.randint(0, 4, (8, 16, 16), generator=generator())
    sampled, sampled_mask = augment.apply(images, mask, augment.draw(8, generator()))
    assert sampled.dtype == torch.float32 and sampled_mask.dtype == torch.int64
    assert sampled.min() >= images.min() and sampled.max() <= images.max()
    assert set(sampled_mask.unique().tolist()) <= {0, 1, 2, 3}


def test_white_and_black_stay_in_range_and_beyond_the_border_there_is_nothing_else() -> None:
    affine = augment.draw(64, generator())
    for size in (64, 50):
        white, _ = augment.apply(torch.ones(64, 1, size, size), None, affine)
        assert 1 - 1e-6 < white.min() and white.max() <= 1
        black, _ = augment.apply(torch.zeros(64, 1, size, size), None, affine)
        assert not black.any()


@pytest.mark.parametrize("size", [(16, 16), (10, 24)])
def test_a_stored_mask_is_sampled_as_its_class_numbers_are(size: tuple[int, int]) -> None:
    images = torch.rand(8, 1, *size, generator=generator())
    mask = torch.randint(0, 256, (8, *size), generator=generator())
    affine = augment.draw(8, generator())
    _, expected = augment.apply(images, mask, affine)
    _, sampled = augment.apply(images, mask.byte(), affine)
    assert sampled is not None and sampled.dtype == torch.uint8
    assert torch.equal(sampled.long(), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_every_device_sees_the_same_images() -> None:
    images = smooth(8, 3, 64, 64)
    mask = (images[:, 0] * 40).long()
    affine = augment.draw(8, generator())
    here = augment.apply(images, mask, affine)
    there = augment.apply(images.cuda(), mask.cuda(), affine)
    torch.testing.assert_close(there[0].cpu(), here[0], atol=1e-5, rtol=0)
    assert (there[1].cpu() == here[1]).float().mean() > 0.999
