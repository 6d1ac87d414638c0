"""The operators of inverse problems against formulas, scipy and each other; first estimates."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from gradprom.degradations import (
    Blur,
    Completion,
    Decimation,
    Degradation,
    Gaussian,
    Mix,
    RandomProblems,
)
from gradprom.degradations.observation import Observation, observe_for_evaluation

CPU = torch.device("cpu")
IDS = [str(number) for number in range(60)]
MANY = observe_for_evaluation(RandomProblems(), (60, 2, 32, 44), IDS, 0, CPU)
"""Sixty images with a problem each."""


def images(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def observe(degradation: Degradation, shape: tuple[int, ...]) -> Observation:
    return observe_for_evaluation(degradation, shape, IDS[: shape[0]], 0, CPU)


@pytest.mark.parametrize("sigma", [0.7, 1.6, 4.0])
def test_the_circular_blur_is_scipys(sigma: float) -> None:
    clean = images(1, 1, 30, 41)
    blur = Blur(kernel=25, sigma=sigma, border="circular")
    expected = ndimage.gaussian_filter(clean[0, 0].numpy(), sigma, mode="wrap", radius=12)
    np.testing.assert_allclose(blur.apply(clean, {})[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("filter", ["bicubic", "gaussian"])
def test_decimation_takes_weights_around_the_middle_of_its_pixels(scale: int, filter: str) -> None:
    side = 48
    clean = images(1, 1, side, side)
    small = Decimation(scale=scale, filter=filter).apply(clean, {})
    middle = scale * 5 + (scale - 1) / 2
    weights = np.array([_weight(abs(k - middle), scale, filter) for k in range(side)])
    weights /= weights.sum()
    expected = weights @ clean[0, 0].numpy() @ weights
    assert small[0, 0, 5, 5].item() == pytest.approx(expected, abs=1e-12)


def _weight(distance: float, scale: int, filter: str) -> float:
    """Keys' kernel as in his Eq. 4 with a = −0.75; a Gaussian of half a small pixel."""
    if filter == "gaussian":
        return float(np.exp(-2 * (distance / scale) ** 2)) if distance <= 12 else 0.0
    a, x = -0.75, distance / scale
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def _drawn(observation: Observation) -> list[tuple[int, Degradation]]:
    """Each image's problem, as a degradation of its own that draws nothing further."""
    degradation, drawn = observation.degradation, observation.parameters
    assert isinstance(degradation, RandomProblems)
    problems: list[tuple[int, Degradation]] = []
    for row, (kind, degree, filter) in enumerate(
        zip(*(drawn[key].tolist() for key in ("kind", "degree", "filter")), strict=True)
    ):
        if kind < 1 / 3:
            blur = Blur(kernel=25, sigma=degradation.blur * degree, border="circular")
            problems.append((row, blur))
        elif kind < 2 / 3:
            scale = degradation.scales[int(degree * len(degradation.scales))]
            name = "bicubic" if filter < 0.5 else "gaussian"
            problems.append((row, Decimation(scale=scale, filter=name)))
        else:
            problems.append((row, Completion(drop=degradation.drop * degree)))
    return problems


