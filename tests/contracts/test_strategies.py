"""Every strategy, of the package or of a plug-in, keeps to the contract without being named."""

import copy
import dataclasses
import math
import pickle
import subprocess
import sys
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from support.gram_matrices import grams, jacobian

from gradprom.config.components import component, component_names
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
    LossStrategy,
    PCGrad,
    Project,
    RandomGate,
    Strategy,
    TorchJD,
    Uncertainty,
)

OPTIONS = {name: component("strategy", name).Options for name in component_names("strategy")}
every_strategy = pytest.mark.parametrize("name", sorted(OPTIONS))


def counts(name: str) -> list[int]:
    return [2] if OPTIONS[name].two_losses else [2, 3, 4]


def weigh(strategy: Strategy, gram: torch.Tensor) -> torch.Tensor:
    """Its weights, by losses that follow from the gradients where it weighs by losses."""
    if isinstance(strategy, LossStrategy):
        return strategy.weights(gram, gram.diagonal(dim1=-2, dim2=-1).sqrt())
    return strategy.weights(gram)


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
        "pcd",
        "dualproj",
        "bisector",
        "cagrad",
        "aligned",
        "uncertainty",
        "dwa",
        "torchjd",
    }


@every_strategy
def test_options_are_a_strategy_that_the_configuration_can_fill(name):
    options = OPTIONS[name]
    assert issubclass(options, Strategy) and options().name == name
    fields = {field.name: field.type for field in dataclasses.fields(options)}
    assert "name" in fields and set(fields.values()) <= {
        str,
        float,
        int,
        bool,
        dict[str, Any] | None,
    }
    changed = {"lam": 0.5} if "lam" in fields else {}
    filled = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(options), changed))
    assert isinstance(filled, options)
    assert filled.lam == 0.5 if changed else has_no_lambda(filled)


def has_no_lambda(strategy: Strategy) -> bool:
    """0 without an auxiliary loss, NaN where no λ changes what becomes of it."""
    return math.isnan(strategy.lam) if strategy.has_auxiliary else strategy.lam == 0


@every_strategy
def test_default_lambda_is_the_papers(name):
    strategy = OPTIONS[name]()
    assert strategy.lam == 1e-4 or has_no_lambda(strategy)


@every_strategy
def test_weights_per_layer_are_the_weights_of_each_layer(name):
    for count in counts(name):
        batch = grams(count, layers=5)
        fields = [field.name for field in dataclasses.fields(OPTIONS[name])]
        together = OPTIONS[name](**({"lam": 0.3} if "lam" in fields else {}))
        if not together.compares:
            assert weigh(together, batch[0]).shape == (count,)
            continue
        # each layer has a state of its own
        expected = torch.stack([copy.deepcopy(together).weights(gram) for gram in batch])
        assert expected.shape == (5, count)
        torch.testing.assert_close(together.weights(batch), expected, rtol=0, atol=0)


@every_strategy
def test_weights_leave_the_gram_matrix_alone_and_keep_its_type(name):
    for kind in (torch.float32, torch.float64):
        gram = grams(2, layers=1)[0].to(kind)
        before = gram.clone()
        assert weigh(OPTIONS[name](), gram).dtype == kind
        assert torch.equal(gram, before)


@every_strategy
def test_zero_gradients_give_finite_weights(name):
    for count in counts(name):
        for zero in [slice(None), slice(0, 1), slice(1, None)]:
            rows = jacobian(count, seed=3)
            rows[zero] = 0
            assert weigh(OPTIONS[name](), rows @ rows.mT).isfinite().all()


@every_strategy
@pytest.mark.parametrize("sizes", [(1e3, 1e-20), (1e-25, 1e3)])
def test_squares_too_small_for_float32_give_finite_weights(name, sizes):
    """Conflicting gradients whose inner product is a number while one's own square is zero."""
    rows = torch.tensor([[sizes[0]], [-sizes[1]]])
    gram = rows @ rows.mT
    assert gram[0, 1] < 0
    assert weigh(OPTIONS[name](), gram).isfinite().all()


@every_strategy
def test_a_common_factor_of_the_losses_does_not_matter(name):
    """A gradient scaler multiplies all losses by one factor."""
    if issubclass(OPTIONS[name], LossStrategy):
        return  # those are passed unscaled
    for seed in range(10):
        rows = jacobian(2, seed)
        plain, scaled = OPTIONS[name](), OPTIONS[name]()
        expected = plain.weights(rows @ rows.mT)
        torch.testing.assert_close(scaled.weights(2.0**32 * (rows @ rows.mT)), expected)


@every_strategy
def test_a_strategy_that_compares_nothing_reads_no_gram_matrix(name):
    strategy, blind = OPTIONS[name](), torch.full((2, 2), torch.nan)
    if isinstance(strategy, LossStrategy):
        assert strategy.weights(blind, torch.ones(2)).isfinite().all()
    else:
        assert strategy.compares or strategy.weights(blind).isfinite().all()


@every_strategy
def test_state_round_trip_continues_alike(name):
    first = OPTIONS[name]()
    gram = grams(2, layers=1)[0]
    for step in range(75):
        weigh(first, gram / (1 + step))
    second = OPTIONS[name]()
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    for step in range(60):
        assert torch.equal(weigh(first, gram / (9 + step)), weigh(second, gram / (9 + step)))


@every_strategy
def test_a_state_from_before_the_first_step_begins_anew(name):
    first, second = OPTIONS[name](), OPTIONS[name]()
    empty = pickle.dumps(first.state_dict())
    gram = grams(2, layers=1)[0]
    before = weigh(first, gram)
    weigh(first, 3 * gram)
    first.load_state_dict(pickle.loads(empty))
    assert torch.equal(weigh(first, gram), before)
    assert torch.equal(weigh(second, gram), before)


@pytest.mark.parametrize("stateful", [PCD, DWA, Uncertainty, TorchJD])
def test_a_strategy_with_a_state_refuses_anothers(stateful):
    with pytest.raises(
        ValueError, match=f"strategy {stateful.name} has .* to load, got .*generator"
    ):
        stateful().load_state_dict(RandomGate().state_dict())


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
        (DualProj, {"lam": -0.1}, "got -0.1"),
        (Bisector, {"lam": -0.1}, "got -0.1"),
        (Aligned, {"lam": -0.1}, "got -0.1"),
        (CAGrad, {"lam": -0.1}, "got -0.1"),
        (CAGrad, {"c": -0.5}, "c must be a finite number >= 0, got -0.5"),
        (PCD, {"tau": 1.5}, "tau must be between 0 and 1, got 1.5"),
        (PCD, {"beta": 1.0}, "beta must be at least 0 and less than 1, got 1.0"),
        (Uncertainty, {"lam": -0.1}, "got -0.1"),
        (Uncertainty, {"rate": 0.0}, "rate must be a finite number > 0, got 0.0"),
        (DWA, {"lam": -0.1}, "got -0.1"),
        (DWA, {"temperature": 0.0}, "temperature must be a finite number > 0, got 0.0"),
        (DWA, {"window": 0}, "window must be >= 1, got 0"),
        (TorchJD, {"lam": -0.1}, "got -0.1"),
        (TorchJD, {"seed": -1}, "seed must be >= 0, got -1"),
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
