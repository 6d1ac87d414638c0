"""Files that another process may read at any moment: whole or absent, and checked when read."""

import contextlib
import errno
import hashlib
import io
import json
import os
import pickle
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gradprom.errors import NotWritable

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Error numbers that concern the disk and not the run."""
PROBE = 1 << 20
"""Bytes: far less than any run writes, more than Hydra's own files."""
CHECKSUM = "checksum"
"""The key that `write_checked` adds."""


class DamagedFile(Exception):
    """A stored file is not what was written: truncated or corrupted."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Report a failure to write `path` in the block in one sentence.

    Raises
    ------
    NotWritable
        With the path and the reason.
    """
    try:
        yield
    except OSError as error:
        raise NotWritable(
            f"{path} cannot be written: {error.strerror or error}; "
            f"fix that and run the same command again to continue"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside `path`, sync it, and rename it into place when the block ends well.

    Raises
    ------
    NotWritable
        If the disk is full or read-only, for example.
    """
    # not tempfile, whose files only the owner may read: results are shared
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("xb") as stream:
                yield stream
                stream.flush()
                synced(stream)
            os.replace(draft, path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise


def synced(stream: BinaryIO) -> None:
    """Have the system write a file to its disk, where the file system knows how to."""
    try:
        os.fsync(stream.fileno())
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


def require_writable(folder: Path) -> None:
    """Write and remove `PROBE` bytes in a folder.

    Raises
    ------
    NotWritable
        If that fails.
    """
    probe = folder / f".probe.{secrets.token_hex(4)}"
    with replacing(probe) as stream:
        stream.write(bytes(PROBE))
    probe.unlink()


def is_plain(name: str) -> bool:
    """Whether a name, joined to a folder, can only lead to a direct child of it."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) is not None


def is_study(name: str) -> bool:
    """Whether a name is one of a study, or of a tuning in a study (`local/tune/lr-12ab`)."""
    study, *tuning = name.split("/tune/")
    return len(tuning) <= 1 and all(map(is_plain, [study, *tuning]))


def printable(text: str) -> str:
    """A text in which only the bytes of names that are not UTF-8 are escaped.

    Python keeps such bytes as surrogates, and in the locale C those of every letter beyond ASCII.
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; paths in it may have any bytes, as `printable` shows them."""
    with replacing(path) as stream:
        stream.write(printable(text).encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    write_text(path, json.dumps(value, indent=1, allow_nan=True) + "\n")


def read_json(path: Path) -> Any | None:
    """Read JSON; None if there is no such file or it does not parse."""
    try:
        with open(path, "rb", buffering=0) as file:
            return json.loads(file.read().decode())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None


def write_checked(path: Path, value: dict[str, Any]) -> None:
    """Write a mapping as JSON with a checksum of its content, atomically."""
    write_json(path, with_checksum(value))


def read_checked(path: Path) -> dict[str, Any] | None:
    """Read what `write_checked` wrote; None if there is no such file or it is damaged."""
    value = read_json(path)
    return without_checksum(value) if isinstance(value, dict) else None


def with_checksum(value: dict[str, Any]) -> dict[str, Any]:
    """A mapping as it will be read back from JSON, with its checksum."""
    content = json.loads(json.dumps(value))
    return {**content, CHECKSUM: _checksum(content)}


def without_checksum(value: dict[str, Any]) -> dict[str, Any] | None:
    """The content of a checked mapping; None if its checksum is wrong or missing."""
    content = {key: item for key, item in value.items() if key != CHECKSUM}
    return content if value.get(CHECKSUM) == _checksum(content) else None


def _checksum(content: dict[str, Any]) -> str:
    """SHA-256 (hex) that does not depend on whitespace or on the order of keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's content.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Store tensors and plain values behind a checksum, for `load_state`."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    with replacing(path) as stream:
        stream.write(hashlib.sha256(payload).hexdigest().encode() + b"\n")
        stream.write(payload)


def load_state(path: Path) -> dict[str, Any]:
    """Load what `save_state` wrote, onto the CPU; an untrusted file cannot run code.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFile
        If its content does not match its checksum, or is more than tensors and plain values.
    """
    import torch

    content = path.read_bytes()
    checksum, payload = content[:65], content[65:]
    if hashlib.sha256(payload).hexdigest().encode() + b"\n" != checksum:
        raise DamagedFile(f"{path} is damaged: its content does not match its checksum")
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        state = None
    if not isinstance(state, dict):
        raise DamagedFile(f"{path} is rejected: it is not a mapping of tensors and plain values")
    return state
