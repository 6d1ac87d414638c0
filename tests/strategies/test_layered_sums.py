"""Decisions by layer, several layers at a time: what a loop over the layers gives."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gradprom.strategies import GradProm, backward, flat

LAM = 0.3
SIZES = [(7, 3), (3,), (40, 9), (1,), (300,), (17, 20), (5,), (2, 2), (600,), (11,)]


def grouped(kind: torch.dtype) -> list[list[nn.Parameter]]:
    """Layers of one and of several parameters, small and large."""
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.randn(size).to(kind)) for size in SIZES]
    return [parameters[:2], parameters[2:3], parameters[3:6], parameters[6:8], parameters[8:]]


def losses_of(layers: list[list[nn.Parameter]]) -> list[Tensor]:
    """Two losses whose gradients agree in some layers and not in others."""
    generator = torch.Generator().manual_seed(1)
    total = [torch.zeros((), dtype=layers[0][0].dtype) for _ in range(2)]
    for p in (p for layer in layers for p in layer):
        for k in range(2):
            slope = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            total[k] = total[k] + (p * slope.to(p.dtype)).sum() + 0.1 * (p * p).sum()
    return total


def oracle(layers: list[list[nn.Parameter]]) -> tuple[Tensor, list[Tensor]]:
    """Inner products [layers, 2, 2] and gated gradients in float64, layer by layer."""
    exact = [[nn.Parameter(p.detach().double()) for p in layer] for layer in layers]
    losses = losses_of(exact)
    grams, gated = [], []
    for layer in exact:
        rows = [
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, layer, retain_graph=True)])
            for loss in losses
        ]
        gram = torch.stack(rows) @ torch.stack(rows).T
        row = rows[0] + LAM * rows[1] if gram[0, 1] >= 0 else rows[0]
        gated += [
            part.view_as(p)
            for p, part in zip(layer, row.split([p.numel() for p in layer]), strict=True)
        ]
        grams.append(gram)
    return torch.stack(grams), gated


@pytest.mark.parametrize(
    ("kind", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 2e-6)], ids=str
)
@pytest.mark.parametrize("piece", [2**18, 700, 350, 1])
def test_many_layers_at_a_time_are_a_loop_over_layers(
    kind: torch.dtype, tolerance: float, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether layers share a piece, begin in one and end in another, or have one of their own."""
    monkeypatch.setattr(flat, "PIECE", piece)
    layers = grouped(kind)
    expected, gated = oracle(layers)
    assert 0 < int((expected[:, 0, 1] >= 0).sum()) < len(layers)
    decision = backward(losses_of(layers), layers, GradProm(lam=LAM, granularity="layer"))
    assert decision.gram is not None
    norms = expected.diagonal(dim1=1, dim2=2).sqrt()
    scale = norms[:, :, None] * norms[:, None, :]
    assert ((decision.gram.double() - expected).abs() <= tolerance * scale).all()
    for p, g in zip((p for layer in layers for p in layer), gated, strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad.double(), g, rtol=10 * tolerance, atol=10 * tolerance)


def test_a_layer_that_is_not_finite_leaves_the_others_alone() -> None:
    layers = grouped(torch.float64)
    main, auxiliary = losses_of(layers)
    spoilt = auxiliary + float("nan") * layers[2][0].sum()
    decision = backward([main, spoilt], layers, GradProm(lam=LAM, granularity="layer"))
    expected, gated = oracle(layers)
    assert decision.gram is not None and decision.gram[2].isnan().any()
    kept = [0, 1, 3, 4]
    assert not decision.gram[kept].isnan().any()
    torch.testing.assert_close(decision.gram[kept], expected[kept])
    whole = iter(gated)
    for number, layer in enumerate(layers):
        for p in layer:
            exact = next(whole)
            if number != 2:
                torch.testing.assert_close(p.grad, exact)
            else:
                assert p.grad is not None and p.grad.isfinite().all()  # its gate is closed


class Counted(TorchDispatchMode):
    """Counts the operations in its block that compute; views and types are free."""

    VIEWS = ("view", "split", "unbind", "select", "slice", "unsqueeze", "expand", "promote_types")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        self.count += not function.overloadpacket.__name__.strip("_").startswith(self.VIEWS)
        return function(*args, **(kwargs or {}))


def operations(count: int, granularity: str) -> int:
    """What the decision costs beyond one operation a parameter, for so many layers."""
    layers = [[nn.Parameter(torch.randn(30))] for _ in range(count)]
    losses = [torch.cat([p for [p] in layers]).square().sum() for _ in range(2)]
    backward(losses, layers, GradProm(granularity=granularity))  # fills what is kept
    for [p] in layers:
        p.grad.zero_()  # type: ignore[union-attr]
    losses = [torch.cat([p for [p] in layers]).square().sum() for _ in range(2)]
    with Counted() as counted:
        backward(losses, layers, GradProm(granularity=granularity))
    return counted.count - count


def test_the_decision_by_layer_has_no_kernel_a_layer() -> None:
    assert operations(60, "layer") == operations(6, "layer")
    assert operations(60, "layer") <= operations(60, "whole") + 15
