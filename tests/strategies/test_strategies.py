"""The contract of every strategy, and each one's weights against its own definition."""

import copy
import dataclasses
import importlib
import pickle
import pkgutil
import subprocess
import sys

import pytest
import torch
from omegaconf import OmegaConf
from torchjd.aggregation import MGDA as TorchJDMGDA
from torchjd.aggregation import PCGrad as TorchJDPCGrad

import gradprom.strategies as strategies
from gradprom.strategies import (
    MGDA,
    Decision,
    Frozen,
    GradProm,
    Joint,
    Mainstream,
    PCGrad,
    Project,
    RandomGate,
    Strategy,
)

MODULES = {
    info.name: importlib.import_module(f"gradprom.strategies.{info.name}")
    for info in pkgutil.iter_modules(strategies.__path__)
}
OPTIONS = {name: module.Options for name, module in MODULES.items() if hasattr(module, "Options")}
every_strategy = pytest.mark.parametrize("name", sorted(OPTIONS))


def counts(name: str) -> list[int]:
    return [2] if name == "mgda" else [2, 3, 4]


def jacobian(losses: int, seed: int, size: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(losses, size, dtype=torch.float64, generator=generator)


def grams(losses: int, layers: int) -> torch.Tensor:
    stack = torch.stack([jacobian(losses, seed) for seed in range(layers)])
    return stack @ stack.mT


# The contract: a new file in the package is held to it without being named here.


def test_the_strategies_of_the_package_are_found():
    assert set(OPTIONS) >= {
        "mainstream",
        "joint",
        "frozen",
        "gradprom",
        "project",
        "pcgrad",
        "mgda",
        "random_gate",
    }


@every_strategy
def test_options_are_a_strategy_that_the_configuration_can_fill(name):
    options = OPTIONS[name]
    assert issubclass(options, Strategy) and options().name == name
    fields = {field.name: field.type for field in dataclasses.fields(options)}
    assert "name" in fields and set(fields.values()) <= {str, float, int, bool}
    changed = {"lam": 0.5} if "lam" in fields else {}
    filled = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(options), changed))
    assert isinstance(filled, options) and filled.lam == changed.get("lam", 0.0)


@every_strategy
def test_default_lambda_is_the_papers(name):
    assert OPTIONS[name]().lam == (0.0 if name == "mainstream" else 1e-4)


@every_strategy
def test_weights_per_layer_are_the_weights_of_each_layer(name):
    for count in counts(name):
        batch = grams(count, layers=5)
        together = OPTIONS[name](lam=0.3) if name != "mainstream" else Mainstream()
        alone = copy.deepcopy(together)
        if not together.compares:
            assert together.weights(batch[0]).shape == (count,)
            continue
        expected = torch.stack([alone.weights(gram) for gram in batch])
        assert expected.shape == (5, count)
        torch.testing.assert_close(together.weights(batch), expected, rtol=0, atol=0)


@every_strategy
def test_weights_leave_the_gram_matrix_alone_and_keep_its_type(name):
    for kind in (torch.float32, torch.float64):
        gram = grams(2, layers=1)[0].to(kind)
        before = gram.clone()
        assert OPTIONS[name]().weights(gram).dtype == kind
        assert torch.equal(gram, before)


@every_strategy
def test_zero_gradients_give_finite_weights(name):
    for count in counts(name):
        for zero in [slice(None), slice(0, 1), slice(1, None)]:
            rows = jacobian(count, seed=3)
            rows[zero] = 0
            assert OPTIONS[name]().weights(rows @ rows.mT).isfinite().all()


@every_strategy
@pytest.mark.parametrize("sizes", [(1e3, 1e-20), (1e-25, 1e3)])
def test_squares_too_small_for_float32_give_finite_weights(name, sizes):
    """Conflicting gradients whose inner product is a number while one's own square is zero."""
    rows = torch.tensor([[sizes[0]], [-sizes[1]]])
    gram = rows @ rows.mT
    assert gram[0, 1] < 0
    assert OPTIONS[name]().weights(gram).isfinite().all()


@every_strategy
def test_a_common_factor_of_the_losses_does_not_matter(name):
    """A gradient scaler multiplies all losses by one factor."""
    for seed in range(10):
        rows = jacobian(2, seed)
        plain, scaled = OPTIONS[name](), OPTIONS[name]()
        expected = plain.weights(rows @ rows.mT)
        torch.testing.assert_close(scaled.weights(2.0**32 * (rows @ rows.mT)), expected)


@every_strategy
def test_a_strategy_that_compares_nothing_reads_no_gram_matrix(name):
    blind = torch.full((2, 2), torch.nan)
    assert bool(OPTIONS[name]().weights(blind).isfinite().all()) or OPTIONS[name].compares


@every_strategy
def test_state_round_trip_continues_alike(name):
    first = OPTIONS[name]()
    gram = grams(2, layers=1)[0]
    for _ in range(5):
        first.weights(gram)
    second = OPTIONS[name]()
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    for _ in range(20):
        assert torch.equal(first.weights(gram), second.weights(gram))


