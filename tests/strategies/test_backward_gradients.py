"""Gradients are written as torch writes them, also where they are zero, missing or not finite."""

import pytest
import torch
from support.backward_cases import (
    LAM,
    Case,
    close,
    every_strategy,
    flat,
    same_bits,
    with_and_without_features,
)
from torch import Tensor, nn

from gradprom.strategies import Frozen, GradProm, Joint, Mainstream, RandomGate, backward, layers


def test_gradients_accumulate_like_torchs():
    case = Case(seed=1)
    first, _ = case.run(Joint(lam=LAM))
    own = [p.grad.clone() for p in case.phi]
    case.enhancer.eval()
    case.recognizer.eval()
    losses, enhanced = case.losses()
    second = Case(seed=1)
    backward(losses, case.theta, Joint(lam=LAM), features=enhanced)
    both = flat(case.theta)
    second.enhancer.load_state_dict(case.enhancer.state_dict())
    second.recognizer.load_state_dict(case.recognizer.state_dict())
    second.enhancer.eval()
    second.recognizer.eval()
    alone, _ = second.run(Joint(lam=LAM))
    close(both, first + alone)
    for p, before, added in zip(case.phi, own, second.phi, strict=True):
        close(p.grad, before + added.grad)


def test_gradients_are_tensors_of_their_own_in_their_parameters_layout():
    """Autograd hands one tensor to two leaves of a sum; an in-place clip would hit both."""
    theta = nn.Parameter(torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last))
    one, two = nn.Parameter(torch.rand(())), nn.Parameter(torch.rand(()))
    features = theta * 2
    backward([features.sum(), features.sum() + (one + two)], [theta], GradProm(), features=features)
    assert one.grad is not two.grad and one.grad.data_ptr() != two.grad.data_ptr()
    assert theta.grad.is_contiguous(memory_format=torch.channels_last)


def test_frozen_and_unreached_parameters_are_left_alone():
    """As torch does: an optimizer treats a missing gradient and a zero one differently."""
    case = Case(seed=2)
    case.enhancer.body[0].weight.requires_grad_(False)
    unused = nn.Parameter(torch.ones(3, dtype=torch.float64))
    for with_features in (True, False):
        losses, enhanced = case.losses()
        shared = [unused, *case.theta]
        backward(losses, shared, GradProm(), features=enhanced if with_features else None)
        assert unused.grad is None and case.enhancer.body[0].weight.grad is None
        assert case.enhancer.body[0].bias.grad is not None


@with_and_without_features
@every_strategy
@pytest.mark.parametrize("other", ["zero", "constant", "detached"])
@pytest.mark.parametrize("which", [0, 1])
def test_losses_without_a_gradient_over_theta(strategy, with_features, other, which):
    case = Case(seed=5)
    rows, _ = case.oracle()
    losses, enhanced = case.losses()
    extra = nn.Parameter(torch.ones((), dtype=torch.float64))
    losses[which] = {
        "zero": (enhanced * 0.0).sum() + extra * 3,
        "constant": torch.ones((), dtype=torch.float64),
        "detached": extra * 3,
    }[other]
    shared = layers(case.enhancer) if strategy.granularity == "layer" else case.theta
    decision = backward(
        losses, shared, strategy, features=enhanced if with_features else None, measure=True
    )
    weights = decision.weights.reshape(-1, 2)[0]
    close(flat(case.theta), weights[1 - which] * rows[1 - which])
    assert decision.cosine.tolist() == [0.0] and decision.norms[which] == 0
    heard = which == 0 or strategy.learns
    assert extra.grad is None or (heard and extra.grad == 3)
    assert (extra.grad is not None) == (heard and other != "constant")


@with_and_without_features
@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "strategy",
    [
        GradProm(lam=LAM),
        GradProm(lam=LAM, gate="cosine"),
        GradProm(lam=LAM, granularity="layer"),
        RandomGate(lam=LAM, rate=0.0),
        Frozen(lam=LAM, pass_gradient=False),
        Joint(lam=0.0),
        Mainstream(),
    ],
    ids=lambda s: f"{s.name}-{getattr(s, 'gate', '')}-{s.granularity}",
)
def test_a_closed_gate_keeps_out_what_is_not_finite(strategy, bad, with_features):
    case = Case(seed=6)
    rows, _ = case.oracle()
    losses, enhanced = case.losses()
    losses[1] = losses[1] * float(bad)
    shared = layers(case.enhancer) if strategy.granularity == "layer" else case.theta
    backward(losses, shared, strategy, features=enhanced if with_features else None)
    assert same_bits(flat(case.theta), rows[0])
    if strategy.learns:
        assert not all(p.grad.isfinite().all() for p in case.phi)


class OnlyAuxiliary(Joint):
    """Drops the main loss, and notes what it was given to decide on."""

    def weights(self, gram: Tensor) -> Tensor:
        self.given = gram
        return gram.new_tensor([0.0, 1.0])


@with_and_without_features
def test_a_main_loss_of_weight_zero_is_kept_out_too(with_features):
    case = Case(seed=6)
    rows, _ = case.oracle()
    losses, enhanced = case.losses()
    losses[0] = losses[0] * torch.nan
    backward(losses, case.theta, OnlyAuxiliary(), features=enhanced if with_features else None)
    close(flat(case.theta), rows[1])


@with_and_without_features
def test_measuring_shows_nothing_to_a_strategy_that_does_not_compare(with_features):
    case, strategy = Case(), OnlyAuxiliary()
    losses, enhanced = case.losses()
    where = enhanced if with_features else None
    decision = backward(losses, case.theta, strategy, features=where, measure=True)
    assert strategy.given.isnan().all() and strategy.given.shape == decision.gram.shape
    assert decision.gram.isfinite().all()


def test_a_closed_gate_keeps_the_sign_of_zero():
    theta = nn.Parameter(torch.ones(2))
    for features in (theta * 1.0, None):
        theta.grad = None
        enhanced = theta if features is None else features
        losses = [(enhanced * -0.0).sum(), enhanced.sum()]
        backward(losses, [theta], RandomGate(lam=LAM, rate=0.0), features=features)
        assert theta.grad.signbit().all()


def test_half_precision_networks_compare_in_float32():
    """Squares of 300 elements of 20 exceed float16."""
    theta = nn.Parameter(torch.ones(300, dtype=torch.float16))
    features = theta * 1
    losses = [(features * 20).sum(dtype=torch.float32), (features * 30).sum(dtype=torch.float32)]
    decision = backward(losses, [theta], GradProm(lam=LAM), features=features)
    assert decision.gram.dtype == torch.float32
    assert decision.gram.tolist() == [[120000, 180000], [180000, 270000]]
    assert theta.grad.dtype == torch.float16 and theta.grad.isfinite().all()
