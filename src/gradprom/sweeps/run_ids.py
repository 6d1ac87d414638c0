"""The run ids that overrides of the command line lead to.

Computing them needs every component's code, and so torch. They are cached under a digest of that
code and of the configuration files, so that a report computes them once.
"""

import dataclasses
import functools
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

from gradprom.config import Evaluation, Trainer
from gradprom.config.folders import conf_folders, plugin_code
from gradprom.errors import ConfigError, RunError
from gradprom.experiments.expansion import Identity
from gradprom.experiments.overrides import OverrideList
from gradprom.identity import digest
from gradprom.storage.files import read_checked, write_checked

PLACES = ("study", "results", "data_root", "logger", "keep", "snapshot", "notify")
"""Keys that say where a run's files are, and which; they are not part of its identity."""
_OUTSIDE = ("hydra", "runs_per_device", "slurm", "tune")
"""Keys and sections of how runs are launched, which no run reads."""
REFUSED = 3
"""Exit code of the other process for invalid overrides; it prints the message."""


def is_place(override: str) -> bool:
    """Whether an override says where files are, or how the command treats runs."""
    key = _key(override)
    return key in PLACES or key.startswith("sweep.")


def is_unhashed(override: str) -> bool:
    """Whether an override is no part of a run's identity."""
    key = _key(override)
    first = re.split(r"[./]", key)[0]
    return is_place(override) or first in _OUTSIDE or key in _recorded_only()


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


@functools.cache
def _recorded_only() -> set[str]:
    """The keys of sections that are recorded and not hashed, such as `trainer.device`."""
    keys = [("trainer", key) for key in dataclasses.fields(Trainer)]
    keys += [("evaluation", key) for key in dataclasses.fields(Evaluation)]
    return {
        f"{section}.{key.name}" for section, key in keys if not key.metadata.get("hashed", True)
    }


def identities(runs: list[OverrideList], results: Path) -> list[Identity]:
    """The identities of runs; those that are not cached are computed in another process.

    Parameters
    ----------
    runs
        The overrides of each run.
    results
        The folder of all results; the cache is in it.

    Raises
    ------
    ConfigError
        If an override is invalid.
    RunError
        If the other process failed for another reason.
    """
    path = _path(results)
    cached = read_checked(path) or {}
    missing = [overrides for overrides in runs if digest(overrides) not in cached]
    if missing:
        cached |= _work_out(missing)
        write_checked(path, cached)
    return [Identity(*cached[digest(overrides)]) for overrides in runs]


def save(identities: list[tuple[OverrideList, Identity]], results: Path) -> None:
    """Add identities that were computed in this process to the cache."""
    path = _path(results)
    cached = read_checked(path) or {}
    new = {digest(overrides): [identity.id, identity.problem] for overrides, identity in identities}
    if not new.items() <= cached.items():
        write_checked(path, cached | new)


def _work_out(runs: list[OverrideList]) -> dict[str, list[str]]:
    """Compute in another process, so that this one need not import torch."""
    command = [sys.executable, "-m", "gradprom.sweeps.identify"]
    done = subprocess.run(
        command, input=json.dumps(runs), capture_output=True, text=True, errors="replace"
    )
    if done.returncode == REFUSED:
        raise ConfigError(done.stderr.strip())
    if done.returncode:
        raise RunError(f"the ids of the tables' runs are unknown: {done.stderr.strip()}")
    return {
        digest(overrides): identity
        for overrides, identity in zip(runs, json.loads(done.stdout), strict=True)
    }


@functools.cache
def _path(results: Path) -> Path:
    return results / "cache" / f"identities-{_code()[:12]}.json"


@functools.cache
def _code() -> str:
    """A digest of everything that determines an identity."""
    source = Path(__file__).parents[1]
    code = [p for p in sorted(source.rglob("*.py")) if p.parent.name not in ("reports", "figures")]
    conf = [path for folder in conf_folders() for path in sorted(folder.rglob("*.yaml"))]
    files = [*code, *plugin_code(), *conf]
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()
