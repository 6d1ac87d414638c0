"""Groups of parameters, and their gradients flattened into rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import torch
from torch import Tensor, nn

Gradients = Sequence[Tensor | None]
FlatGradient = list[Tensor]
"""The concatenated gradients over some parameters, in pieces [n] of one dtype."""

PIECE = 2**18
"""Maximum elements of a piece of several parameters: small parameters share few pieces, and large
ones need not be copied."""
BLOCK = 2**8
"""Elements of a block of a piece of several layers."""


def layers(module: nn.Module) -> list[list[Tensor]]:
    """The parameters that require gradients, one list for each submodule that owns some.

    A convolution's weight and bias are one layer, also where the weight is computed from others
    (torch.nn.utils.parametrize). A parameter that several submodules share belongs to the first of
    them.

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
        owned = [owner, *getattr(owner, "parametrizations", {}).values()]
        parameters = [
            p
            for part in owned
            for p in part.parameters(recurse=False)
            if p.requires_grad and p not in assigned
        ]
        assigned.update(parameters)
        if parameters:
            groups.append([*parameters])
    return groups


@dataclass(frozen=True)
class _Piece:
    """A part of a row: consecutive parameters, of one layer or of several small ones.

    If of several, each layer takes up whole blocks, the last one filled up with zeros, so that sums
    by layer need a kernel for a piece and not one for a layer.
    """

    parameters: list[Tensor]
    sizes: list[int]
    """Elements that each parameter takes up, with the zeros behind it."""
    blocks: list[int]
    """The layer of each block, by its number; of the whole piece where that is of one layer."""

    @property
    def split(self) -> bool:
        """Whether it is of several layers, in blocks of `BLOCK` elements."""
        return len(self.blocks) > 1


class Flat:
    """Parameters and the layout of their gradients in a row, layer after layer."""

    def __init__(self, groups: list[list[Tensor]]) -> None:
        self.parameters = [p for group in groups for p in group]
        self.dtype = reduce(torch.promote_types, (p.dtype for p in self.parameters))
        self.layers = len(groups)
        """How many there are."""
        self._pieces = [_piece(entries) for entries in _grouped(groups)]
        self._reached: set[Tensor] = set()

    def row(self, gradients: Gradients) -> FlatGradient:
        """The gradients as a row, with zeros for a parameter without one."""
        by_parameter = dict(zip(self.parameters, gradients, strict=True))
        self._reached.update(p for p, gradient in by_parameter.items() if gradient is not None)
        zeros = self.parameters[0].new_zeros(BLOCK) if self.layers > 1 else None
        return [_joined(piece, by_parameter, zeros).to(self.dtype) for piece in self._pieces]

    def averaged(
        self, rows: list[FlatGradient], reduce: Callable[[Tensor], Tensor]
    ) -> list[FlatGradient]:
        """The rows, averaged over the ranks by `reduce`, [rows, P] to [rows, P]."""
        stack = reduce(torch.stack([torch.cat(row) for row in rows]))
        return [[*row.split([sum(piece.sizes) for piece in self._pieces])] for row in stack]

    def sums(self, products: Iterable[Iterable[Tensor]]) -> Tensor:
        """Sums over each layer, [layers, N], of N tensors of a row's form, given piece by piece."""
        by_block = torch.cat(
            [
                torch.stack([_block_sums(part, piece.split) for part in parts], 1)
                for piece, parts in zip(self._pieces, products, strict=True)
            ]
        )
        if self.layers == 1:
            return by_block.sum(0, keepdim=True)
        places, _ = self._places()
        filled = torch.cat([by_block, by_block.new_zeros(1, by_block.shape[1])])
        return filled.index_select(0, places.flatten()).unflatten(0, places.shape).sum(1)

    def by_piece(self, weights: Tensor) -> list[Tensor]:
        """Weights [layers, K] for each piece: [K], or [blocks, 1, K] if it is of several layers."""
        _, of_block = self._places()
        counts = [len(piece.blocks) for piece in self._pieces]
        parts = weights.index_select(0, of_block).split(counts)
        return [
            part.unsqueeze(1) if piece.split else part[0]
            for piece, part in zip(self._pieces, parts, strict=True)
        ]

    def in_blocks(self, row: FlatGradient) -> FlatGradient:
        """Views of the pieces, [blocks, `BLOCK`] if of several layers, else [n]."""
        pairs = zip(self._pieces, row, strict=True)
        return [part.view(-1, BLOCK) if piece.split else part for piece, part in pairs]

    def gradients(self, row: FlatGradient) -> dict[Tensor, Tensor]:
        """The gradient of each parameter, in its shape."""
        pairs = zip(self._pieces, row, strict=True)
        return {p: g for piece, part in pairs for p, g in _taken_apart(piece, part)}

    def add_to_grad(self, row: FlatGradient, every: bool) -> None:
        """Add a row to the parameters' `.grad`; empties the row.

        As in torch, parameters that no loss reached are left alone, because an optimizer treats
        None and zero differently; not with `every`: other ranks' losses may have reached them.
        """
        for piece in self._pieces:
            for p, gradient in _taken_apart(piece, row.pop(0)):
                if every or p in self._reached:
                    add_to_grad(p, gradient)

    def _places(self) -> tuple[Tensor, Tensor]:
        blocks = tuple(layer for piece in self._pieces for layer in piece.blocks)
        return _places(blocks, self.parameters[0].device)


