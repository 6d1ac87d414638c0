"""Losses of restoration priors: Jacobian-free gradients, the bound, and what each step learns."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import tiny_runs
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom.config import Trainer
from gradprom.data.batch import Batch
from gradprom.degradations import Blur, Gaussian, RandomProblems
from gradprom.degradations.observation import observe_for_evaluation
from gradprom.errors import ConfigError
from gradprom.methods.prior_solver import SolverOptions, psnr_by_step, solve
from gradprom.methods.prior_training import (
    Equilibrium,
    Forward,
    Linked,
    LossWeights,
    TwoLevels,
    link_loss,
)
from gradprom.metrics import psnr
from gradprom.solvers import ForwardBackward, GradientDescent, Problem, Stopping, fixed_point
from gradprom.training.networks import Networks
from gradprom.training.optimization import OptimizerOptions

CPU = torch.device("cpu")
SHAPE = (2, 1, 6, 6)
LEVEL = torch.tensor([0.4, 0.7], dtype=torch.float64)
STOP = Stopping(iterations=2000, tolerance=1e-24)


def random_images(seed: int = 0) -> Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Linear(nn.Module):
    """A matrix for all pixels; as a proximal operator the level has no part in it."""

    def __init__(self, seed: int, shift: float, size: float) -> None:
        super().__init__()
        pixels = SHAPE[2] * SHAPE[3]
        noise = torch.randn(
            pixels, pixels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        noise = (noise + noise.T) / 2
        matrix = shift * torch.eye(pixels, dtype=torch.float64)
        self.matrix = nn.Parameter(matrix + size * noise / torch.linalg.matrix_norm(noise, 2))

    def forward(self, images: Tensor, level: Tensor | None = None) -> Tensor:
        return (images.flatten(1) @ self.matrix.T).view_as(images)


def problem() -> Problem:
    blur = Blur(kernel=3, sigma=1.0, border="circular")
    observation = observe_for_evaluation(blur, SHAPE, ["a", "b"], 0, CPU)
    return Problem(observation, observation.operator(random_images()), LEVEL)


def trained(losses: tuple[str, ...], networks: dict[str, nn.Module]) -> Equilibrium:
    options = dict.fromkeys(networks, OptimizerOptions(name="sgd", lr=1e-3, momentum=0.0))
    made = Networks(networks, options, Trainer(), CPU, 10)
    return Equilibrium(made, Forward(iterations=2000, tolerance=1e-24), LossWeights(), losses)


# Jacobian-free gradients


@pytest.mark.parametrize("kind", ["backward", "descent"])
def test_the_jacobian_free_gradient_points_as_the_implicit_one(kind: str) -> None:
    """Implicit differentiation by the matrix (1 − J)ᵀ, and backpropagation through all steps."""
    given, clean = problem(), random_images(5)
    network = Linear(1, 0.6, 0.3)
    name = "proximal" if kind == "backward" else "gradient"
    training = trained((kind,), {name: network})
    training.forward.step = 0.5
    losses, _ = training.losses_at_fixed_points(given, clean)
    [free] = torch.autograd.grad(losses[kind], network.matrix)

    def iteration() -> ForwardBackward | GradientDescent:
        if kind == "backward":
            return ForwardBackward(given, network, training.forward.backward_step)
        return GradientDescent(given, network, training.forward.step)

    point = fixed_point(iteration(), given.start(), STOP).estimate

    def step_of(x: Tensor) -> Tensor:
        return iteration()(x.view(SHAPE)).flatten()

    jacobian = torch.autograd.functional.jacobian(step_of, point.flatten())
    assert torch.linalg.matrix_norm(jacobian, 2) < 1
    [slope] = torch.autograd.grad(F.mse_loss(leaf := point.clone().requires_grad_(), clean), leaf)
    eye = torch.eye(len(jacobian), dtype=torch.float64)
    adjoint = torch.linalg.solve((eye - jacobian).T, slope.flatten())
    [implicit] = torch.autograd.grad(step_of(point), network.matrix, adjoint)

    unrolled = given.start()
    for _ in range(1500):
        unrolled = iteration()(unrolled)
    [long] = torch.autograd.grad(F.mse_loss(unrolled, clean), network.matrix)
    torch.testing.assert_close(implicit, long, rtol=1e-6, atol=1e-12)
    cosine = F.cosine_similarity(free.flatten(), implicit.flatten(), dim=0)
    assert cosine > 0.85
    assert free.norm() < implicit.norm()  # one step of many


# Theorem 1


def test_the_error_of_descent_is_bounded_by_the_link_loss() -> None:
    """Eq. 18, 20, 25 and 27 for a random contraction g and a P that has not much to do with it."""
    given, clean, step = problem(), random_images(5), 0.49
    proximal, gradient = Linear(2, 0.8, 0.15), Linear(3, 0.9, 0.2)
    by_proximal = ForwardBackward(given, proximal, step)
    x_f = fixed_point(by_proximal, given.start(), STOP).estimate
    x_g = fixed_point(GradientDescent(given, gradient, step), given.start(), STOP).estimate
    origin = ForwardBackward(given, proximal, step).forward_step(x_f)
    link = link_loss(proximal, gradient, origin, step**0.5 * LEVEL) * x_f[0].numel()

    # Eq. 20: the link loss at x̃ is how far a step of the descent moves x_f
    moved = GradientDescent(given, gradient, step)(x_f) - x_f
    torch.testing.assert_close(link, moved.square().sum((1, 2, 3)), rtol=1e-9, atol=1e-12)

    def distance(one: Tensor, other: Tensor) -> Tensor:
        return (one - other).flatten(1).norm(dim=1)

    lipschitz = torch.stack([_lipschitz(given, gradient, step, row) for row in range(2)])
    assert (lipschitz < 1).all()
    error_g, error_f = distance(x_g, clean), distance(x_f, clean)
    bound = link.sqrt() / (1 - lipschitz) + error_f
    assert (error_g <= bound).all()
    loss_bound = 2 * link / (1 - lipschitz) ** 2 + 2 * error_f.square()
    assert (error_g.square() <= loss_bound).all()
    for share in (0.1, 0.5, 0.9):
        mixed = share * loss_bound + (1 - share) * error_g.square()
        assert (error_g.square() <= mixed * (1 + 1e-12)).all()


def _lipschitz(given: Problem, gradient: Linear, step: float, row: int) -> Tensor:
    """‖∂g/∂x‖₂ of one image, of a linear g."""
    one = given.select(torch.tensor([row]))

    def g(x: Tensor) -> Tensor:
        return GradientDescent(one, gradient, step)(x.view(1, *SHAPE[1:])).flatten()

    jacobian = torch.autograd.functional.jacobian(g, torch.zeros(SHAPE[2] * SHAPE[3]).double())
    return torch.linalg.matrix_norm(jacobian.detach(), 2)


# the losses, against their formulas


def test_rerg_adds_its_losses_with_the_published_weights() -> None:
    given, clean = problem(), random_images(5)
    networks: dict[str, nn.Module] = {
        "proximal": Linear(2, 0.8, 0.15),
        "gradient": Linear(3, 0.9, 0.2),
    }
    before = copy.deepcopy(networks)
    training = trained(("backward", "link", "descent"), networks)
    losses, logs = training.losses_at_fixed_points(given, clean)
    batch = Batch(["a", "b"], given.degraded, clean, {}, given.observation)
    given.observation.degradation.noise_level = lambda *_: LEVEL  # type: ignore[method-assign]
    update = training.update(batch, probe=False)
    expected = 0.1 * losses["link"] + losses["backward"] + 0.1 * losses["descent"]
    torch.testing.assert_close(update["loss_main"], expected.detach())
    assert logs["converged_backward"] == 1 and logs["diverged_descent"] == 0
    for name, network in networks.items():
        old, new = before[name].state_dict()["matrix"], network.state_dict()["matrix"]
        assert not torch.equal(old, new), name


def test_descending_alone_leaves_the_published_loss() -> None:
    given, clean = problem(), random_images(5)
    training = trained(("descent",), {"gradient": Linear(3, 0.9, 0.2)})
    assert training.weight["descent"] == 1.0
    losses, _ = training.losses_at_fixed_points(given, clean)
    assert list(losses) == ["descent"]


def test_the_steps_of_pnpreg_take_turns() -> None:
    """δ = 1 with the level of the noise, then δ = 0 with another (Eq. 8)."""
    networks: dict[str, nn.Module] = {"proximal": Levelled(), "gradient": Linear(3, 0.5, 0.1)}
    options = dict.fromkeys(networks, OptimizerOptions(name="sgd", lr=1e-9, momentum=0.0))
    training = Linked(Networks(networks, options, Trainer(), CPU, 4), LossWeights(link=0.25))
    noise = TwoLevels(sigma=0.2, clamp=False, sigma_low=0.0)
    observation = observe_for_evaluation(noise, SHAPE, ["a", "b"], 0, CPU)
    clean = random_images()
    noisy = observation.forward(clean)
    batch = Batch(["a", "b"], noisy, clean, {}, observation)
    for denoises in (1.0, 0.0, 1.0):
        level = observation.sigma() if denoises else observation.parameters["other"]
        restored = networks["proximal"](noisy, level)
        link = link_loss(networks["proximal"], networks["gradient"], noisy, level).mean()
        expected = denoises * (restored - clean).abs().mean() + 0.25 * link
        logs = training.update(batch, probe=False)
        torch.testing.assert_close(logs["loss_main"], expected.detach(), rtol=1e-5, atol=1e-9)
    assert not torch.equal(observation.sigma(), observation.parameters["other"])
    assert isinstance(noise, Gaussian)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_power_makes_most_noise_small(power: float) -> None:
    """Levels are σ·uᵖ, of which a share x^(1/p) is below x·σ; both of pnpReG, and all problems'."""
    ids = [str(number) for number in range(4000)]
    shape = (len(ids), 1, 1, 1)
    two = TwoLevels(sigma=0.2, clamp=False, sigma_low=0.0, power=power)
    drawn = observe_for_evaluation(two, shape, ids, 0, CPU)
    problems = observe_for_evaluation(RandomProblems(sigma=0.2, power=power), shape, ids, 0, CPU)
    for levels in (drawn.sigma(), drawn.parameters["other"], problems.sigma()):
        for share in (0.04, 0.25, 0.81):
            below = (levels < share * 0.2).float().mean().item()
            assert below == pytest.approx(share ** (1 / power), abs=0.03)
    silent = TwoLevels(sigma=0.0, clamp=False, sigma_low=0.0, power=power)
    assert not observe_for_evaluation(silent, shape, ids, 0, CPU).sigma().any()


