"""Degradations: the noise is what it says, and the evaluation's noise hangs on nothing but ids."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from gradprom.degradations import OPTIONS, Gaussian, build, degrade_for_evaluation

IDS = ["a/1.png", "a/2.png", "b", "ü", "e"]
IMAGES = torch.rand(5, 3, 12, 10, generator=torch.Generator().manual_seed(1))


def degrade(degradation, images, seed=0):
    ids = [str(number) for number in range(len(images))]
    generator = torch.Generator().manual_seed(seed)
    parameters = degradation.draw(ids, tuple(images.shape), generator)
    return degradation.apply(images, parameters)


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.3])
def test_sigma_is_the_standard_deviation_of_what_is_added(sigma):
    clean = torch.full((4, 3, 128, 128), 0.5)
    noise = degrade(Gaussian(sigma=sigma, clamp=False), clean) - clean
    count = noise.numel()
    # five standard errors of a sample's mean and standard deviation
    assert abs(noise.mean().item()) < 5 * sigma / math.sqrt(count)
    assert abs(noise.std().item() - sigma) < 5 * sigma / math.sqrt(2 * count)
    assert (noise.std(dim=(2, 3)) / sigma - 1).abs().max() < 0.05


def test_noise_differs_between_images_and_channels():
    noise = degrade(Gaussian(clamp=False), torch.zeros(3, 3, 64, 64)).flatten(2).flatten(0, 1)
    correlation = torch.corrcoef(noise) - torch.eye(9)
    assert correlation.abs().max() < 5 / 64


def test_clamp_cuts_to_the_image_range_and_changes_nothing_inside():
    raw = degrade(Gaussian(sigma=0.3, clamp=False), IMAGES)
    cut = degrade(Gaussian(sigma=0.3), IMAGES)
    assert raw.min() < 0 and raw.max() > 1
    assert torch.equal(cut, raw.clamp(0, 1))


def test_sigma_zero_is_the_clean_image():
    assert torch.equal(degrade(Gaussian(sigma=0.0), IMAGES), IMAGES)


def test_draw_scales_with_nothing_but_apply():
    """σ enters in `apply`, so another σ sees the same normal field."""
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    shape = (2, 1, 8, 8)
    draws = [
        Gaussian(sigma=sigma).draw(["a", "b"], shape, generator)
        for sigma, generator in zip((0.1, 0.2), generators, strict=True)
    ]
    assert torch.equal(draws[0]["noise"], draws[1]["noise"])
    assert draws[0]["noise"].shape == shape


def test_apply_keeps_dtype_and_output_shape_tells_the_truth():
    degradation = Gaussian()
    degraded = degrade(degradation, IMAGES.double())
    assert degraded.dtype == torch.float64
    assert tuple(degraded.shape) == degradation.output_shape(tuple(IMAGES.shape))


@pytest.mark.parametrize("sigma", [-1.0, -1e-9, math.nan, math.inf])
def test_wrong_sigma_is_refused_with_the_value_and_what_is_allowed(sigma):
    with pytest.raises(ValueError, match=rf"sigma={sigma}.*finite numbers >= 0"):
        Gaussian(sigma=sigma)


def test_build_from_a_configuration_node():
    node = OmegaConf.create({"name": "gaussian", "sigma": 0.2, "clamp": False})
    assert build(node) == build(dict(node)) == Gaussian(sigma=0.2, clamp=False)
    assert build(Gaussian(sigma=0.3)) == Gaussian(sigma=0.3)
    with pytest.raises(ValueError, match="'fog'.*gaussian"):
        build({"name": "fog"})


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_options_pass_through_omegaconf(name):
    options = OmegaConf.to_object(OmegaConf.structured(OPTIONS[name]))
    assert isinstance(options, OPTIONS[name]) and options.name == name


# the evaluation's draw


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(5)), st.integers(1, 5))
def test_evaluation_is_independent_of_order_and_batch_size(order, size):
    degradation = Gaussian(sigma=0.2)
    together = degrade_for_evaluation(degradation, IMAGES, IDS, seed=7)
    for start in range(0, 5, size):
        rows = order[start : start + size]
        part = degrade_for_evaluation(degradation, IMAGES[rows], [IDS[row] for row in rows], 7)
        assert torch.equal(part, together[rows])


def test_evaluation_is_independent_of_the_other_images_and_of_global_random_state():
    alone = degrade_for_evaluation(Gaussian(), IMAGES[:1], IDS[:1], seed=7)
    others = IMAGES.clone()
    others[1:] = 0
    torch.manual_seed(99)
    before = torch.get_rng_state()
    among = degrade_for_evaluation(Gaussian(), others, [IDS[0], "x", "y", "z", "w"], seed=7)
    assert torch.equal(alone[0], among[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_differs_between_ids_and_seeds():
    clean = torch.full((2, 1, 64, 64), 0.5)
    degradation = Gaussian(clamp=False)
    by_id = degrade_for_evaluation(degradation, clean, ["a", "b"], seed=0) - clean
    by_seed = degrade_for_evaluation(degradation, clean, ["a", "b"], seed=1) - clean
    fields = torch.stack([by_id[0], by_id[1], by_seed[0], by_seed[1]]).flatten(1)
    assert (torch.corrcoef(fields) - torch.eye(4)).abs().max() < 5 / 64


def test_evaluation_of_one_id_at_another_sigma_has_the_same_normal_field():
    clean = torch.zeros(1, 3, 16, 16)
    weak, strong = (
        degrade_for_evaluation(Gaussian(sigma=sigma, clamp=False), clean, ["a"], seed=0) / sigma
        for sigma in (0.1, 0.3)
    )
    torch.testing.assert_close(weak, strong, rtol=1e-6, atol=1e-6)


def test_evaluation_is_the_training_seam_with_a_generator_of_its_own():
    """A degradation whose draw or shape is not the batch's: made smaller, two parameters."""

    class Mixed:
        name = "mixed"

        def draw(self, ids, shape, generator):
            smaller = self.output_shape(shape)
            offset = torch.rand(smaller[0], generator=generator)
            return {"noise": torch.randn(smaller, generator=generator), "offset": offset}

        def apply(self, batch, parameters):
            offset = parameters["offset"].view(-1, 1, 1, 1)
            return batch[..., ::2, ::2] + parameters["noise"] + offset

        def output_shape(self, shape):
            return (*shape[:2], shape[2] // 2, shape[3] // 2)

    together = degrade_for_evaluation(Mixed(), IMAGES, IDS, seed=0)
    alone = degrade_for_evaluation(Mixed(), IMAGES[3:4], IDS[3:4], seed=0)
    assert tuple(together.shape) == Mixed().output_shape(tuple(IMAGES.shape))
    assert torch.equal(together[3:4], alone)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_evaluation_is_the_same_on_a_gpu():
    here = degrade_for_evaluation(Gaussian(), IMAGES, IDS, seed=0)
    there = degrade_for_evaluation(Gaussian(), IMAGES.cuda(), IDS, seed=0)
    assert there.is_cuda
    torch.testing.assert_close(here, there.cpu(), rtol=0, atol=1e-6)
