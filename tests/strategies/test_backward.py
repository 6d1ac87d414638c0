"""One backward for all strategies, against separate full backward passes in float64."""

import copy
import dataclasses
import re
import weakref
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchjd.aggregation import MGDA as TorchJDMGDA
from torchjd.aggregation import PCGrad as TorchJDPCGrad

import gradprom.strategies as strategies
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

LAM = 0.3
EVERY = [
    Mainstream(),
    Joint(lam=LAM),
    Frozen(lam=LAM),
    GradProm(lam=LAM),
    GradProm(lam=LAM, gate="cosine"),
    GradProm(lam=LAM, granularity="layer"),
    Project(lam=LAM),
    PCGrad(lam=LAM),
    MGDA(lam=LAM),
    RandomGate(lam=LAM),
]
every_strategy = pytest.mark.parametrize(
    "strategy", EVERY, ids=lambda s: f"{s.name}-{getattr(s, 'gate', '')}-{s.granularity}"
)


class Enhancer(nn.Module):
    """Convolutions with BatchNorm and a global skip."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        body: list[nn.Module] = []
        for i in range(depth):
            body += [nn.Conv2d(width if i else 1, width, 3, padding=1), nn.BatchNorm2d(width)]
            body += [nn.ReLU()]
        self.body = nn.Sequential(*body, nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Recognizer(nn.Module):
    """A trunk and one head for each auxiliary task."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Softplus(), nn.Flatten()
        )
        self.heads = nn.ModuleList(nn.Linear(64, 3) for _ in range(tasks))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = self.trunk(x)
        return [head(features) for head in self.heads]


@dataclasses.dataclass
class Case:
    """A random pair of networks with data; `signs` turn auxiliary losses to force conflicts."""

    seed: int = 0
    depth: int = 2
    width: int = 4
    batch: int = 3
    tasks: int = 1

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        self.enhancer = Enhancer(self.depth, self.width).double()
        self.recognizer = Recognizer(self.tasks).double()
        self.clean = torch.rand(self.batch, 1, 8, 8, dtype=torch.float64)
        self.noisy = self.clean + 0.2 * torch.randn_like(self.clean)
        self.labels = torch.randint(3, (self.batch,))
        self.signs = [1.0] * self.tasks

    @property
    def theta(self) -> list[Tensor]:
        return list(self.enhancer.parameters())

    @property
    def phi(self) -> list[Tensor]:
        return list(self.recognizer.parameters())

    def losses(self) -> tuple[list[Tensor], Tensor]:
        enhanced = self.enhancer(self.noisy)
        main = nn.functional.mse_loss(enhanced, self.clean)
        outputs = self.recognizer(enhanced)
        auxiliary = [
            sign * nn.functional.cross_entropy(output, (self.labels + task) % 3)
            for task, (sign, output) in enumerate(zip(self.signs, outputs, strict=True))
        ]
        return [main, *auxiliary], enhanced

    def oracle(self) -> tuple[Tensor, list[Tensor]]:
        """Gradients over θ [K, P] and, summed, over φ: a forward and backward for each loss."""
        rows, phi = [], [torch.zeros_like(p) for p in self.phi]
        for k in range(1 + self.tasks):
            alone = copy.deepcopy(self)
            alone.losses()[0][k].backward()
            rows.append(flat(alone.theta))
            for total, p in zip(phi, alone.phi, strict=True):
                total += 0 if p.grad is None else p.grad
        return torch.stack(rows), phi

    def part(self, rows: Tensor, of: nn.Module) -> Tensor:
        """The columns of gradients over θ [K, P] that belong to a part of the enhancer."""
        sizes = [p.numel() for p in self.theta]
        own = set(of.parameters())
        pieces = zip(self.theta, rows.split(sizes, dim=1), strict=True)
        return torch.cat([piece for p, piece in pieces if p in own], dim=1)

    def turn(self, is_open: bool) -> None:
        """Signs the auxiliary losses so that all agree with the main one, or none does."""
        rows, _ = self.oracle()
        for task in range(self.tasks):
            agrees = float(rows[0] @ rows[1 + task]) >= 0
            self.signs[task] *= 1.0 if agrees == is_open else -1.0

    def run(self, strategy, with_features: bool = True, **others):
        """One step from cleared gradients: θ's gradient [P], and the decision."""
        self.enhancer.zero_grad()
        self.recognizer.zero_grad()
        losses, enhanced = self.losses()
        shared = self.theta
        if strategy.granularity == "layer":
            shared = layers(self.enhancer)
        where = enhanced if with_features else None
        decision = backward(losses, shared, copy.deepcopy(strategy), features=where, **others)
        return flat(self.theta), decision


