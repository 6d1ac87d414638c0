"""A copy of the code and the configuration, which runs go on from while the working tree changes.

results/snapshots/<id>/            one for each content: `code.PARTS`, as they were
                       snapshot.json    the revision that it was made of
                       changes.diff     what of it was not committed
"""

import hashlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

from gradprom.runs import code
from gradprom.runs.record import Revision
from gradprom.storage.files import read_json, write_json, writing
from gradprom.storage.git import git

_ABOUT, _DIFF = "snapshot.json", "changes.diff"
_NO_CODE = ("__pycache__", "*.egg-info", ".*")


def create(results: Path, root: Path, revision: Revision, reason: str, diff: bytes) -> Path:
    """The snapshot of a working tree as it is now, which is made if there is none yet.

    Parameters
    ----------
    results
        The folder of results.
    root
        The top folder of the working tree.
    revision, reason, diff
        Its commit, or why none is known, and what was not committed.

    Returns
    -------
    Path
        Its folder.
    """
    files = {name: (root / name).read_bytes() for name in sorted(_files(root))}
    total = hashlib.sha256()
    for name, content in files.items():
        total.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    folder = results / "snapshots" / total.hexdigest()[: code.DIGITS]
    with writing(folder):
        if not folder.exists():
            _write(folder, files, {"git": revision.to_json(), "reason": reason}, diff)
        os.utime(folder)  # when it was used last
    return folder


def is_snapshot(root: Path) -> bool:
    """Whether a folder of code is a snapshot."""
    return (root / _ABOUT).exists()


def revision_of(root: Path) -> tuple[Revision, str]:
    """The revision that a snapshot was made of, or an empty one with the reason."""
    about: dict[str, Any] = read_json(root / _ABOUT) or {}
    revision = {**about.get("git", {}), "snapshot": root.name}
    return Revision.from_json(revision), about.get("reason", "")


def changes_of(root: Path) -> code.Changes:
    """What of a snapshot was not committed."""
    return code.Changes((root / _DIFF).read_bytes(), revision_of(root)[0].not_kept)


def _files(root: Path) -> list[str]:
    """The code's files: those that git does not ignore, or all where there is no git."""
    try:
        listed = git(
            root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *code.PARTS
        )
        names = {os.fsdecode(name) for name in listed.split(b"\0") if name}
    except (OSError, subprocess.CalledProcessError):
        ignored = shutil.ignore_patterns(*_NO_CODE)
        names = {
            str(path.relative_to(root))
            for part in code.PARTS
            for path in (root / part, *(root / part).rglob("*"))
            if not ignored(str(path.parent), list(path.relative_to(root).parts))
        }
    return [name for name in names if (root / name).is_file()]


def _write(folder: Path, files: dict[str, bytes], about: dict[str, Any], diff: bytes) -> None:
    """Write a snapshot, unless another process has just done so."""
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    for name, content in files.items():
        path = draft / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (draft / _DIFF).write_bytes(diff)
    write_json(draft / _ABOUT, about)
    try:
        os.rename(draft, folder)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not folder.exists():
            raise
