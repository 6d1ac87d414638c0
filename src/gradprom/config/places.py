"""Folders as they are typed, made absolute before a job's working directory moves.

`hydra.job.chdir=true` moves it into Hydra's output folder while a run is trained; a relative
folder means the one where the command was given. In the configuration files,
`${absolute:${results}}` is the same reading for Hydra's own folders.
"""

import os
import re
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from gradprom.errors import ConfigError


def expanded(path: str) -> str:
    """A path with `~` and environment variables (`$NAME`) replaced.

    Raises
    ------
    ConfigError
        If it begins with the name of an unknown user, or of a variable that is not set.
    """
    folder = os.path.expandvars(os.path.expanduser(path))
    if re.match(r"~|\$\w|\$\{", folder):
        what = "user" if folder.startswith("~") else "environment variable"
        raise ConfigError(f"{path} begins with the name of an unknown {what}")
    return folder


def absolute(path: str) -> str:
    """A path as seen from the folder where the command was given.

    Raises
    ------
    ConfigError
        As `expanded`.
    """
    return str(_start() / expanded(path))


def given(results: str) -> str:
    """The folder of results as it is typed.

    Raises
    ------
    ConfigError
        If it is empty.
    """
    if not str(results).strip():
        raise ConfigError(
            "results= is empty, as where a variable is not set; results=. is the folder you are in"
        )
    return results


def _start() -> Path:
    job: Any = HydraConfig.instance().cfg
    if job is not None and job.hydra.job.chdir:
        return Path(job.hydra.runtime.cwd)
    return Path.cwd()


OmegaConf.register_new_resolver("absolute", absolute, replace=True)
