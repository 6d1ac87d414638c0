"""Anderson acceleration comes to the same fixed points, in fewer steps, image by image."""

import torch
from torch import Tensor

from gradprom.degradations import Blur
from gradprom.degradations.observation import observe_for_evaluation
from gradprom.solvers import ForwardBackward, Problem, Stopping, fixed_point
from gradprom.solvers.anderson import Anderson

SHAPE = (3, 1, 12, 8)
STOP = Stopping(iterations=2000, tolerance=1e-16)


def problem() -> Problem:
    blur = Blur(kernel=5, sigma=1.0, border="circular")
    observation = observe_for_evaluation(blur, SHAPE, list("abc"), 1, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    degraded = torch.rand(SHAPE, generator=generator, dtype=torch.float64)
    return Problem(observation, degraded, torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64))


def shrinkage(images: Tensor, level: Tensor) -> Tensor:
    """A proximal operator that is not linear, so that the iteration is not either."""
    return torch.tanh(images / (1 + level.square().view(-1, 1, 1, 1)))


def iteration(given: Problem) -> ForwardBackward:
    return ForwardBackward(given, shrinkage, 0.49)


def test_the_fixed_point_is_reached_in_fewer_steps() -> None:
    given = problem()
    plain = fixed_point(iteration(given), given.start(), STOP)
    fast = fixed_point(Anderson(iteration(given), 5), given.start(), STOP)
    assert plain.converged.all() and fast.converged.all()
    torch.testing.assert_close(fast.estimate, plain.estimate, rtol=0, atol=1e-5)
    assert (2 * fast.iterations < plain.iterations).all()


def test_a_memory_of_one_is_the_plain_iteration() -> None:
    given = problem()
    plain = fixed_point(iteration(given), given.start(), STOP)
    one = fixed_point(Anderson(iteration(given), 1), given.start(), STOP)
    assert torch.equal(one.iterations, plain.iterations)
    torch.testing.assert_close(one.estimate, plain.estimate)


def test_an_image_is_accelerated_alike_in_any_company() -> None:
    given = problem()
    together = fixed_point(Anderson(iteration(given), 4), given.start(), STOP)
    for row in range(3):
        alone = given.select(torch.tensor([row]))
        solution = fixed_point(Anderson(iteration(alone), 4), alone.start(), STOP)
        torch.testing.assert_close(solution.estimate[0], together.estimate[row])
        assert solution.iterations[0] == together.iterations[row]
