"""Total variation: adjoint differences, scikit-image's solution, and the optimality of its own."""

import numpy as np
import pytest
import torch
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

from gradprom.degradations import Blur, Completion, Decimation, Degradation, Gaussian
from gradprom.degradations.observation import observe_for_evaluation
from gradprom.solvers import Problem, Stopping, fixed_point
from gradprom.solvers.total_variation import TotalVariation, differences, differences_adjoint

SHAPE = (2, 1, 16, 12)
CPU = torch.device("cpu")


def random_images(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def solved(degradation: Degradation, clean: Tensor, weight: float) -> tuple[Problem, Tensor]:
    observation = observe_for_evaluation(degradation, clean.shape, list("ab"), 0, CPU)
    problem = Problem(observation, observation.forward(clean), torch.ones(2))
    iteration = TotalVariation(problem, torch.full((2,), weight, dtype=torch.float64))
    stopping = Stopping(iterations=2500, tolerance=1e-20)
    return problem, fixed_point(iteration, problem.start(), stopping).estimate


def test_the_differences_have_their_adjoint() -> None:
    images, field = random_images(*SHAPE), random_images(2, 2, 1, 16, 12, seed=1)
    left = (differences(images) * field).sum()
    torch.testing.assert_close(left, (images * differences_adjoint(field)).sum())


def test_denoising_is_scikit_images() -> None:
    noisy = random_images(*SHAPE)
    _, estimate = solved(Gaussian(sigma=0.0, clamp=False), noisy, 0.1)
    for row in range(2):
        expected = denoise_tv_chambolle(
            noisy[row, 0].numpy(), weight=0.1, eps=1e-12, max_num_iter=20000
        )
        np.testing.assert_allclose(estimate[row, 0], expected, atol=2e-3)


@pytest.mark.parametrize(
    "degradation",
    [Blur(kernel=5, sigma=1.0, border="circular"), Completion(drop=0.5), Decimation(scale=2)],
    ids=lambda degradation: degradation.name,
)
def test_no_image_nearby_is_better(degradation: Degradation) -> None:
    problem, estimate = solved(degradation, random_images(*SHAPE), 0.02)

    def energy(images: Tensor) -> Tensor:
        misfit = problem.observation.operator(images) - problem.degraded
        variation = differences(images).norm(dim=1).sum((1, 2, 3))
        return misfit.square().sum((1, 2, 3)) / 2 + 0.02 * variation

    least = energy(estimate)
    assert (energy(problem.start()) > least).all()
    for seed in range(10):
        for size in (1e-3, 1e-2, 0.3):
            moved = estimate + size * (random_images(*SHAPE, seed=seed) - 0.5)
            assert (energy(moved) >= least - 1e-7).all()
