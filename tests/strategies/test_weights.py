"""Each strategy's weights are those of its own definition."""

import math

import pytest
import torch
from support.gram_matrices import gram_of, jacobian
from torchjd.aggregation import MGDA as TorchJDMGDA
from torchjd.aggregation import PCGrad as TorchJDPCGrad

from gradprom.strategies import (
    DWA,
    MGDA,
    PCD,
    Aligned,
    Bisector,
    CAGrad,
    DualProj,
    Frozen,
    GradProm,
    Joint,
    Mainstream,
    PCGrad,
    Project,
    RandomGate,
    Uncertainty,
)


def test_strategies_without_comparison():
    gram = torch.full((3, 3), torch.nan, dtype=torch.float64)
    assert Mainstream().weights(gram).tolist() == [1, 0, 0]
    assert Joint(lam=0.5).weights(gram).tolist() == [1, 0.5, 0.5]
    assert Joint(lam=0.5, open_share=0.25).weights(gram).tolist() == [1, 0.125, 0.125]
    assert Frozen(lam=0.5).weights(gram).tolist() == [1, 0.5, 0.5]
    assert Frozen(lam=0.5, pass_gradient=False).weights(gram).tolist() == [1, 0, 0]


def test_hard_gate_has_one_gate_a_task_and_opens_at_right_angles():
    gram = gram_of([1, 0], [2, 3], [-1e-9, 4], [0, 5])
    assert GradProm(lam=0.1).weights(gram).tolist() == [1, 0.1, 0, 0.1]


def test_cosine_gate_is_lambda_times_the_positive_cosine():
    gram = gram_of([2, 0], [3, 4], [-3, 4], [0, 5], [0, 0])
    weights = GradProm(lam=0.1, gate="cosine").weights(gram)
    torch.testing.assert_close(weights, weights.new_tensor([1, 0.06, 0, 0, 0]), rtol=1e-12, atol=0)