def test_random_problems_are_the_single_ones_in_one_batch() -> None:
    """Degraded images, data term, its gradient, and where a solver starts."""
    clean = images(60, 2, 32, 44)
    other = images(60, 2, 32, 44, seed=1)
    degraded, start = MANY.operator(clean), MANY.start(MANY.operator(clean))
    gradient = MANY.data_gradient(other, degraded)
    seen = set()
    for row, single in _drawn(MANY):
        drawn = {}
        if isinstance(single, Completion):
            drawn["mask"] = MANY.parameters["field"][[row]] >= single.drop
        alone = Observation(single, drawn, (1, 2, 32, 44))
        expected = alone.operator(clean[[row]])
        compared = degraded[[row]]
        if single.scale > 1:
            compared = compared[..., :: single.scale, :: single.scale]
            assert degraded[row].count_nonzero() == expected.count_nonzero()
        torch.testing.assert_close(compared, expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(
            gradient[[row]], alone.data_gradient(other[[row]], expected), rtol=0, atol=1e-6
        )
        torch.testing.assert_close(start[[row]], alone.start(expected), rtol=0, atol=1e-6)
        seen.add((type(single), single.scale))
    assert seen >= {(Blur, 1), (Completion, 1), (Decimation, 2), (Decimation, 4)}


def test_a_prepared_observation_is_equal() -> None:
    clean, prepared = images(60, 2, 32, 44).float(), MANY.prepared()
    degraded = MANY.operator(clean)
    torch.testing.assert_close(prepared.operator(clean), degraded, rtol=0, atol=1e-6)
    torch.testing.assert_close(prepared.adjoint(clean), MANY.adjoint(clean), rtol=0, atol=1e-6)
    assert torch.equal(prepared.start(degraded), MANY.start(degraded))
    rows = torch.tensor([7, 3])
    assert torch.equal(prepared.select(rows).operator(clean[rows]), degraded[rows])
    simple = observe(Completion(), (1, 1, 8, 8))
    assert simple.prepared() is simple


@pytest.mark.parametrize(
    "single",
    [
        Blur(kernel=25, sigma=1.6, border="circular"),
        Blur(kernel=5),
        Decimation(scale=2),
        Decimation(scale=3, filter="gaussian"),
        Mix(order=["blur", "decimation", "gaussian"], parts={"decimation": {"scale": 2}}),
    ],
    ids=["circular blur", "reflected blur", "bicubic", "gaussian", "mix"],
)
def test_prepared_operators_of_single_problems_are_equal(single: Degradation) -> None:
    """Products with matrices instead of shifts, and their transpose as the adjoint."""
    clean = images(3, 2, 36, 48).float()
    plain = observe(single, (3, 2, 36, 48))
    prepared = plain.prepared()
    degraded = plain.operator(clean)
    torch.testing.assert_close(prepared.operator(clean), degraded, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        prepared.adjoint(degraded), plain.adjoint(degraded), rtol=0, atol=2e-6
    )
    assert any(key.endswith("rows") for key in prepared.parameters)
    rows = torch.tensor([2, 0])
    part = prepared.select(rows).operator(clean[rows])
    torch.testing.assert_close(part, degraded[rows], rtol=0, atol=1e-6)


def test_the_data_gradient_is_that_of_autograd() -> None:
    estimate = images(60, 2, 32, 44).requires_grad_()
    degraded = images(60, 2, 32, 44, seed=1)
    data_term = (MANY.operator(estimate) - degraded).square().sum() / 2
    [expected] = torch.autograd.grad(data_term, estimate)
    torch.testing.assert_close(MANY.data_gradient(estimate, degraded), expected, rtol=0, atol=1e-6)


def test_noise_is_added_to_kept_pixels_by_each_images_level() -> None:
    clean = images(60, 2, 32, 44).float()
    noise = MANY.forward(clean) - MANY.operator(clean)
    kept = MANY.operator(torch.ones_like(clean)) != 0
    assert not noise[~kept].any()
    large = kept.flatten(1).sum(1) > 400
    measured = torch.stack([noise[row][kept[row]].std() for row in range(60)])
    torch.testing.assert_close(measured[large], MANY.sigma()[large], rtol=0.15, atol=1e-6)
    assert MANY.sigma().max() <= 50 / 255


def test_a_part_of_an_observation_is_that_of_its_images() -> None:
    clean, rows = images(60, 2, 32, 44), torch.tensor([4, 2, 50])
    part = MANY.select(rows)
    assert torch.equal(part.operator(clean[rows]), MANY.operator(clean)[rows])
    assert part.shape == (3, 2, 32, 44) and torch.equal(part.sigma(), MANY.sigma()[rows])


@pytest.mark.parametrize("scale", [2, 3])
def test_a_mix_starts_from_its_parts_estimates(scale: int) -> None:
    """Enlarged and in place: a smooth image is nearly its own first estimate."""
    wave = 0.5 + 0.4 * torch.sin(2 * torch.pi * torch.arange(48, dtype=torch.float64) / 48)
    clean = (wave[:, None] * wave)[None, None]
    part = {"decimation": {"scale": scale}}
    noisy = Mix(order=["decimation", "gaussian"], gaussian=Gaussian(sigma=0.0), parts=part)
    observation = observe(noisy, (1, 1, 48, 48))
    start = observation.start(observation.forward(clean))
    torch.testing.assert_close(start, clean, rtol=0, atol=0.02)


def test_missing_pixels_start_grey() -> None:
    observation = observe(Completion(drop=0.6), (2, 3, 16, 16))
    clean = images(2, 3, 16, 16)
    start = observation.start(observation.forward(clean))
    mask = observation.parameters["mask"].expand_as(clean)
    assert torch.equal(start[mask], clean[mask]) and bool((start[~mask] == 0.5).all())


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Blur(border="zero"), "border=zero: must be one of reflected, circular"),
        (lambda: Decimation(filter="box"), "filter=box: must be one of bicubic, gaussian"),
        (lambda: Decimation(scale=0), "scale=0: allowed are whole numbers >= 1"),
        (lambda: RandomProblems(sigma=50), "sigma=50: allowed are numbers from 0 to 1"),
        (lambda: RandomProblems(power=0), "power=0: allowed are numbers > 0"),
        (lambda: RandomProblems(scales=[]), r"scales=\[\]: allowed are one or more whole"),
        (lambda: RandomProblems(drop=1), "drop=1: allowed are numbers from 0 to 0.99"),
        (lambda: RandomProblems(blur=-1), "blur=-1: allowed are finite numbers >= 0"),
    ],
)
def test_wrong_options_say_what_is_allowed(made: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made()  # type: ignore[operator]
