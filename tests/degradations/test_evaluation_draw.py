"""The evaluation's draw hangs on the images' ids and the seed alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.datasets import real_data
from support.degraded import ALL, IDS, IMAGES, every

from gradprom import metrics
from gradprom.degradations import Gaussian, Mix, degrade_for_evaluation


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(5)), st.integers(1, 5), st.sampled_from(ALL))
def test_evaluation_is_independent_of_order_and_batch_size(order, size, degradation):
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


@every
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_evaluation_is_the_same_on_a_gpu(degradation):
    """A count of Poisson noise that were another would be 0.1 away."""
    here = degrade_for_evaluation(degradation, IMAGES, IDS, seed=0)
    there = degrade_for_evaluation(degradation, IMAGES.cuda(), IDS, seed=0)
    assert there.is_cuda
    torch.testing.assert_close(here, there.cpu(), rtol=0, atol=1e-6)


@pytest.mark.realdata
def test_inputs_of_isic_are_as_degraded_as_docs_open_choices_says():
    """Entry 8: the literal order of Table III's mix is too mild, acquisition order is not."""
    folder = real_data("ISIC2018") / "ISIC2018_Task1-2_Training_Input"
    paths = sorted(folder.glob("*.jpg"))[::81]
    pixels = [np.asarray(Image.open(path).convert("RGB").resize((256, 256))) for path in paths]
    clean = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    measured = {
        20.1: Gaussian(sigma=0.1),
        11.7: Gaussian(sigma=0.3),
        18.4: Mix(order=["gaussian", "poisson", "blur"], gaussian=Gaussian(sigma=0.3)),
        10.3: Mix(gaussian=Gaussian(sigma=0.3)),
    }
    for decibels, degradation in measured.items():
        degraded = degrade_for_evaluation(degradation, clean, [path.stem for path in paths], 0)
        assert metrics.psnr(degraded, clean).mean().item() == pytest.approx(decibels, abs=0.3)
