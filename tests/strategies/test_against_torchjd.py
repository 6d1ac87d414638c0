"""Closed forms for two losses against TorchJD's solvers, in float64."""

import math
import sys

import pytest
import torch
from scipy.optimize import minimize_scalar
from support.gram_matrices import gram_of, jacobian
from torchjd import aggregation
from torchjd.linalg import QuadprogProjector

from gradprom.strategies import (
    PCD,
    Aligned,
    Bisector,
    CAGrad,
    DualProj,
    PCGrad,
    Strategy,
    TorchJD,
)

LAMBDAS = [1e-4, 0.3, 1.0, 5.0]
BOTH = torch.ones(2, dtype=torch.float64)
EXACT = QuadprogProjector(norm_eps=0.0, reg_eps=0.0)
PAIRS = [
    (DualProj(), aggregation.DualProj(BOTH, projector=EXACT), 1e-9),
    (Bisector(), aggregation.ConFIG(), 1e-9),
    (Aligned(), aggregation.AlignedMTL(BOTH), 1e-6),
    # its weights are of the mean gradient, with a solver that stops at 1e-8
    (CAGrad(c=0.5), aggregation.CAGrad(c=0.5, norm_eps=0.0), 1e-3),
    (CAGrad(c=1.5), aggregation.CAGrad(c=1.5, norm_eps=0.0), 1e-3),
]


def with_lambda(strategy: Strategy, lam: float) -> Strategy:
    options = {key: value for key, value in vars(strategy).items() if not key.startswith("_")}
    return type(strategy)(**options | {"lam": lam})


def joined(strategy: Strategy, rows: torch.Tensor) -> torch.Tensor:
    return strategy.weights(rows @ rows.mT) @ rows


@pytest.mark.parametrize("lam", LAMBDAS)
@pytest.mark.parametrize(
    ("strategy", "reference", "close"), PAIRS, ids=lambda v: getattr(v, "name", "")
)
def test_two_losses_are_torchjds(strategy, reference, close, lam):
    """Over gradients that agree and that conflict, of (g_0, λ g_1)."""
    times = 2 if strategy.name == "cagrad" else 1
    cosines = []
    for seed in range(30):
        rows = jacobian(2, seed, size=3)
        cosines.append(torch.cosine_similarity(*rows, dim=0))
        scaled = rows * rows.new_tensor([1.0, lam])[:, None]
        expected = times * reference(scaled)
        ours = joined(with_lambda(strategy, lam), rows)
        assert torch.dist(ours, expected) <= close * max(expected.norm(), scaled.norm())
    assert min(cosines) < -0.8 and max(cosines) > 0.8


@pytest.mark.parametrize("beta", [0.0, 0.9])
@pytest.mark.parametrize("tau", [0.0, 0.02, 0.5, 1.0])
def test_pcd_is_torchjds_over_steps(tau, beta):
    """With the moving averages that both keep; the ε of its division is left out of ours."""
    ours = PCD(tau=tau, beta=beta)
    reference = aggregation.PCD(tau=tau, beta=beta, eps=0.0)
    turned = 0
    for seed in range(60):
        rows = jacobian(2, seed, size=3) * torch.tensor([[1.0], [10.0 ** (seed % 5 - 2)]])
        weights = ours.weights(rows @ rows.mT)
        turned += bool(weights[1])
        expected = reference(rows)
        assert torch.dist(weights @ rows, expected) <= 1e-9 * rows[0].norm()
    assert turned > 15


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_pcd_is_the_same_whatever_the_auxiliary_losss_size(factor):
    one, other = PCD(beta=0.5), PCD(beta=0.5)
    for seed in range(10):
        rows = jacobian(2, seed)
        larger = rows * rows.new_tensor([1.0, factor])[:, None]
        torch.testing.assert_close(joined(one, rows), joined(other, larger))


