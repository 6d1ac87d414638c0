"""Solvers against closed-form solutions, and how each image of a batch stops by itself."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gradprom.degradations import Blur, Completion, Decimation, Degradation, RandomProblems
from gradprom.degradations.observation import observe_for_evaluation
from gradprom.solvers import (
    ADMM,
    AdamDescent,
    ForwardBackward,
    GradientDescent,
    Iteration,
    Problem,
    Stopping,
    fixed_point,
)
from gradprom.solvers.iterations import turned, turned_back

SHAPE = (3, 1, 12, 8)
LEVEL = torch.tensor([0.3, 0.5, 0.8], dtype=torch.float64)
OPERATORS: dict[str, Degradation] = {
    "blur": Blur(kernel=5, sigma=1.0, border="circular"),
    "decimation": Decimation(scale=2),
    "completion": Completion(drop=0.5),
    "random problems": RandomProblems(sigma=0.0),
}


def random_images(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def problem(degradation: Degradation, level: Tensor = LEVEL) -> Problem:
    observation = observe_for_evaluation(degradation, SHAPE, list("abc"), 1, torch.device("cpu"))
    return Problem(observation, observation.operator(random_images(*SHAPE)), level)


def ridge(images: Tensor) -> Tensor:
    """The gradient of R(x) = ½‖x‖²."""
    return images


def shrinkage(images: Tensor, level: Tensor) -> Tensor:
    """The proximal operator of σ²·R."""
    return images / (1 + level.square().view(-1, 1, 1, 1))


def tikhonov(given: Problem, row: int) -> Tensor:
    """(AᵀA + σ²)⁻¹ Aᵀ y of one image, with A as a matrix."""
    one, many = given.select(torch.tensor([row])), SHAPE[2] * SHAPE[3]
    unit = torch.eye(many, dtype=torch.float64).view(many, 1, 1, *SHAPE[2:])
    matrix = torch.stack([one.observation.operator(image).flatten() for image in unit], 1)
    normal = matrix.T @ matrix + one.level.square() * torch.eye(many, dtype=torch.float64)
    return torch.linalg.solve(normal, matrix.T @ one.degraded.flatten()).view(SHAPE[1:])


SOLVERS: dict[str, Callable[[Problem], Iteration]] = {
    "gradient descent": lambda given: GradientDescent(given, ridge, 0.9),
    "gradient descent in turns": lambda given: GradientDescent(given, ridge, 0.9, turns=True),
    "Adam": lambda given: AdamDescent(given, ridge, 0.02),
    "forward-backward": lambda given: ForwardBackward(given, shrinkage, 0.49),
    "ADMM": lambda given: ADMM(given, shrinkage, 8),
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_quadratic_prior_has_tikhonovs_solution(solver: str, operator: str) -> None:
    given = problem(OPERATORS[operator])
    stopping = Stopping(iterations=800, tolerance=1e-15)
    solution = fixed_point(SOLVERS[solver](given), given.start(), stopping)
    expected = torch.stack([tikhonov(given, row) for row in range(3)])
    torch.testing.assert_close(solution.estimate, expected, rtol=0, atol=1e-5)
    assert not solution.diverged.any()


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_image_is_solved_alike_in_any_company(solver: str) -> None:
    """Also when others have stopped before it, which then cost nothing."""
    given = problem(OPERATORS["blur"])
    stopping = Stopping(iterations=400, tolerance=1e-9)
    together = fixed_point(SOLVERS[solver](given), given.start(), stopping)
    for row in range(3):
        alone = given.select(torch.tensor([row]))
        solution = fixed_point(SOLVERS[solver](alone), alone.start(), stopping)
        torch.testing.assert_close(solution.estimate[0], together.estimate[row])
        assert solution.iterations[0] == together.iterations[row]
        assert solution.converged[0] == together.converged[row]


class Halving:
    """x/2 for each image, until its own factor is reached; counts the images that it is given."""

    def __init__(self, factors: list[float]) -> None:
        self.factors, self.images = torch.tensor(factors, dtype=torch.float64), 0

    def __call__(self, estimate: Tensor) -> Tensor:
        self.images += len(estimate)
        return estimate * self.factors.view(-1, 1, 1, 1)

    def select(self, rows: Tensor) -> None:
        self.factors = self.factors[rows]


def test_images_stop_by_themselves() -> None:
    """Converged, diverged at the limit or to no number, or out of iterations."""
    iteration = Halving([0.5, 10.0, float("nan"), 1.0, 0.99])
    start = torch.ones(5, 1, 2, 2, dtype=torch.float64)
    seen: list[list[int]] = []
    solution = fixed_point(
        iteration,
        start,
        Stopping(iterations=20, tolerance=1e-6, limit=100),
        watch=lambda rows, _: seen.append(rows.tolist()),
    )
    # 0.5^(n − 1) / 2 squared is below 1e-6 from n = 10 on; 10³ is beyond the limit
    assert solution.iterations.tolist() == [10, 3, 1, 1, 20]
    assert solution.converged.tolist() == [True, False, False, True, False]
    assert solution.diverged.tolist() == [False, True, True, False, False]
    expected = [0.5**10, 100.0, 1.0, 1.0, 0.99**20]
    assert solution.estimate[:, 0, 0, 0].tolist() == pytest.approx(expected)
    assert iteration.images == sum(solution.iterations.tolist()) == sum(map(len, seen))


def test_eight_orientations_are_different_and_undone() -> None:
    images = random_images(2, 3, 5, 7)
    seen = set()
    for turn in range(8):
        assert torch.equal(turned_back(turned(images, turn), turn), images)
        seen.add(tuple(turned(images, turn).flatten().tolist()))
    assert len(seen) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations=0: allowed are whole numbers >= 1"),
        ({"tolerance": -1.0}, "tolerance=-1.0: allowed are numbers >= 0"),
        ({"limit": 0.0}, "limit=0.0: allowed are numbers > 0"),
    ],
)
def test_wrong_rules_say_what_is_allowed(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stopping(**options)  # type: ignore[arg-type]
