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
        For a missing file or column, or one that is there twice.
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
            f"{names.shown(table)} lacks the column {' and '.join(missing)}; it has: {has}"
            f"{_separated(header)}."
        )
    twice = [name for name in (*columns, *optional) if header.count(name) > 1]
    if twice:
        raise DataError(f"{names.shown(table)} has several columns {' and '.join(twice)}.")
    positions = {name: header.index(name) for name in (*columns, *optional) if name in header}
    return [
        {name: row[at].strip() if at < len(row) else "" for name, at in positions.items()}
        for row in cells
        if any(cell.strip() for cell in row)
    ]


def _separated(header: list[str]) -> str:
    """A remark on a header whose names are separated by something else than commas."""
    other = len(header) == 1 and any(sign in header[0] for sign in ";\t")
    return " (cells must be separated by commas)" if other else ""


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
