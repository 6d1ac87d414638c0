"""The rows of an unfinished evaluation, from which an interrupted one resumes.

    results/<study>/runs/<id>/scores<suffix>.partial    a line a batch: its checksum, then its rows

Each line is written as soon as its batch is scored. A line that a kill has cut short fails its
checksum and is dropped.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from gradprom.storage.files import writing

Rows = list[dict[str, Any]]


def read(path: Path, fingerprint: str) -> Rows:
    """The rows of the test set with this fingerprint, up to the first damaged line."""
    rows: Rows = []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return rows
    for line in lines:
        checksum, _, text = line.partition(" ")
        if checksum != _checksum(text):
            break
        batch = json.loads(text)
        if batch["fingerprint"] != fingerprint:
            break
        rows += batch["rows"]
    return rows


def rewrite(path: Path, fingerprint: str, rows: Rows) -> None:
    """Replace the file's content by these rows: lines after a damaged one would not be read."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_line(fingerprint, rows) if rows else "", encoding="utf-8")


def append(path: Path, fingerprint: str, rows: Rows) -> None:
    """Add the rows of one batch."""
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(_line(fingerprint, rows))


def _line(fingerprint: str, rows: Rows) -> str:
    text = json.dumps({"fingerprint": fingerprint, "rows": rows})
    return f"{_checksum(text)} {text}\n"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
