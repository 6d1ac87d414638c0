"""Leases in tests, and file systems that refuse what they need."""

import errno
from pathlib import Path
from typing import Any

from gradprom.storage.lease import Applicant, Lease


def acquire(folder: Path) -> Lease:
    lease = Applicant(folder).try_acquire()
    assert lease is not None
    return lease


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def no_links(*_: Any) -> None:
    """As exFAT, SMB and mounts of object stores answer."""
    raise PermissionError(errno.EPERM, "Operation not permitted")
