"""Decoded samples as files, one per array, written sample by sample because all samples together
may not fit into memory.

    target.npy          [N, C, H, W] if all samples have one shape
    target.npy          otherwise [elements]: all samples, concatenated, and
    target.shapes.npy   int64 [N, 3]: the shape of each; sample n starts where sample n - 1 ends
"""

import contextlib
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

SHAPES = ".shapes"
"""Suffix of an array's name for the file of its samples' shapes."""


def write(samples: Iterable[dict[str, np.ndarray]], count: int, folder: Path) -> list[str]:
    """Write `count` samples, which have the same arrays, as .npy files.

    Returns
    -------
    list
        The arrays' names, including those of their shapes.
    """
    files: dict[str, _Rows] = {}
    with contextlib.ExitStack() as stack:
        for sample in samples:
            for name, value in sample.items():
                if name not in files:
                    stream = stack.enter_context((folder / f"{name}.npy").open("wb"))
                    files[name] = _Rows(stream, value, count)
                files[name].append(value)
        names = list(files)
        for name, rows in files.items():
            assert len(rows.shapes) == count, f"{len(rows.shapes)} of {count} samples have {name}"
            if rows.ragged():
                np.save(folder / f"{name}{SHAPES}.npy", rows.flatten())
                names.append(f"{name}{SHAPES}")
    return names


class _Rows:
    """An .npy file to which samples are appended."""

    def __init__(self, stream: BinaryIO, first: np.ndarray, count: int) -> None:
        self.stream, self.dtype = stream, first.dtype
        self.shapes: list[tuple[int, ...]] = []
        self.header = _header(first.dtype, (count, *first.shape))
        stream.write(self.header)

    def append(self, value: np.ndarray) -> None:
        assert value.dtype == self.dtype, f"{value.dtype}, and before {self.dtype}"
        self.shapes.append(value.shape)
        self.stream.write(value.tobytes())

    def ragged(self) -> bool:
        return len(set(self.shapes)) > 1

    def flatten(self) -> np.ndarray:
        """Rewrite the header for a flat file; returns the samples' shapes."""
        flat = _header(self.dtype, (sum(math.prod(shape) for shape in self.shapes),))
        # numpy pads headers to a multiple of 64 bytes, with room for a longer first dimension
        assert len(flat) == len(self.header)
        self.stream.seek(0)
        self.stream.write(flat)
        return np.array(self.shapes, dtype=np.int64)


def _header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    fields = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, fields)
    return stream.getvalue()
