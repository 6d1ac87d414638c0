"""Where a result comes from: revision, packages, machine."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gradprom.runs import code, snapshot
from gradprom.runs.record import Revision
from gradprom.storage.git import git, reason

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "numpy", "pandas", "hydra-core", "omegaconf", "timm", "pillow")

CLONE = Path(__file__).parents[3]
"""The top folder of the clone that this code is part of."""


@functools.cache
def revision() -> Revision:
    """Git revision of the code, and how files differ from it; empty where it is not known."""
    known, changed = _own()[0], uncommitted()
    return replace(known, diff=changed.id, not_kept=changed.not_kept) if known.revision else known


@functools.cache
def why_unknown() -> str:
    """Why the git revision is not known; empty where it is."""
    return _own()[1]


@functools.cache
def uncommitted() -> code.Changes:
    """What the code has that its commit has not; nothing where there is no git."""
    if snapshot.is_snapshot(CLONE):
        return snapshot.changes_of(CLONE)
    return code.changes(CLONE) if _own()[0].dirty else code.Changes()


@functools.cache
def _own() -> tuple[Revision, str]:
    if snapshot.is_snapshot(CLONE):
        return snapshot.revision_of(CLONE)
    return read_revision(CLONE)


def read_revision(root: Path) -> tuple[Revision, str]:
    """The revision of a clone whose top folder is `root`, or an empty one with the reason.

    A folder inside another project's repository has no revision of its own.
    """
    try:
        top = Path(os.fsdecode(git(root, "rev-parse", "--show-toplevel").rstrip(b"\n")))
        if not top.is_dir() or not top.samefile(root):
            return Revision(), f"{root} is not a clone; git finds another project's, {top}"
        commit = git(root, "rev-parse", "HEAD").decode().strip()
        # a new file is a change, whatever the user's configuration makes `git status` show
        changes = git(root, "status", "--porcelain", "--untracked-files=normal", "--", *code.PARTS)
        return Revision(revision=commit, dirty=bool(changes)), ""
    except FileNotFoundError:
        return Revision(), "git is not installed"
    except OSError as error:
        return Revision(), reason(error)
    except subprocess.CalledProcessError as error:
        return Revision(), _refusal(root, error)


def _refusal(root: Path, error: subprocess.CalledProcessError) -> str:
    """Git's refusal in a few words, with what to do about it."""
    told = error.stderr.decode(errors="replace")
    if "dubious ownership" in told:
        remedy = f"git config --global --add safe.directory {root}"
        return f"{root} belongs to another user; `{remedy}` lets git read it"
    if "not a git repository" in told:
        return f"{root} is not a clone"
    return reason(error)


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
    import torch  # late, because it is slow to import

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def peak_memory(device: torch.device) -> int:
    """Peak memory of this process in bytes: allocated on the device, or resident on a CPU."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
