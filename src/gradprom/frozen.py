"""`snapshot=`: sweeps that run from a copy of the code as it was when they were submitted."""

import os
import sys
from pathlib import Path

from gradprom.errors import ConfigError
from gradprom.runs import provenance, snapshot
from gradprom.settings import is_setting, results_and_study

CHOICES = ("auto", "true", "false")
_SLURM = "hydra/launcher=submitit_slurm"


def enter(words: list[str]) -> None:
    """Go on in a snapshot of the code, where the command line asks for one.

    The process becomes one of the same command in the snapshot; jobs that it submits run from
    there, too, because they have its PYTHONPATH.

    Parameters
    ----------
    words
        The command line of `run.py`.

    Raises
    ------
    ConfigError
        If `snapshot=` has a value that there is not.
    """
    if not _asked(words) or snapshot.is_snapshot(provenance.CLONE):
        return
    results = results_and_study([word for word in words if is_setting(word)])[0]
    revision, diff = provenance.revision(), provenance.uncommitted().diff
    folder = snapshot.create(
        Path(os.path.abspath(results)), provenance.CLONE, revision, provenance.why_unknown(), diff
    )
    print(f"snapshot {folder}", flush=True)
    path = os.pathsep.join(filter(None, [str(folder / "src"), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, str(folder / "run.py"), *words]
    os.execve(sys.executable, command, environment)


def _asked(words: list[str]) -> bool:
    """Whether a command line is of a sweep that runs from a snapshot."""
    values = [word.partition("=")[2] for word in words if word.lstrip("+").startswith("snapshot=")]
    value = values[-1].lower() if values else "auto"
    if value not in CHOICES:
        raise ConfigError(f"snapshot={value} is unknown; choose from {', '.join(CHOICES)}")
    is_sweep = {"-m", "--multirun"} & set(words) and "sweep.dry_run=true" not in words
    return bool(is_sweep) and (value == "true" or (value == "auto" and _SLURM in words))
