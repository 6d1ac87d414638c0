"""One backward gives each strategy the step of its definition, of whole networks and by layer."""

import torch
from hypothesis import given
from support.backward_cases import (
    LAM,
    Case,
    Enhancer,
    cases,
    close,
    random_cases,
    same_bits,
    with_and_without_features,
)
from torchjd.aggregation import MGDA as TorchJDMGDA
from torchjd.aggregation import PCGrad as TorchJDPCGrad

from gradprom.strategies import (
    MGDA,
    Frozen,
    GradProm,
    Joint,
    Mainstream,
    PCGrad,
    Project,
    RandomGate,
    layers,
)


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
