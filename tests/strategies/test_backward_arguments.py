"""Features, measuring and `decision_params` do what they say, and wrong arguments are named."""

import pytest
import torch
from hypothesis import given
from support.backward_cases import (
    LAM,
    Case,
    cases,
    close,
    every_strategy,
    random_cases,
    same_bits,
    with_and_without_features,
)
from torch import Tensor

from gradprom.strategies import MGDA, GradProm, Project, backward, layers


@every_strategy
@random_cases
@given(case=cases)
def test_with_and_without_features_agree(strategy, case):
    if strategy.two_losses and case.tasks == 2:
        return
    through, decided = case.run(strategy, with_features=True)
    own = [None if p.grad is None else p.grad.clone() for p in case.phi]
    direct, decided_too = case.run(strategy, with_features=False)
    close(through, direct)
    close(decided.weights, decided_too.weights)
    for p, expected in zip(case.phi, own, strict=True):
        assert (p.grad is None) == (expected is None)
        if expected is not None:
            close(p.grad, expected)


@with_and_without_features
@every_strategy
@pytest.mark.parametrize("scoped", [False, True])
def test_measuring_changes_no_bit(strategy, with_features, scoped):
    case = Case(seed=4)
    others = {}
    if scoped and strategy.granularity == "whole":
        others = {"decision_params": [*case.enhancer.body[-1].parameters()]}
    plain, decided = case.run(strategy, with_features, **others)
    own = [p.grad for p in case.phi]
    probed, decided_too = case.run(strategy, with_features, measure=True, **others)
    assert same_bits(plain, probed)
    assert torch.equal(decided.weights, decided_too.weights)
    for p, expected in zip(case.phi, own, strict=True):
        assert p.grad is expected is None or same_bits(p.grad, expected)
    rows, _ = case.oracle()
    seen = case.part(rows, case.enhancer.body[-1]) if others else rows
    gram = decided_too.gram if decided_too.gram.dim() == 2 else decided_too.gram.sum(0)
    close(gram, seen @ seen.mT)
    assert strategy.compares or decided.gram is None


@with_and_without_features
def test_decision_params_decide_for_all_of_theta(with_features):
    differs = 0
    for seed in range(12):
        case = Case(seed=seed)
        norm = case.enhancer.body[1]
        rows, _ = case.oracle()
        seen = case.part(rows, norm)
        is_open = bool(seen[0] @ seen[1] >= 0)
        differs += is_open != bool(rows[0] @ rows[1] >= 0)
        # A generator, as a module gives it.
        gradient, decision = case.run(
            GradProm(lam=LAM), with_features, decision_params=norm.parameters()
        )
        close(gradient, rows[0] + LAM * is_open * rows[1])
        close(decision.gram, seen @ seen.mT)
        assert is_open or same_bits(gradient, rows[0])
    assert 0 < differs < 12


@with_and_without_features
def test_measuring_beside_decision_params_tells_what_all_of_theta_would_decide(with_features):
    agreed = 0
    for seed in range(12):
        case = Case(seed=seed, tasks=2)
        deciding = [*case.enhancer.body[1].parameters()]
        rows, _ = case.oracle()
        is_open = (rows[1:] @ rows[0] >= 0).double()
        _, decision = case.run(
            GradProm(lam=LAM), with_features, decision_params=deciding, measure=True
        )
        close(decision.overall.gram, rows @ rows.mT)
        assert torch.equal(decision.overall.gate, is_open)
        agreed += int((decision.gate == is_open).sum())
        assert (
            case.run(GradProm(lam=LAM), with_features, decision_params=deciding)[1].overall is None
        )
        assert case.run(GradProm(lam=LAM), with_features, measure=True)[1].overall is None
    assert 0 < agreed < 24


class Counting(Project):
    """Remembers how often it has decided, and weighs by that."""

    decided = 0

    def weights(self, gram: Tensor) -> Tensor:
        self.decided += 1
        return super().weights(gram) * self.decided


@with_and_without_features
def test_measuring_beside_decision_params_leaves_no_trace_in_the_strategys_state(with_features):
    case, strategy = Case(), Counting(lam=LAM)
    losses, enhanced = case.losses()
    deciding, where = case.theta[-1:], enhanced if with_features else None
    backward(losses, case.theta, strategy, features=where, decision_params=deciding, measure=True)
    assert strategy.decided == 1


@pytest.mark.parametrize(
    "call", ["flat", "none", "twice", "stranger", "no decision", "leaf", "around"]
)
def test_wrong_arguments_are_named_before_any_gradient_changes(call):
    case = Case()
    losses, enhanced = case.losses()
    theta = case.theta
    layered = GradProm(granularity="layer")
    calls = {
        "flat": (dict(strategy=layered), "one list for each layer, .* flat list of 10 parameters"),
        "none": (dict(shared=[torch.ones(2)]), "a parameter that requires gradients, got none"),
        "twice": (dict(shared=[theta, theta[:1]]), "each parameter once, got one twice"),
        "stranger": (dict(decision_params=case.phi[:1]), "a part of shared .* got 1 of 1"),
        "no decision": (dict(decision_params=[]), "a part of shared .* got 0 of 0"),
        "leaf": (
            dict(features=enhanced.detach().requires_grad_()),
            "in the losses' graph, got a leaf",
        ),
        "around": (dict(losses=[losses[0] + theta[0].sum(), losses[1]]), "got a path around it"),
    }
    given_instead, message = calls[call]
    arguments = dict(losses=losses, shared=theta, strategy=GradProm(), features=enhanced)
    with pytest.raises(ValueError, match=message):
        backward(**{**arguments, **given_instead})
    assert all(p.grad is None for p in [*case.theta, *case.phi])


def test_scope_and_layers_exclude_each_other():
    case = Case()
    losses, features = case.losses()
    strategy = GradProm(granularity="layer")
    with pytest.raises(ValueError, match="decision_params needs granularity 'whole', got 'layer'"):
        backward(
            losses,
            layers(case.enhancer),
            strategy,
            features=features,
            decision_params=case.theta[:1],
        )


def test_mgda_with_three_losses_changes_no_gradient():
    case = Case(tasks=2)
    losses, features = case.losses()
    with pytest.raises(ValueError, match="mgda weighs one main and one auxiliary loss, got 3"):
        backward(losses, case.theta, MGDA(), features=features)
    assert all(p.grad is None for p in [*case.theta, *case.phi])
