"""A backward enters each network no oftener than it must, frees graphs and asks no value."""

import weakref

import pytest
import torch
from support.backward_cases import Case, every_strategy, with_and_without_features
from torch import Tensor, nn

from gradprom.strategies import (
    MGDA,
    Frozen,
    GradProm,
    Joint,
    Mainstream,
    PCGrad,
    Project,
    RandomGate,
    backward,
    layers,
)


class Counted(nn.Module):
    """Passes on what it gets and calls `seen` at every backward pass."""

    def __init__(self, seen) -> None:
        super().__init__()

        class Function(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.clone()

            @staticmethod
            def backward(ctx, gradient):
                seen()
                return gradient

        self.function = Function

    def forward(self, x: Tensor) -> Tensor:
        return self.function.apply(x)


@pytest.mark.parametrize(
    ("strategy", "others", "tasks", "enhancer_passes"),
    [
        (Mainstream(), {}, 1, 1),
        (Joint(), {}, 1, 1),
        (Joint(), {}, 2, 1),
        (Frozen(), {}, 1, 1),
        (RandomGate(), {}, 1, 1),
        (GradProm(), {}, 1, 2),
        (GradProm(), {}, 2, 3),
        (GradProm(granularity="layer"), {}, 1, 2),
        (Project(), {}, 1, 2),
        (PCGrad(), {}, 1, 2),
        (MGDA(), {}, 1, 2),
        (GradProm(), {"decision_params": "last"}, 1, 1),
        (GradProm(), {"decision_params": "last", "measure": True}, 1, 3),
        (Joint(), {"decision_params": "last"}, 1, 1),
        (Joint(), {"measure": True}, 1, 3),
        (Joint(), {"measure": True, "decision_params": "last"}, 1, 1),
        (GradProm(), {"measure": True}, 1, 2),
    ],
    ids=str,
)
def test_passes_through_the_networks(strategy, others, tasks, enhancer_passes):
    case = Case(tasks=tasks)
    enhancer, trunk = [], []
    # Behind the first convolution: a pass to the last layer alone does not get there.
    case.enhancer.body.insert(1, Counted(lambda: enhancer.append(1)))
    case.recognizer.trunk.insert(0, Counted(lambda: trunk.append(1)))
    if others.get("decision_params"):
        others = {**others, "decision_params": case.enhancer.body[-1].parameters()}
    case.run(strategy, **others)
    assert len(enhancer) == enhancer_passes
    assert len(trunk) == (tasks if strategy.has_auxiliary else 0)


class Saved:
    """Stands for a tensor that autograd keeps for the backward pass."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@pytest.mark.parametrize("strategy", [Joint(), GradProm(), Frozen(), RandomGate()], ids=str)
@pytest.mark.parametrize("tasks", [1, 2])
def test_the_recognizers_graph_is_freed_before_the_enhancers_turn(strategy, tasks):
    case = Case(tasks=tasks)
    kept: list[weakref.ref] = []
    alive: list[int] = []

    def pack(tensor: Tensor) -> Saved:
        box = Saved(tensor)
        kept.append(weakref.ref(box))
        return box

    count = Counted(lambda: alive.append(sum(ref() is not None for ref in kept)))
    trunk = case.recognizer.trunk
    case.enhancer.body.append(count)

    def packed(module, *inputs):
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.tensor):
            return type(module).forward(module, *inputs)

    trunk.forward = lambda x: packed(trunk, x)
    losses, enhanced = case.losses()
    assert sum(ref() is not None for ref in kept) >= 3
    backward(losses, case.theta, strategy, features=enhanced)
    assert alive and set(alive) == {0}


@pytest.mark.parametrize("measure", [False, True])
@with_and_without_features
@every_strategy
def test_all_graphs_are_freed_at_the_end(strategy, with_features, measure):
    if not (strategy.has_auxiliary or measure):
        return  # The recognizer is never entered; its graph goes with the losses.
    case = Case()
    kept: list[weakref.ref] = []

    def pack(tensor: Tensor) -> Saved:
        box = Saved(tensor)
        kept.append(weakref.ref(box))
        return box

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.tensor):
        losses, enhanced = case.losses()
    shared = layers(case.enhancer) if strategy.granularity == "layer" else case.theta
    backward(
        losses, shared, strategy, features=enhanced if with_features else None, measure=measure
    )
    # Without features, what the main loss alone keeps (here two images) goes with the losses.
    assert sum(ref() is not None for ref in kept) <= (0 if with_features else 2)


def test_batchnorm_statistics_are_updated_once():
    case = Case()
    case.run(GradProm())
    counts = [m.num_batches_tracked for m in [*case.enhancer.modules()] if hasattr(m, "momentum")]
    assert counts and all(count == 1 for count in counts)


def step_on_meta(strategy, **others) -> None:
    """A step on a device that has no values: whatever asks for one raises."""
    case = Case()
    case.enhancer.to("meta")
    case.recognizer.to("meta")
    case.clean, case.noisy = case.clean.to("meta"), case.noisy.to("meta")
    case.labels = case.labels.to("meta")
    _, decision = case.run(strategy, **others)
    logged = [decision.cosine, decision.norms, decision.gate, decision.ratio]
    assert {value.device.type for value in logged} == {"meta"}


@with_and_without_features
@every_strategy
@pytest.mark.parametrize("measure", [False, True])
def test_no_value_is_asked_of_the_device(strategy, with_features, measure):
    step_on_meta(strategy, with_features=with_features, measure=measure, reduce=lambda stack: stack)


@pytest.mark.parametrize(
    "asks", [lambda t: t.sum().item(), lambda t: t.cpu(), lambda t: bool(t[0, 0])]
)
def test_the_check_above_notices_a_strategy_that_asks(asks):
    class Asks(GradProm):
        def weights(self, gram: Tensor) -> Tensor:
            asks(gram)
            return super().weights(gram)

    with pytest.raises((RuntimeError, NotImplementedError)):
        step_on_meta(Asks())