def flat(parameters: list[Tensor]) -> Tensor:
    return torch.cat([p.grad.flatten() for p in parameters])


def same_bits(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.view(torch.int64), other.view(torch.int64))


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


cases = st.builds(
    Case,
    seed=st.integers(0, 10**6),
    depth=st.integers(1, 3),
    width=st.integers(1, 6),
    batch=st.integers(1, 4),
    tasks=st.integers(1, 2),
)
random_cases = settings(max_examples=15, deadline=None, derandomize=True)
with_and_without_features = pytest.mark.parametrize("with_features", [True, False])


# What the paper says.


@with_and_without_features
@random_cases
@given(case=cases)
def test_closed_gate_leaves_the_main_gradient_bit_for_bit(case, with_features):
    case.turn(is_open=False)
    rows, phi = case.oracle()
    for gate in ("hard", "cosine"):
        gradient, decision = case.run(GradProm(lam=LAM, gate=gate), with_features)
        assert same_bits(gradient, rows[0])
        assert decision.gate.tolist() == [0.0] * case.tasks
        for p, expected in zip(case.phi, phi, strict=True):
            close(p.grad, expected)


@with_and_without_features
@random_cases
@given(case=cases)
def test_open_gate_gives_the_total_gradient(case, with_features):
    case.turn(is_open=True)
    rows, phi = case.oracle()
    gradient, decision = case.run(GradProm(lam=LAM), with_features)
    close(gradient, rows[0] + LAM * rows[1:].sum(0))
    assert decision.gate.tolist() == [1.0] * case.tasks
    for p, expected in zip(case.phi, phi, strict=True):
        close(p.grad, expected)


@with_and_without_features
@random_cases
@given(case=cases)
def test_joint_and_the_controls(case, with_features):
    rows, phi = case.oracle()
    expected = {1.0: rows[0] + LAM * rows[1:].sum(0), 0.0: rows[0]}
    for share, total in expected.items():
        for strategy in (Joint(lam=LAM, open_share=share), RandomGate(lam=LAM, rate=share)):
            gradient, _ = case.run(strategy, with_features)
            close(gradient, total)
            for p, own in zip(case.phi, phi, strict=True):
                close(p.grad, own)
    assert same_bits(case.run(RandomGate(lam=LAM, rate=0.0), with_features)[0], rows[0])


@with_and_without_features
@random_cases
@given(case=cases)
def test_strategies_that_do_not_learn_leave_the_recognizer_untouched(case, with_features):
    rows, _ = case.oracle()
    total = rows[0] + LAM * rows[1:].sum(0)
    close(case.run(Frozen(lam=LAM), with_features)[0], total)
    assert all(p.grad is None for p in case.phi)
    for strategy in (Frozen(lam=LAM, pass_gradient=False), Mainstream()):
        assert same_bits(case.run(strategy, with_features)[0], rows[0])
        assert all(p.grad is None for p in case.phi)
    case.recognizer.requires_grad_(False)
    close(case.run(Joint(lam=LAM), with_features)[0], total)
    assert all(p.grad is None for p in case.phi)


@random_cases
@given(case=cases)
def test_a_step_never_climbs_the_main_loss(case):
    """⟨Δθ, ∇θ L_IP⟩ >= 0 (Eq. 7)."""
    main = case.oracle()[0][0]
    for strategy in (GradProm, Project):
        assert case.run(strategy(lam=50.0))[0] @ main >= -1e-9 * main.square().sum()
    assert case.run(GradProm(lam=50.0, gate="cosine"))[0] @ main >= 0
    assert case.run(GradProm(lam=50.0, granularity="layer"))[0] @ main >= 0


@random_cases
@given(case=cases)
def test_decisions_are_those_of_the_definitions(case):
    rows, _ = case.oracle()
    norms = rows.norm(dim=1)
    cosine = rows[1:] @ rows[0] / (norms[0] * norms[1:])
    gates = {"hard": (cosine >= 0).double(), "cosine": cosine.clamp(min=0)}
    for gate, opening in gates.items():
        gradient, decision = case.run(GradProm(lam=LAM, gate=gate))
        close(gradient, rows[0] + LAM * opening @ rows[1:])
        close(decision.gram, rows @ rows.mT)
        close(decision.cosine, cosine)
        close(decision.norms, norms)
        close(decision.ratio, LAM * norms[1:] / norms[0])
        assert decision.gate.tolist() == (opening > 0).double().tolist()