@pytest.mark.parametrize("gate", ["hard", "cosine"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_gates_close_on_what_is_not_finite(gate, value):
    gram = gram_of([1, 0, 0], [2, 3, 0], [2, 0, 4])
    gram[1] = gram[:, 1] = value
    weights = GradProm(lam=0.1, gate=gate).weights(gram)
    assert weights[:2].tolist() == [1, 0] and weights[2] > 0


def test_project_leaves_a_right_angle_on_conflict_and_nothing_else_changed():
    conflicts = 0
    for seed in range(30):
        rows = jacobian(3, seed)
        joined = rows[0].clone()
        for auxiliary in rows[1:]:
            against = min(0.0, float(auxiliary @ rows[0] / (rows[0] @ rows[0])))
            kept = auxiliary - against * rows[0]
            conflicts += against < 0
            assert against == 0 or abs(kept @ rows[0]) < 1e-12
            joined += 0.3 * kept
        weights = Project(lam=0.3).weights(rows @ rows.mT)
        torch.testing.assert_close(weights @ rows, joined, rtol=1e-12, atol=1e-12)
    assert 10 < conflicts < 50


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("lam", [1e-4, 0.3, 2.0])
def test_pcgrad_is_torchjds(count, lam, monkeypatch):
    # TorchJD draws the order in which a gradient meets the others; ours is by rising index.
    monkeypatch.setattr(torch, "randperm", torch.arange)
    for seed in range(20):
        rows = jacobian(count, seed)
        scaled = rows * rows.new_tensor([1.0] + [lam] * (count - 1))[:, None]
        ours = PCGrad(lam=lam).weights(rows @ rows.mT) @ rows
        torch.testing.assert_close(ours, TorchJDPCGrad()(scaled), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("lam", [1e-4, 0.3, 1.0, 5.0])
def test_mgda_is_torchjds(lam):
    inside = 0
    for seed in range(30):
        rows = jacobian(2, seed)
        scaled = rows * rows.new_tensor([1.0, lam])[:, None]
        weights = MGDA(lam=lam).weights(rows @ rows.mT)
        inside += bool(0 < weights[0] < 1)
        torch.testing.assert_close(weights @ rows, TorchJDMGDA()(scaled), rtol=1e-9, atol=1e-12)
    assert inside > 5


def test_mgda_of_equal_gradients_is_that_gradient():
    assert MGDA(lam=1.0).weights(gram_of([1, 2], [1, 2])).tolist() == [1, 0]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("two", [MGDA, PCD, DualProj, Bisector, CAGrad, Aligned])
def test_what_weighs_two_losses_only(two, count):
    assert two.two_losses
    with pytest.raises(ValueError, match=f"{two.name} weighs one main .* loss, got {count}"):
        two().weights(torch.eye(count))


def test_pcd_joins_in_conflict_and_gradprom_without():
    """One in the other's place: nothing else is said of the two together in public."""
    for seed in range(40):
        gram = jacobian(2, seed) @ jacobian(2, seed).mT
        joins = PCD(tau=0.0).weights(gram)[1] != 0
        assert joins != (GradProm().weights(gram)[1] != 0)


def test_uncertainty_descends_what_it_minimizes():
    """exp(-s) L + s by autograd, and in the end weights of one over the loss."""
    strategy, gram = Uncertainty(lam=0.5, rate=0.1), torch.eye(3, dtype=torch.float64)
    losses = gram.new_tensor([0.02, 0.7, 1.9])
    s = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    scaled = losses * gram.new_tensor([1, 0.5, 0.5])
    for _ in range(2000):
        weights = strategy.weights(gram, losses)
        expected = (-s).exp() * gram.new_tensor([1, 0.5, 0.5])
        torch.testing.assert_close(weights, expected.detach(), rtol=1e-9, atol=0)
        (slope,) = torch.autograd.grad(((-s).exp() * scaled + s).sum(), s)
        s.data -= 0.1 * slope.clamp(-1, 1)
    torch.testing.assert_close(weights * losses, torch.ones_like(losses), rtol=1e-6, atol=0)


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, 1e30])
@pytest.mark.parametrize("strategy", [Uncertainty(rate=10.0), DWA(window=2)])
def test_losses_of_any_size_give_finite_weights(strategy, value):
    gram = torch.eye(2)
    for loss in [value] * 40 + [1.0] * 5:
        assert strategy.weights(gram, torch.tensor([0.5, loss])).isfinite().all()


def test_dwa_is_the_softmax_of_the_losses_relative_fall():
    strategy, gram = DWA(lam=0.5, temperature=2.0, window=3), torch.eye(2, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    losses = torch.rand(15, 2, dtype=torch.float64, generator=generator)
    for step, row in enumerate(losses):
        weights = strategy.weights(gram, row)
        ended, expected = step // 3, gram.new_tensor([1.0, 0.5])
        if ended >= 2:
            last, before = (losses[3 * (ended - k) : 3 * (ended - k + 1)].mean(0) for k in (1, 2))
            shares = (last / before / 2).exp()
            expected = expected * 2 * shares / shares.sum()
        torch.testing.assert_close(weights, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("strategy", [Uncertainty(), DWA()])
def test_a_strategy_that_weighs_by_losses_asks_for_them(strategy):
    with pytest.raises(ValueError, match=f"strategy {strategy.name} weighs losses by their values"):
        strategy.weights(torch.eye(2))


def test_random_gate_opens_at_its_rate_each_task_for_itself():
    gate = RandomGate(lam=0.1, rate=0.3, seed=1)
    drawn = torch.stack([gate.weights(torch.eye(3, dtype=torch.float64)) for _ in range(4000)])
    assert set(drawn[:, 0].tolist()) == {1.0} and set(drawn[:, 1:].unique().tolist()) == {0.0, 0.1}
    is_open = (drawn[:, 1:] > 0).double()
    # Four standard deviations of the mean of 4000 draws, and of the correlation.
    assert (is_open.mean(0) - 0.3).abs().max() < 4 * (0.3 * 0.7 / 4000) ** 0.5
    assert abs(torch.corrcoef(is_open.mT)[0, 1]) < 4 / 4000**0.5


@pytest.mark.parametrize(("rate", "weight"), [(0.0, 0.0), (1.0, 0.1)])
def test_random_gate_at_the_ends_of_its_range(rate, weight):
    gate = RandomGate(lam=0.1, rate=rate)
    gram = torch.eye(2, dtype=torch.float64)
    assert {float(gate.weights(gram)[1]) for _ in range(200)} == {weight}


def test_random_gate_follows_its_seed_and_touches_no_other_random_numbers():
    def decisions(seed: int) -> list[float]:
        gate = RandomGate(seed=seed)
        return [float(gate.weights(torch.eye(2))[1]) for _ in range(50)]

    before = torch.get_rng_state()
    assert decisions(1) == decisions(1) != decisions(2)
    assert torch.equal(torch.get_rng_state(), before)
