"""A run's `history.csv`: what training logged, a row for each few steps of each stage.

The columns are `stage`, `epoch`, `step` (of its stage) and what any of the stages logs: losses,
PSNR in dB, and the strategy's decisions, each a mean over the steps since the previous row. A value
that a stage does not log is an empty cell. Files are read without pandas, which takes several
times as long for such a small file; a report reads thousands of them.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprom.storage.files import write_text

FILE = "history.csv"
ALWAYS = ("stage", "epoch", "step")
"""The columns of every file, also where no step was taken."""


@dataclass(frozen=True)
class History:
    """The rows of the file as texts; no columns where the file is missing or empty."""

    columns: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]] = ()

    def stages(self) -> dict[str, "History"]:
        """The rows of each stage, by its name, as trained."""
        rows_by_stage: dict[str, list[Sequence[str]]] = {}
        if self.rows:
            index = self.columns.index("stage")
            for row in self.rows:
                rows_by_stage.setdefault(row[index], []).append(row)
        return {stage: History(self.columns, rows) for stage, rows in rows_by_stage.items()}

    def last_stage(self) -> "History":
        """The rows of the stage that was trained last; one before it may have its name."""
        last = next(reversed(self.stages().values()), self)
        steps = last.values("step")
        begins = int(np.flatnonzero(np.diff(steps, prepend=np.inf) <= 0)[-1]) if len(steps) else 0
        return History(last.columns, last.rows[begins:])

    def cells(self, column: str) -> list[str]:
        """The texts of a column, empty where a row has no value or no row has."""
        if column not in self.columns:
            return [""] * len(self.rows)
        index = self.columns.index(column)
        return [row[index] for row in self.rows]

    def values(self, column: str) -> NDArray[np.float64]:
        """The numbers of a column, [rows]; NaN where a row has no value or no row has."""
        if column not in self.columns:
            return np.full(len(self.rows), np.nan)
        return np.array([float(cell) if cell else np.nan for cell in self.cells(column)], float)


def read(folder: Path) -> History:
    """The history in a run's folder."""
    try:
        with (folder / FILE).open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        return History()
    return History(tuple(rows[0]), rows[1:]) if rows else History()


def write(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of all stages to a run's folder; NaN and missing values are empty cells."""
    columns = list(dict.fromkeys([*ALWAYS, *(name for row in rows for name in row)]))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    write_text(folder / FILE, stream.getvalue())


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value