@pytest.mark.parametrize("lam", LAMBDAS)
def test_cagrad_helps_the_loss_it_helps_least_the_most(lam):
    """The dual problem of the paper, by a search in place of the closed form."""
    for seed in range(30):
        rows = jacobian(2, seed, size=3)
        v = rows * rows.new_tensor([1.0, lam])[:, None]
        total = v.sum(0)

        def helped(x, v=v, total=total):
            mixed = x * v[0] + (1 - x) * v[1]
            return float(mixed @ total + 0.5 * total.norm() * mixed.norm())

        found = minimize_scalar(helped, bounds=(0, 1), method="bounded", options={"xatol": 1e-12})
        best = min(found.fun, helped(0.0), helped(1.0))
        step = joined(CAGrad(lam=lam, c=0.5), rows)
        assert float((v @ step).min()) == pytest.approx(best, rel=1e-6, abs=1e-12)
        assert torch.dist(step, total) <= 0.5 * total.norm() * (1 + 1e-9)


def test_what_two_losses_have_in_common():
    """PCGrad is UPGrad; the bisector is IMTL-G's, FairGrad's and Nash-MTL's direction."""
    for seed in range(20):
        rows = jacobian(2, seed)
        upgrad = aggregation.UPGrad(BOTH, projector=EXACT)(rows)
        torch.testing.assert_close(joined(PCGrad(lam=1.0), rows), upgrad, rtol=1e-9, atol=1e-12)
        ours = joined(Bisector(lam=1.0), rows)
        for other in (aggregation.IMTLG(), aggregation.FairGrad(alpha=1.0)):
            cosine = torch.cosine_similarity(ours, other(rows), dim=0)
            assert float(cosine) == pytest.approx(1, abs=1e-6)
        # Nash-MTL's own condition: GA w = 1/w, entry by entry, up to a factor
        weights = Bisector(lam=1.0).weights(rows @ rows.mT)
        product = (rows @ rows.mT @ weights) * weights
        assert float(product[0]) == pytest.approx(float(product[1]))


