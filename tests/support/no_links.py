"""A file system without hard links."""

import errno
from typing import Any


def no_links(*_: Any) -> None:
    """As exFAT, SMB and mounts of object stores answer."""
    raise PermissionError(errno.EPERM, "Operation not permitted")