def _grouped(groups: list[list[Tensor]]) -> list[list[tuple[int, Tensor]]]:
    """The parameters with their layers' numbers, in order, in groups of at most `PIECE`."""
    pieces: list[list[tuple[int, Tensor]]] = []
    room = 0
    for layer, parameters in enumerate(groups):
        for p in parameters:
            if p.numel() > room:
                pieces.append([])
                room = PIECE
            pieces[-1].append((layer, p))
            room -= p.numel()
    return pieces


def _piece(entries: list[tuple[int, Tensor]]) -> _Piece:
    parameters, sizes = [p for _, p in entries], [p.numel() for _, p in entries]
    layers = [layer for layer, _ in entries]
    if len(set(layers)) == 1:
        return _Piece(parameters, sizes, layers[:1])
    blocks: list[int] = []
    for layer in dict.fromkeys(layers):
        own = [k for k, other in enumerate(layers) if other == layer]
        elements = sum(sizes[k] for k in own)
        count = -(-elements // BLOCK)
        sizes[own[-1]] += count * BLOCK - elements
        blocks += [layer] * count
    return _Piece(parameters, sizes, blocks)


@lru_cache(maxsize=64)
def _places(blocks: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """For each layer the numbers of its blocks, filled up with that behind the last one; and the
    blocks' layers. Copied to the device once, because a step must not wait for the host."""
    own: dict[int, list[int]] = {}
    for number, layer in enumerate(blocks):
        own.setdefault(layer, []).append(number)
    longest = max(map(len, own.values()))
    filled = [numbers + [len(blocks)] * (longest - len(numbers)) for numbers in own.values()]
    return torch.tensor(filled, device=device), torch.tensor(blocks, device=device)


def _block_sums(part: Tensor, split: bool) -> Tensor:
    """Sums of the blocks of a piece, or the sum of the piece: [blocks]."""
    return part.view(-1, BLOCK).sum(1) if split else part.sum().view(1)


def _taken_apart(piece: _Piece, part: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each parameter of a piece with its gradient, in its shape."""
    for p, own in zip(piece.parameters, part.split(piece.sizes), strict=True):
        yield p, own[: p.numel()].view_as(p)


def _joined(piece: _Piece, gradients: dict[Tensor, Tensor | None], zeros: Tensor | None) -> Tensor:
    """The gradients of a piece's parameters in a row, with the zeros behind them."""
    parts: list[Tensor] = []
    for p, size in zip(piece.parameters, piece.sizes, strict=True):
        parts.append(_flattened(p, gradients[p]))
        if size > p.numel() and zeros is not None:
            parts.append(zeros[: size - p.numel()])
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _flattened(parameter: Tensor, gradient: Tensor | None) -> Tensor:
    return parameter.new_zeros(parameter.numel()) if gradient is None else gradient.flatten()


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
