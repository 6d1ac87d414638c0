"""What was drawn for a batch, with a degradation small enough to be done by hand."""

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from gradprom.degradations import Gaussian, degrade_for_evaluation, enlarge
from gradprom.degradations.observation import Observation, observe_for_evaluation

IDS = ["a", "b", "c"]
CLEAN = torch.rand(3, 2, 4, 6, generator=torch.manual_seed(0))


class Averaged:
    """The mean of 2×2 pixels times a gain of each image, with noise of each image's σ."""

    name = "averaged"

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        gain, sigma = torch.rand(2, len(ids), 1, 1, 1, generator=generator)
        noise = torch.randn(self.output_shape(shape), generator=generator)
        return {"gain": gain, "sigma": sigma, "noise": noise}

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        return self.operator(batch, parameters) + parameters["sigma"] * parameters["noise"]

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        return parameters["gain"] * torch.nn.functional.avg_pool2d(batch, 2)

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        assert batch.shape == self.output_shape(shape)
        larger = batch.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return parameters["gain"] * larger / 4

    def sigma(self, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
        return parameters["sigma"].view(batch_size)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:2], shape[2] // 2, shape[3] // 2)


@pytest.fixture
def observation() -> Observation:
    drawn = Averaged().draw(IDS, tuple(CLEAN.shape), torch.manual_seed(1))
    return Observation(Averaged(), drawn, tuple(CLEAN.shape))


def test_forward_is_the_degradation_and_operator_its_linear_part(observation: Observation) -> None:
    drawn = observation.parameters
    degraded = observation.forward(CLEAN)
    assert torch.equal(degraded, Averaged().apply(CLEAN, drawn))
    noise = degraded - observation.operator(CLEAN)
    torch.testing.assert_close(noise, drawn["sigma"] * drawn["noise"])
    torch.testing.assert_close(
        observation.operator(2 * CLEAN + 1),
        2 * observation.operator(CLEAN) + observation.operator(torch.ones_like(CLEAN)),
    )


def test_the_adjoint_is_one(observation: Observation) -> None:
    """⟨A x, y⟩ = ⟨x, Aᵀ y⟩, image by image."""
    y = torch.rand(3, 2, 2, 3, generator=torch.manual_seed(2))
    left = (observation.operator(CLEAN) * y).sum((1, 2, 3))
    right = (CLEAN * observation.adjoint(y)).sum((1, 2, 3))
    torch.testing.assert_close(left, right)


def test_sigma_is_that_of_each_image(observation: Observation) -> None:
    sigma = observation.sigma()
    assert sigma.shape == (3,) and len(set(sigma.tolist())) == 3
    assert torch.equal(sigma, observation.parameters["sigma"].flatten())


def test_the_start_has_the_clean_images_size(observation: Observation) -> None:
    smaller = observation.forward(CLEAN)
    assert torch.equal(observation.start(smaller), enlarge(smaller, (4, 6)))
    assert observation.start(CLEAN) is CLEAN


@pytest.mark.parametrize("degradation", [Averaged(), Gaussian(sigma=0.1)])
def test_evaluation_draws_follow_from_seed_and_id_alone(degradation) -> None:
    together = observe_for_evaluation(degradation, CLEAN.shape, IDS, 7, torch.device("cpu"))
    assert torch.equal(
        together.forward(CLEAN), degrade_for_evaluation(degradation, CLEAN, IDS, seed=7)
    )
    for row, id in enumerate(IDS):
        alone = observe_for_evaluation(degradation, (1, 2, 4, 6), [id], 7, torch.device("cpu"))
        assert alone.shape == (1, 2, 4, 6)
        for key, value in alone.parameters.items():
            assert torch.equal(value, together.parameters[key][row : row + 1])
    other = observe_for_evaluation(degradation, CLEAN.shape, IDS, 8, torch.device("cpu"))
    assert not torch.equal(other.forward(CLEAN), together.forward(CLEAN))