class Levelled(nn.Module):
    """A proximal operator that shrinks by the level."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, images: Tensor, level: Tensor) -> Tensor:
        return self.scale * images / (1 + level.view(-1, 1, 1, 1))


def test_scores_by_step_are_those_of_solvers_that_end_earlier() -> None:
    given, clean, network = problem(), random_images(5), Linear(3, 0.9, 0.2)
    options = SolverOptions(name="descent", step=0.4, iterations=200, tolerance=1e-6, turns=False)
    scores = psnr_by_step(options, given, network, clean)
    solution = solve(options, given, network)
    assert solution.converged.all() and len({*solution.iterations.tolist()}) == 2
    assert scores.shape == (solution.iterations.max() + 1, 2)
    torch.testing.assert_close(scores[0], psnr(given.start(), clean))
    torch.testing.assert_close(scores[-1], psnr(solution.estimate, clean))
    seventh = solve(replace(options, iterations=7), given, network)
    torch.testing.assert_close(scores[7], psnr(seventh.estimate, clean))


# configurations


def test_trainings_share_what_they_start_from(tmp_path: Path) -> None:
    """One denoiser, one pnpReG and one MTDEQ serve all; losses see equal batches."""
    stages = {
        training: tiny_runs.make(tmp_path, f"method={training}").method.stage()
        for training in ("gauss", "pnpreg", "mtdeq", "rg1", "deqgd", "rerg")
    }
    lineages = {name: [stage.id for stage in stages[name].lineage()] for name in stages}
    assert lineages["pnpreg"][0] == lineages["mtdeq"][0] == lineages["gauss"][0]
    for training in ("rg1", "rerg"):
        assert set(lineages[training][:-1]) == {*lineages["pnpreg"], *lineages["mtdeq"]}
    assert lineages["deqgd"][:-1] == lineages["pnpreg"]
    assert len({lineages[name][-1] for name in stages}) == 6
    assert {stages[name].name for name in ("rg1", "deqgd", "rerg")} == {"regularizing"}


@pytest.mark.parametrize("profile", ["demo", "bench", "paper"])
def test_every_profile_has_all_phases(profile: str, tmp_path: Path) -> None:
    stages = tiny_runs.make(tmp_path, "method=rerg", f"profile={profile}").method.stage().lineage()
    assert {stage.name for stage in stages} == {"gauss", "pnpreg", "mtdeq", "regularizing"}
    assert all(stage.epochs > 0 for stage in stages)


def test_a_phase_can_learn_from_less_noise(tmp_path: Path) -> None:
    words = ("method=deqgd", "profile=bench")
    plain, changed = (
        tiny_runs.make(tmp_path, *words, *further).method.stage().lineage()
        for further in ([], ["method.pnpreg.sigma=0.04"])
    )
    sigmas = [stage.batches.degradation.sigma for stage in changed]
    assert sigmas == pytest.approx([50 / 255, 0.04, 50 / 255])
    assert plain[0].id == changed[0].id
    assert plain[1].id != changed[1].id


def test_one_prior_serves_every_problem(tmp_path: Path) -> None:
    runs = [
        tiny_runs.make(tmp_path, "method=rerg", *words)
        for words in (["degradation=deblur"], ["degradation=completion", "method.solver.step=0.1"])
    ]
    assert runs[0].method.stage().id == runs[1].method.stage().id
    assert runs[0].id != runs[1].id


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["method=mtdeq", "method.solver.name=adam"], "needs the network gradient"),
        (["method=deqgd", "method.solver.name=admm"], "needs the network proximal"),
        (["method=rerg", "method.solver.name=newton"], "must be one of adam, descent, admm, fo"),
        (["method=rerg", "method.training=rg2"], "training=rg2: must be one of gauss, pnpreg"),
        (["method=rerg", "method.solver.level=2.55"], "level=2.55: allowed are numbers above 0"),
        (["method=rerg", "method.solver.step=0"], "step=0.0: allowed are numbers > 0"),
        (["method=rerg", "method.join=average"], "join=average: must be one of sum, strategy"),
        (["method=rerg", "method.mtdeq.sigma=2.55"], "mtdeq.sigma=2.55: "),
        (["method=rg1", "method.join=strategy"], "joins the losses of method=rerg"),
        (["method=rerg", "method.forward.memory=0"], "memory=0: allowed are whole numbers >= 1"),
        (["method=rerg", "method.forward.iterations=0"], "iterations=0: allowed are whole"),
    ],
)
def test_wrong_options_say_what_is_allowed(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_runs.make(tmp_path, *words)


def test_random_problems_are_hashed_with_their_ranges(tmp_path: Path) -> None:
    one, other = (
        tiny_runs.make(tmp_path, "method=mtdeq", *words).method.stage()
        for words in ([], ["method.problems.scales=[1,2]"])
    )
    assert one.id != other.id and one.parents[0].id == other.parents[0].id
    assert isinstance(one.batches.degradation, RandomProblems)
