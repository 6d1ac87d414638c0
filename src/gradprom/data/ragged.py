"""Images of different sizes: a list of tensors in one flat buffer."""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


class Ragged:
    """Tensors of one type and different shapes; a row is a view of the buffer.

    Parameters
    ----------
    flat
        All elements, row after row, [sum of the rows' elements]; in memory or mapped into it.
    shapes
        The shape of each row.
    """

    def __init__(self, flat: Tensor, shapes: Sequence[Sequence[int]]) -> None:
        self.flat, self.shapes = flat, [tuple(int(side) for side in shape) for shape in shapes]
        self.offsets = [0, *itertools.accumulate(math.prod(shape) for shape in self.shapes)]
        if self.offsets[-1] != len(flat):
            raise ValueError(f"{len(flat)} elements, but the shapes have {self.offsets[-1]}")

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, row: int) -> Tensor:
        first, last = self.offsets[row], self.offsets[row + 1]
        return self.flat[first:last].view(self.shapes[row])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[row] for row in range(len(self)))

    @property
    def nbytes(self) -> int:
        """Bytes of the buffer."""
        return self.flat.nbytes

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """Some rows, which have one shape, as `Tensor.index_select` gives them; `dim` is 0."""
        assert dim == 0
        return torch.stack([self[row] for row in rows.tolist()])


def shapes_of(stored: Tensor | Ragged, rows: Sequence[int]) -> list[tuple[int, ...]]:
    """The shape of each of some rows."""
    if isinstance(stored, Ragged):
        return [stored.shapes[row] for row in rows]
    return [tuple(stored.shape[1:])] * len(rows)
