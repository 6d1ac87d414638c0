"""Every strategy, of the package or of a plug-in, keeps to the contract without being named."""

import copy
import dataclasses
import pickle
import subprocess
import sys

import pytest
import torch
from omegaconf import OmegaConf
from support.gram_matrices import grams, jacobian

from gradprom.config.components import component, component_names
from gradprom.strategies import (
    MGDA,
    Frozen,
    GradProm,
    Joint,
    Mainstream,
    PCGrad,
    Project,
    RandomGate,
    Strategy,
)

OPTIONS = {name: component("strategy", name).Options for name in component_names("strategy")}
every_strategy = pytest.mark.parametrize("name", sorted(OPTIONS))


def counts(name: str) -> list[int]:
    return [2] if name == "mgda" else [2, 3, 4]


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