def test_state_of_another_strategy_is_refused():
    with pytest.raises(ValueError, match="strategy joint has no state to load, got .*generator"):
        Joint().load_state_dict(RandomGate().state_dict())


@pytest.mark.parametrize(
    ("options", "wrong", "message"),
    [
        (Joint, {"lam": -1.0}, r"lam must be a finite number >= 0, got -1\.0"),
        (Frozen, {"lam": float("nan")}, "lam must be a finite number >= 0, got nan"),
        (GradProm, {"lam": float("inf")}, "lam must be a finite number >= 0, got inf"),
        (Project, {"lam": -0.1}, "got -0.1"),
        (PCGrad, {"lam": -0.1}, "got -0.1"),
        (MGDA, {"lam": -0.1}, "got -0.1"),
        (RandomGate, {"lam": -0.1}, "got -0.1"),
        (Joint, {"open_share": 1.5}, r"open_share must be between 0 and 1, got 1\.5"),
        (RandomGate, {"rate": -0.5}, r"rate must be between 0 and 1, got -0\.5"),
        (RandomGate, {"seed": -1}, "seed must be >= 0, got -1"),
        (GradProm, {"gate": "soft"}, "gate must be one of hard, cosine, got 'soft'"),
        (GradProm, {"gate_on": "tail"}, "gate_on must be one of all, last, got 'tail'"),
        (
            GradProm,
            {"gate_on": "last", "granularity": "layer"},
            "gate_on 'last' needs granularity 'whole', got 'layer'",
        ),
        (GradProm, {"granularity": "row"}, "granularity must be one of whole, layer, got 'row'"),
    ],
)
def test_wrong_values_are_named(options, wrong, message):
    with pytest.raises(ValueError, match=message):
        options(**wrong)


def test_the_package_imports_nothing_else_of_ours():
    code = (
        "import sys, gradprom.strategies; "
        "print([m for m in sys.modules if m.split('.')[0] in ('gradprom', 'omegaconf', 'hydra')"
        " and not m.startswith('gradprom.strategies')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['gradprom']"


# Each strategy's own definition.


def test_strategies_without_comparison():
    gram = torch.full((3, 3), torch.nan, dtype=torch.float64)
    assert Mainstream().weights(gram).tolist() == [1, 0, 0]
    assert Joint(lam=0.5).weights(gram).tolist() == [1, 0.5, 0.5]
    assert Joint(lam=0.5, open_share=0.25).weights(gram).tolist() == [1, 0.125, 0.125]
    assert Frozen(lam=0.5).weights(gram).tolist() == [1, 0.5, 0.5]
    assert Frozen(lam=0.5, pass_gradient=False).weights(gram).tolist() == [1, 0, 0]


def gram_of(*rows: list[float]) -> torch.Tensor:
    stack = torch.tensor(rows, dtype=torch.float64)
    return stack @ stack.mT


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
def test_mgda_weighs_two_losses_only(count):
    with pytest.raises(ValueError, match=f"one main and one auxiliary loss, got {count}"):
        MGDA().weights(torch.eye(count))


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


# The log.


def test_decision_says_what_the_gram_matrix_says():
    gram = gram_of([3, 0, 4], [0, 2, 0], [-1, 0, 0])
    decision = Decision(torch.tensor([1.0, 0.1, 0.0]), gram, lam=0.1)
    assert decision.norms.tolist() == [5, 2, 1]
    torch.testing.assert_close(decision.cosine, gram.new_tensor([0, -0.6]))
    torch.testing.assert_close(decision.ratio, gram.new_tensor([0.04, 0.02]))
    assert decision.gate.tolist() == [1, 0]


def test_decision_per_layer_is_summed_for_the_log_and_gates_are_averaged():
    gram = torch.stack([gram_of([3, 0], [0, 1]), gram_of([4, 0], [2, 0])])
    decision = Decision(torch.tensor([[1.0, 0.0], [1.0, 0.1]]), gram, lam=0.1)
    assert decision.norms.tolist() == [5, 5**0.5]
    torch.testing.assert_close(decision.cosine, gram.new_tensor([8 / (5 * 5**0.5)]))
    assert decision.gate.tolist() == [0.5]


def test_decision_without_inner_products_knows_the_gate_alone():
    decision = Decision(torch.tensor([1.0, 0.1]), None, lam=0.1)
    assert decision.gate.tolist() == [1]
    for unknown in (decision.cosine, decision.norms, decision.ratio):
        assert unknown.isnan().all()
    assert decision.norms.shape == (2,) and decision.ratio.shape == (1,)


def test_decision_of_zero_gradients():
    decision = Decision(torch.tensor([1.0, 0.1]), gram_of([0, 0], [1, 2]), lam=0.1)
    assert decision.cosine.tolist() == [0] and decision.ratio.isnan().all()