@pytest.mark.parametrize("lam", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("towards", [1.0, -1.0])
@pytest.mark.parametrize("strategy", [DualProj(), Bisector(), Aligned(), CAGrad(), PCD()])
def test_gradients_on_one_line(strategy, towards, kind, lam):
    """They step along it, by no more than the two together, and never up the main loss but PCD."""
    rows = torch.tensor([[3.0, 4.0], [0.3 * towards, 0.4 * towards]], dtype=kind)
    strategy = PCD() if strategy.name == "pcd" else with_lambda(strategy, lam)
    weights = strategy.weights(rows @ rows.mT)
    assert weights.isfinite().all()
    step = weights @ rows
    along = float(step @ rows[0]) / 25
    assert torch.dist(step, along * rows[0]) <= 1e-3 * (rows[0].norm() + lam * rows[1].norm())
    assert abs(along) <= 1.5 * (1 + 0.1 * lam) + 1e-6
    if towards > 0:
        assert along > 0
    elif strategy.name == "pcd":
        assert along == pytest.approx(-1, abs=1e-3)
    elif strategy.name != "cagrad":
        assert along == pytest.approx(0, abs=1e-3 * (1 + 0.1 * lam)) or strategy.name == "aligned"


@pytest.mark.parametrize("strategy", [DualProj(), Bisector(), Aligned(), CAGrad(), PCD()])
def test_one_gradient_that_is_zero_leaves_the_others_step(strategy):
    alone = strategy.weights(gram_of([3, 4], [0, 0]))
    assert alone[0] == 1 and alone.isfinite().all()
    if strategy.name != "pcd":
        other = with_lambda(strategy, 0.5).weights(gram_of([0, 0], [3, 4]))
        assert float(other[1]) == 0.5 and other.isfinite().all()


def test_equal_gradients():
    gram = gram_of([1, 2], [1, 2])
    for strategy in (DualProj(lam=1.0), Bisector(lam=1.0), Aligned(lam=1.0)):
        assert strategy.weights(gram).tolist() == pytest.approx([1, 1])
    assert float(CAGrad(lam=1.0, c=0.5).weights(gram).sum()) == pytest.approx(3)
    assert PCD().weights(gram).tolist() == [1, 0]


def test_cagrad_without_radius_is_joint_training():
    for seed in range(5):
        rows = jacobian(2, seed)
        assert CAGrad(lam=0.3, c=0.0).weights(rows @ rows.mT).tolist() == pytest.approx([1, 0.3])


ADAPTED = [
    ("UPGrad", {}),
    ("DualProj", {}),
    ("CAGrad", {"c": 0.5}),
    ("AlignedMTL", {"scale_mode": "rmse"}),
    ("IMTLG", {}),
    ("ConFIG", {}),
    ("MGDA", {}),
    ("PCGrad", {}),
    ("GradVac", {"beta": 0.3}),
    ("PCD", {"tau": 0.1}),
    ("Constant", {"weights": [1.0, 0.5]}),
    ("Sum", {}),
    ("Random", {}),
    ("FairGrad", {"alpha": 1.0}),
]


@pytest.mark.parametrize(
    ("name", "arguments"), [pair for pair in ADAPTED if pair[0] != "Random"], ids=lambda v: str(v)
)
def test_the_adapter_does_what_torchjd_does(name, arguments):
    adapter = TorchJD(lam=0.3, aggregator=name, arguments=arguments)
    values = {k: torch.tensor(v).double() if k == "weights" else v for k, v in arguments.items()}
    reference = getattr(aggregation, name)(**values)
    for seed in range(8):
        rows = jacobian(2, seed)
        scaled = rows * rows.new_tensor([1.0, 0.3])[:, None]
        ours, expected = joined(adapter, rows), reference(scaled)
        if name == "FairGrad":  # its length does not follow that of the gradients
            ours, expected = ours / ours.norm(), expected / expected.norm()
        close = 1e-4 if name in ("CAGrad", "FairGrad") else 1e-9
        assert torch.dist(ours, expected) <= close * scaled.norm()


@pytest.mark.parametrize(("name", "arguments"), ADAPTED, ids=[name for name, _ in ADAPTED])
def test_the_adapter_continues_from_its_state(name, arguments):
    first = TorchJD(aggregator=name, arguments=arguments)
    grams = [rows @ rows.mT for rows in (jacobian(2, seed) for seed in range(12))]
    for gram in grams[:5]:
        first.weights(gram)
    second = TorchJD(aggregator=name, arguments=arguments, seed=7)
    second.load_state_dict({key: value.clone() for key, value in first.state_dict().items()})
    for gram in grams[5:]:
        assert torch.equal(first.weights(gram), second.weights(gram))


def test_the_adapter_touches_no_other_random_numbers():
    before = torch.get_rng_state()
    drawn = [
        TorchJD(aggregator="Random", seed=seed).weights(torch.eye(2)).tolist() for seed in (1, 1, 2)
    ]
    assert torch.equal(torch.get_rng_state(), before)
    assert drawn[0] == drawn[1] != drawn[2]


def test_without_torchjd_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(ValueError, match=r"needs TorchJD: pip install 'gradprom\[torchjd\]'"):
        TorchJD()


def test_the_adapter_leaves_what_is_not_finite_to_the_main_gradient():
    gram = gram_of([1, 0], [2, 3])
    gram[1, 1] = math.inf
    assert TorchJD().weights(gram).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("Upgrad", {}, "aggregator must be one of AlignedMTL, .*UPGrad, got 'Upgrad'"),
        ("GradDrop", {}, "aggregator GradDrop reads the gradients' components"),
        ("CAGrad", {}, "aggregator CAGrad: .*missing 1 required positional argument: 'c'"),
        ("CAGrad", {"c": -1}, "aggregator CAGrad: c must be non-negative"),
        ("PCD", {"gamma": 1}, "aggregator PCD: .*unexpected keyword argument 'gamma'"),
    ],
)
def test_the_adapter_names_what_it_cannot_build(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        TorchJD(aggregator=name, arguments=arguments)