@with_and_without_features
@random_cases
@given(case=cases)
def test_per_layer_gates(case, with_features):
    rows, _ = case.oracle()
    sizes = [sum(p.numel() for p in layer) for layer in layers(case.enhancer)]
    expected, is_open = [], []
    for piece in rows.split(sizes, dim=1):
        opening = (piece[1:] @ piece[0] >= 0).double()
        expected.append(piece[0] + LAM * opening @ piece[1:])
        is_open.append(opening)
    gradient, decision = case.run(GradProm(lam=LAM, granularity="layer"), with_features)
    close(gradient, torch.cat(expected))
    close(decision.gate, torch.stack(is_open).mean(0))
    assert decision.weights.shape == (len(sizes), 1 + case.tasks)
    close(decision.norms, rows.norm(dim=1))


def test_layers_decide_for_themselves():
    """Of some networks, layers disagree; otherwise the test above would show nothing."""
    shares = [
        float(Case(seed=s).run(GradProm(lam=LAM, granularity="layer"))[1].gate) for s in range(10)
    ]
    assert any(0 < share < 1 for share in shares)


@with_and_without_features
@random_cases
@given(case=cases)
def test_pcgrad_project_and_mgda(case, with_features):
    rows, _ = case.oracle()
    scaled = rows * rows.new_tensor([1.0] + [LAM] * case.tasks)[:, None]
    against = (scaled[1:] @ rows[0]).clamp(max=0) / (rows[0] @ rows[0])
    kept = scaled[1:] - against[:, None] * rows[0]
    close(case.run(Project(lam=LAM), with_features)[0], rows[0] + kept.sum(0))
    if case.tasks == 1:
        close(case.run(PCGrad(lam=LAM), with_features)[0], TorchJDPCGrad()(scaled))
        close(case.run(MGDA(lam=LAM), with_features)[0], TorchJDMGDA()(scaled))


# The arguments.


@every_strategy
@random_cases
@given(case=cases)
def test_with_and_without_features_agree(strategy, case):
    if strategy.name == "mgda" and case.tasks == 2:
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


def test_layers_are_the_modules_that_own_parameters():
    net = Enhancer(depth=2, width=3)
    net.body[3].weight = net.body[0].weight
    net.body[4].requires_grad_(False)
    groups = layers(net)
    body = net.body
    expected = [
        [body[0].weight, body[0].bias],
        [body[1].weight, body[1].bias],
        [body[3].bias],
        [body[6].weight, body[6].bias],
    ]
    assert [[id(p) for p in group] for group in groups] == [[id(p) for p in g] for g in expected]


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


# Gradients that are zero, missing or not finite.


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


# What it costs.


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


# The documentation.


def test_the_documentations_examples_run():
    text = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
    loop, *others = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in loop.splitlines() if line.strip()]) <= 15
    torch.manual_seed(0)
    names: dict = {}
    exec(loop, names)
    before = nn.functional.mse_loss(names["noisy"], names["clean"])
    assert names["main"] < before and names["decision"].gate.shape == (1,)
    for example in others:
        exec(example, names)


def test_the_documentation_names_every_strategy():
    text = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
    for strategy in EVERY:
        assert f"`{strategy.name}`" in text and type(strategy).__name__ in dir(strategies)
        for field in dataclasses.fields(strategy):
            assert field.name == "name" or re.search(rf"`{field.name}\b", text)


def adversarial_step(frozen: bool) -> tuple[nn.Module, nn.Module]:
    """A generator's step against a discriminator, after which both have their `.grad`."""
    torch.manual_seed(0)
    generator, discriminator = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 4)
    discriminator.requires_grad_(not frozen)
    made = generator(torch.rand(2, 1, 8, 8))
    pixel = nn.functional.mse_loss(made, torch.rand(2, 1, 8, 8))
    main = pixel + nn.functional.softplus(-discriminator(made)).mean()
    backward([main, made.mean()], generator.parameters(), GradProm(), features=made)
    return generator, discriminator


def test_a_discriminator_gets_the_generators_gradient_unless_it_is_frozen():
    """The trap of docs/strategies.md."""
    (free, judge), (same, frozen) = adversarial_step(False), adversarial_step(True)
    assert all(p.grad.any() for p in judge.parameters())
    assert all(p.grad is None for p in frozen.parameters())
    for one, two in zip(free.parameters(), same.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)
