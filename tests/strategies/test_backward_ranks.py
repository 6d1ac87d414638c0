"""Several ranks decide on their averaged gradients, each of which is averaged once."""

import copy

import pytest
import torch
from support.backward_cases import LAM, Case, close, with_and_without_features
from torch import Tensor

from gradprom.strategies import DWA, Frozen, GradProm, Joint, backward


@with_and_without_features
@pytest.mark.parametrize("strategy", [Joint(lam=LAM), GradProm(lam=LAM), Frozen(lam=LAM)], ids=str)
def test_ranks_decide_on_their_averaged_gradients(strategy, with_features):
    """Two ranks in turn: what the other one sends is recorded first, then averaged in."""
    overruled = 0
    for seed in range(8):
        here, there = Case(seed=seed), Case(seed=seed)
        there.clean, there.noisy = there.clean.flip(2), there.noisy.flip(2).roll(1, 3)
        there.labels = (there.labels + 1) % 3
        sent: list[Tensor] = []

        def average(stack: Tensor, sent: list[Tensor] = sent) -> Tensor:
            return (stack + sent.pop(0)) / 2

        alone, phi = here.oracle()
        other, other_phi = there.oracle()
        rows = (alone + other) / 2
        there.run(
            strategy, with_features, reduce=lambda stack, sent=sent: sent.append(stack) or stack
        )
        gradient, _ = here.run(strategy, with_features, reduce=average)
        assert not sent
        is_open = not strategy.compares or bool(rows[0] @ rows[1] >= 0)
        overruled += strategy.compares and is_open != bool(alone[0] @ alone[1] >= 0)
        close(gradient, rows[0] + LAM * is_open * rows[1])
        for p, one, two in zip(here.phi, phi, other_phi, strict=True):
            assert (p.grad is None) == (not strategy.learns)
            if strategy.learns:
                close(p.grad, (one + two) / 2)
    assert not strategy.compares or overruled


@with_and_without_features
def test_ranks_weigh_by_their_averaged_losses(with_features):
    here, there = Case(seed=1), Case(seed=2)
    losses = [torch.stack([loss.detach() for loss in case.losses()[0]]) for case in (here, there)]
    asked = []

    def average(stack: Tensor) -> Tensor:
        asked.append(stack)
        return (stack + losses[1].unsqueeze(-1)) / 2 if len(asked) == 1 else stack

    strategy, gram = DWA(lam=LAM, window=1), torch.eye(2, dtype=torch.float64)
    strategy.weights(gram, torch.ones(2))
    seen = copy.deepcopy(strategy)
    shared, enhanced = here.losses()
    features = enhanced if with_features else None
    backward(shared, here.theta, strategy, features=features, reduce=average)
    close(asked[0].squeeze(-1), losses[0])
    seen.weights(gram, (losses[0] + losses[1]) / 2)
    close(strategy.weights(gram, torch.ones(2)), seen.weights(gram, torch.ones(2)))


@with_and_without_features
def test_ranks_decide_alike_with_decision_params_and_measuring(with_features):
    """What is averaged: the gradients that are compared, θ's own, φ's; each exactly once."""
    case = Case()
    last = [*case.enhancer.body[-1].parameters()]
    theta, deciding = sum(p.numel() for p in case.theta), sum(p.numel() for p in last)
    phi = sum(p.numel() for p in case.phi)
    shapes: list[tuple[int, ...]] = []
    # measuring a strategy that compares looks at all of θ as well
    for strategy, compared in ((GradProm(), theta), (Joint(), deciding)):
        shapes.clear()
        case.run(
            strategy,
            with_features,
            decision_params=last,
            measure=True,
            reduce=lambda stack: shapes.append(tuple(stack.shape)) or stack,
        )
        once = [(2, compared), (1, theta), (1, phi)] if with_features else [(2, theta), (1, phi)]
        assert shapes == once
