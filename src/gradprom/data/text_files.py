"""Readers of tables and of lists, as people and spreadsheets write them."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from gradprom.data import names
from gradprom.errors import DataError


def rows(table: Path, columns: Sequence[str], *optional: str) -> list[dict[str, str]]:
    """The rows of a comma-separated table: `columns`, and those of `optional` that it has.

    Surrounding whitespace of cells is removed.

    Raises
    ------
    DataError
        For a missing file or column.
    """
    try:
        header, *cells = csv.reader(io.StringIO(_text(table), newline=""))
    except ValueError:
        raise DataError(f"{names.shown(table)} is empty.") from None
    except csv.Error as error:
        raise DataError(f"{names.shown(table)} cannot be read: {error}.") from error
    header = [name.strip() for name in header]
    missing = [column for column in columns if column not in header]
    if missing:
        has = names.shown(", ".join(header))
        raise DataError(
            f"{names.shown(table)} lacks the column {' and '.join(missing)}; it has: {has}."
        )
    positions = {name: header.index(name) for name in (*columns, *optional) if name in header}
    return [
        {name: row[at].strip() if at < len(row) else "" for name, at in positions.items()}
        for row in cells
        if any(cell.strip() for cell in row)
    ]


def lines(path: Path) -> list[str]:
    """The lines of a list, without empty ones and surrounding whitespace.

    Raises
    ------
    DataError
        For a file that cannot be read.
    """
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def _text(path: Path) -> str:
    try:
        return names.decoded(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{names.shown(path)} cannot be read: {error.strerror or error}."
        ) from error
