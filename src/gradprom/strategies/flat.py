"""Parameters in groups, and their gradients one behind the other in a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

Gradients = Sequence[Tensor | None]


def layers(module: nn.Module) -> list[list[Tensor]]:
    """The parameters that require gradients, one list for each submodule that owns some itself.

    A convolution's weight and bias are one layer. A parameter that several submodules share
    belongs to the first of them.
    """
    seen: set[Tensor] = set()
    groups: list[list[Tensor]] = []
    for owner in module.modules():
        own = [p for p in owner.parameters(recurse=False) if p.requires_grad and p not in seen]
        seen.update(own)
        if own:
            groups.append([*own])
    return groups


class Flat:
    """Parameters and the layout of their gradients in a row [P], layer after layer."""

    def __init__(self, groups: list[list[Tensor]]) -> None:
        self.parameters = [p for group in groups for p in group]
        self.sizes = [p.numel() for p in self.parameters]
        self.layers = [sum(p.numel() for p in group) for group in groups]
        self.dtype = reduce(torch.promote_types, (p.dtype for p in self.parameters))
        self._reached: set[Tensor] = set()

    def row(self, gradients: Gradients) -> Tensor:
        """The gradients as [P], zero where a parameter has none."""
        row = torch.zeros(sum(self.sizes), dtype=self.dtype, device=self.parameters[0].device)
        pieces = row.split(self.sizes)
        for parameter, piece, gradient in zip(self.parameters, pieces, gradients, strict=True):
            if gradient is not None:
                piece.view_as(parameter).copy_(gradient)
                self._reached.add(parameter)
        return row

    def part(self, row: Tensor, parameters: list[Tensor]) -> Tensor:
        """The columns of a row [P] that belong to some of the parameters, in their order."""
        pieces = dict(zip(self.parameters, row.split(self.sizes), strict=True))
        return torch.cat([pieces[p] for p in parameters])

    def add_to_grad(self, row: Tensor, every: bool) -> None:
        """Adds a row [P] to the parameters' `.grad`.

        Like torch it leaves alone parameters that no loss reached, because an optimizer treats
        None and zero differently; not if `every`: other ranks' losses may have reached them.
        """
        for parameter, piece in zip(self.parameters, row.split(self.sizes), strict=True):
            if every or parameter in self._reached:
                add_to_grad(parameter, piece.view_as(parameter))


def add_to_grad(leaf: Tensor, gradient: Tensor) -> None:
    """Accumulates into `.grad`; a first gradient is copied into the leaf's own memory layout, as
    what autograd returns may be a view or belong to another leaf as well."""
    if leaf.grad is None:
        leaf.grad = torch.empty_like(leaf).copy_(gradient)
    else:
        leaf.grad.add_(gradient)


def flat_theta(shared: Iterable[Tensor] | Iterable[Iterable[Tensor]], granularity: str) -> Flat:
    """The trainable parameters of `shared`, as one layer unless the granularity is "layer".

    ValueError if there are none, if one is there twice, or if there are no layers to decide on.
    """
    listed = list(shared)
    grouped = [[*entry] for entry in listed if not isinstance(entry, Tensor)]
    plain = [entry for entry in listed if isinstance(entry, Tensor)]
    if granularity == "layer" and plain:
        raise ValueError(
            "granularity 'layer' needs shared as one list for each layer, for instance "
            f"layers(module), got a flat list of {len(plain)} parameters"
        )
    groups = [[p for p in group if p.requires_grad] for group in [plain, *grouped]]
    groups = [group for group in groups if group]
    parameters = [p for group in groups for p in group]
    if not parameters:
        raise ValueError("shared must hold a parameter that requires gradients, got none")
    if len(set(parameters)) < len(parameters):
        raise ValueError("shared must hold each parameter once, got one twice")
    return Flat(groups if granularity == "layer" else [parameters])


def flat_scope(scope: Iterable[Tensor], theta: Flat, granularity: str) -> Flat:
    """The trainable parameters of `scope`; ValueError unless a part of θ, and θ decided as one."""
    parameters = [p for p in scope if p.requires_grad]
    if granularity == "layer":
        raise ValueError("scope needs granularity 'whole', got 'layer': one decision, for all of θ")
    strangers = len(set(parameters) - set(theta.parameters))
    if strangers or not parameters:
        raise ValueError(
            "scope must be a part of shared that requires gradients, got "
            f"{strangers} of {len(parameters)} parameters from elsewhere"
        )
    return Flat([parameters])
