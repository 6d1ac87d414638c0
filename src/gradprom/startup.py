"""What `run.py` and `gradprom` do before anything else."""

import sys
from pathlib import Path

from gradprom.errors import ConfigError
from gradprom.settings import with_home
from gradprom.streams import make_lenient
from gradprom.training.workspace import fix_workspace

CLONE = Path(__file__).parents[2]
"""The clone of the repository that this code is part of."""


def prepare(words: list[str]) -> list[str]:
    """Set up this process, and check that this installation can work at all.

    Parameters
    ----------
    words
        The words of the command line.

    Returns
    -------
    list
        The words, with `~` expanded.

    Raises
    ------
    ConfigError
        If the package is not in a clone, or Python runs without assertions.
    """
    make_lenient()
    fix_workspace()
    if sys.flags.optimize:
        raise ConfigError(
            "Hydra reads the command line wrongly without Python's assertions; unset "
            "PYTHONOPTIMIZE and start Python without -O"
        )
    missing = [name for name in ("conf", "experiments") if not (CLONE / name).is_dir()]
    if missing:
        raise ConfigError(
            f"the installation in {Path(__file__).parent} has no {' and no '.join(missing)} folder "
            f"beside it; install from a clone of the repository, with `pip install -e .`"
        )
    return with_home(words)


def require_own_package(script: Path) -> None:
    """Require that a script belongs to the clone whose package runs.

    With two clones and one environment, the script of one would run the code of the other with its
    own configuration, and records would name a revision that neither is.

    Raises
    ------
    ConfigError
        It says how the script's own code is run.
    """
    folder = script.resolve().parent
    if folder != CLONE.resolve():
        raise ConfigError(
            f"{script} would run the code of another clone, {CLONE}; install this one, with "
            f"`pip install -e {folder}`, or set PYTHONPATH={folder / 'src'}"
        )
