"""Whether a dataset's images fit where training wants them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

SHARE = 0.5
"""How much of the free memory images may take; the rest is for networks and other runs."""
CGROUPS = Path("/sys/fs/cgroup")


def fits_host(size: int) -> bool:
    """Whether so many bytes may be read into this machine's memory."""
    return size <= SHARE * free_host()


def fits_device(size: int, device: torch.device) -> bool:
    """Whether so many bytes may lie on the device; one that is no GPU has the host's memory."""
    return device.type != "cuda" or size <= SHARE * free_device(device)


def free_host() -> int:
    """Free bytes of this machine's memory, or what a job or a container is allowed of it."""
    return min([psutil.virtual_memory().available, *_limits()])


def free_device(device: torch.device) -> int:
    """Free bytes of a GPU's memory."""
    import torch

    return torch.cuda.mem_get_info(device)[0]


def _limits() -> list[int]:
    """The limits of this process's cgroup (version 2) and of those that hold it."""
    try:
        text = Path("/proc/self/cgroup").read_text()
    except OSError:
        return []
    groups = [line.removeprefix("0::/") for line in text.splitlines() if line.startswith("0::/")]
    limits = []
    for group in (CGROUPS / path for path in groups):
        for folder in (group, *group.parents):
            try:
                limits.append(int((folder / "memory.max").read_text()))
            except (OSError, ValueError):
                continue  # without a limit, which is told as "max"
    return limits
