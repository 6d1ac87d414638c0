"""Loggers: where a run's history and scores go beside `history.csv`, for those who follow it there.

A logger is a file of this folder, named as the key `logger` names it, with

- `PACKAGE`, the top-level module of the package that it needs;
- `check()`, which raises ConfigError where the package could not be used;
- `begin(summary)`, which opens a logged run, or goes on in an earlier one (`base.Logger`).

All that a package keeps on this machine is in the study's folder, unless the package's own
variables say otherwise.
"""

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Any

from gradprom.errors import ConfigError


def module_of(name: str) -> Any:
    """The module of a logger; its package is imported when it begins."""
    return importlib.import_module(f"{__name__}.{name}")


def require_usable(names: Iterable[str]) -> None:
    """Check that loggers have all that they need, before any time is spent.

    Raises
    ------
    ConfigError
        With the command that installs a missing package, or what else is missing.
    """
    require_installed(names)
    for name in names:
        module_of(name).check()


def require_installed(names: Iterable[str]) -> None:
    """Check that the packages of loggers are there, without importing them.

    Raises
    ------
    ConfigError
        With the command that installs a missing one.
    """
    for name in names:
        package = module_of(name).PACKAGE
        spec = importlib.util.find_spec(package)
        # a folder of that name, such as the one that wandb leaves, is a spec without a file
        if spec is None or spec.origin is None:
            raise ConfigError(
                f"logger={name} needs the package {package}: pip install -e '.[{name}]'"
            )
