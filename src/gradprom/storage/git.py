"""Git as this project asks it: always about one clone, whatever the environment says."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
"""The variables that lead git to another repository, as within a hook."""


def git(
    root: Path,
    *arguments: str,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """What a command of git prints.

    Parameters
    ----------
    root
        The folder that it works in.
    arguments
        The command.
    stdin
        What it reads.
    environment
        Variables that it sees besides.

    Raises
    ------
    OSError
        If git cannot be started.
    CalledProcessError
        If the command fails; `stderr` has git's reason.
    """
    own = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    variables = {**own, "LC_ALL": "C", **(environment or {})}
    # without locks: a run must not stand in the way of the user's own `git commit`
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, check=True, env=variables)
    return done.stdout


def reason(error: OSError | subprocess.CalledProcessError) -> str:
    """Why git could not do what it was asked to, in one line."""
    if isinstance(error, OSError):
        return f"git cannot be run ({error.strerror})"
    said = error.stderr.decode(errors="replace").strip().splitlines()
    return f"git says: {(said or ['nothing'])[0]}"
