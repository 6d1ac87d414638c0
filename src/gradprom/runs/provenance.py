"""Where a result comes from: revision, packages, machine."""

import functools
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import torch

from gradprom.runs.record import Revision

PACKAGES = ("torch", "numpy", "pandas", "hydra-core", "omegaconf", "timm", "pillow")


@functools.cache
def revision() -> Revision:
    """Git revision of the code, and whether files differ from it; empty where there is no git."""
    root = Path(__file__).parents[3]
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return Revision(revision=commit, dirty=bool(_git(root, "status", "--porcelain")))
    except (OSError, subprocess.CalledProcessError):
        return Revision()


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


@functools.cache
def packages() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, by name."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def slurm_job() -> str | None:
    """The Slurm job that this process belongs to, as `squeue` names it; None outside of one."""
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")


def device_name(device: torch.device) -> str:
    """The accelerator's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def peak_memory(device: torch.device) -> int:
    """Peak memory of this process in bytes: allocated on the device, or resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
