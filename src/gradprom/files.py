"""Files that another process may read at any moment: whole or absent, and checked when read."""

import contextlib
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


class DamagedFile(Exception):
    """A stored file is not what was written: truncated, or changed in some byte."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside `path`, sync it, and rename it into place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # not tempfile's, which only their owner may read: results are shared
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as stream:
        stream.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, allow_nan=True) + "\n")


def read_json(path: Path) -> Any | None:
    """Read JSON; None where there is no such file or it does not parse."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Store tensors and plain values behind the checksum that `load_state` asks for."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    with replacing(path) as stream:
        stream.write(hashlib.sha256(payload).hexdigest().encode() + b"\n")
        stream.write(payload)


def load_state(path: Path) -> dict[str, Any]:
    """Load what `save_state` wrote, onto the CPU; a stranger's file cannot run code.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFile
        If its content does not fit its checksum.
    """
    import torch

    content = path.read_bytes()
    checksum, payload = content[:65], content[65:]
    if hashlib.sha256(payload).hexdigest().encode() + b"\n" != checksum:
        raise DamagedFile(f"{path} is damaged: its content does not fit its checksum")
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
