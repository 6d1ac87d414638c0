"""Whether a dataset's images fit into the memory of the host or the device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

SHARE = 0.5
"""Share of the free memory for images; the rest is for networks and other runs."""
CGROUPS = Path("/sys/fs/cgroup")


def fits_host(size: int) -> bool:
    """Whether `size` bytes may be read into this machine's memory."""
    return size <= SHARE * free_host()


def fits_device(size: int, device: torch.device) -> bool:
    """Whether `size` bytes may be stored on the device; always, if it is not a CUDA GPU."""
    return device.type != "cuda" or size <= SHARE * free_device(device)


def free_host() -> int:
    """Free bytes of this machine's memory, or the limit of the job or container."""
    return min([psutil.virtual_memory().available, *_limits()])


def free_device(device: torch.device) -> int:
    """Free bytes of a GPU's memory."""
    import torch

    return torch.cuda.mem_get_info(device)[0]


def _limits() -> list[int]:
    """The memory limits of this process's cgroup (version 2) and its ancestors."""
    try:
        text = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:
        return []
    groups = [line.removeprefix("0::/") for line in text.splitlines() if line.startswith("0::/")]
    limits = []
    for group in (CGROUPS / path for path in groups):
        for folder in (group, *group.parents):
            try:
                limits.append(int((folder / "memory.max").read_text(encoding="utf-8")))
            except (OSError, ValueError):
                continue  # no limit, written as "max"
    return limits
