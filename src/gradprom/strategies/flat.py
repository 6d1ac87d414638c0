"""Groups of parameters, and their gradients flattened into rows."""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

Gradients = Sequence[Tensor | None]
FlatGradient = list[Tensor]
"""The concatenated gradients over some parameters, in pieces [n] of one dtype."""

PIECE = 2**18
"""Maximum elements of a piece of several parameters: small parameters share few pieces, and large
ones need not be copied."""


def layers(module: nn.Module) -> list[list[Tensor]]:
    """The parameters that require gradients, one list for each submodule that owns some.

    A convolution's weight and bias are one layer. A parameter that several submodules share
    belongs to the first of them.

    Parameters
    ----------
    module
        The network of θ.

    Returns
    -------
    list[list[Tensor]]
        In the order of `module.modules()`: what `backward` takes as `shared` to decide by layer.
    """
    assigned: set[Tensor] = set()
    groups: list[list[Tensor]] = []
    for owner in module.modules():
        parameters = [
            p for p in owner.parameters(recurse=False) if p.requires_grad and p not in assigned
        ]
        assigned.update(parameters)
        if parameters:
            groups.append([*parameters])
    return groups


class Flat:
    """Parameters and the layout of their gradients in a row, layer after layer."""

    def __init__(self, groups: list[list[Tensor]]) -> None:
        self.parameters = [p for group in groups for p in group]
        self.dtype = reduce(torch.promote_types, (p.dtype for p in self.parameters))
        pieces = [_pieces(group) for group in groups]
        self.layers = [len(layer) for layer in pieces]
        """How many pieces of a row belong to each layer."""
        self._pieces = [piece for layer in pieces for piece in layer]
        self._reached: set[Tensor] = set()

    def row(self, gradients: Gradients) -> FlatGradient:
        """The gradients as a row, with zeros for a parameter without one."""
        by_parameter = dict(zip(self.parameters, gradients, strict=True))
        self._reached.update(p for p, gradient in by_parameter.items() if gradient is not None)
        return [
            _joined([_flattened(p, by_parameter[p]) for p in piece]).to(self.dtype)
            for piece in self._pieces
        ]

    def averaged(
        self, rows: list[FlatGradient], reduce: Callable[[Tensor], Tensor]
    ) -> list[FlatGradient]:
        """The rows, averaged over the ranks by `reduce`, [rows, P] to [rows, P]."""
        sizes = [sum(p.numel() for p in piece) for piece in self._pieces]
        stack = reduce(torch.stack([torch.cat(row) for row in rows]))
        return [[*row.split(sizes)] for row in stack]

    def gradients(self, row: FlatGradient) -> dict[Tensor, Tensor]:
        """The gradient of each parameter, in its shape."""
        return {
            p: gradient.view_as(p)
            for piece, part in zip(self._pieces, row, strict=True)
            for p, gradient in zip(piece, part.split([p.numel() for p in piece]), strict=True)
        }

    def add_to_grad(self, row: FlatGradient, every: bool) -> None:
        """Add a row to the parameters' `.grad`; empties the row.

        As in torch, parameters that no loss reached are left alone, because an optimizer treats
        None and zero differently; not with `every`: other ranks' losses may have reached them.
        """
        for piece in self._pieces:
            part = row.pop(0)
            for p, gradient in zip(piece, part.split([p.numel() for p in piece]), strict=True):
                if every or p in self._reached:
                    add_to_grad(p, gradient.view_as(p))


def _pieces(parameters: list[Tensor]) -> list[list[Tensor]]:
    """The parameters in order, in groups of at most `PIECE` elements."""
    pieces: list[list[Tensor]] = []
    room = 0
    for p in parameters:
        if p.numel() > room:
            pieces.append([])
            room = PIECE
        pieces[-1].append(p)
        room -= p.numel()
    return pieces


def _flattened(parameter: Tensor, gradient: Tensor | None) -> Tensor:
    return parameter.new_zeros(parameter.numel()) if gradient is None else gradient.flatten()


def _joined(flat: list[Tensor]) -> Tensor:
    return flat[0] if len(flat) == 1 else torch.cat(flat)


def add_to_grad(leaf: Tensor, gradient: Tensor) -> None:
    """Accumulate into `.grad`.

    A first gradient is copied into the leaf's memory layout, because autograd may return a view
    or a tensor that belongs to another leaf as well.
    """
    if leaf.grad is None:
        leaf.grad = torch.empty_like(leaf).copy_(gradient)
    else:
        leaf.grad.add_(gradient)


def flat_theta(shared: Iterable[Tensor] | Iterable[Iterable[Tensor]], granularity: str) -> Flat:
    """The trainable parameters of `shared`, as one layer unless the granularity is "layer".

    Raises
    ------
    ValueError
        If there are none, if one occurs twice, or if there are no layers to decide on.
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


def flat_decision_params(decision_params: Iterable[Tensor], theta: Flat, granularity: str) -> Flat:
    """The trainable parameters of `decision_params`.

    Raises
    ------
    ValueError
        Unless they are a part of θ and there is one decision for all of θ.
    """
    parameters = [p for p in decision_params if p.requires_grad]
    if granularity == "layer":
        raise ValueError(
            "decision_params needs granularity 'whole', got 'layer': one decision, for all of θ"
        )
    strangers = len(set(parameters) - set(theta.parameters))
    if strangers or not parameters:
        raise ValueError(
            "decision_params must be a part of shared that requires gradients, got "
            f"{strangers} of {len(parameters)} parameters from elsewhere"
        )
    return Flat([parameters])
