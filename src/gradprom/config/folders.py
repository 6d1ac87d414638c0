"""Where the configuration files are: those of this repository, then those of plug-ins.

A plug-in is a folder `gradprom_plugins` anywhere on Python's path: its modules are components
(`gradprom_plugins/methods/mine.py`), its `conf` and `experiments` extend the repository's.
"""

import functools
import importlib
from pathlib import Path

CONF = Path(__file__).parents[3] / "conf"
"""The folder of the groups, in a clone of the repository."""
PLUGINS = "gradprom_plugins"
"""The namespace package of plug-ins."""


def plugin_folders(name: str) -> list[Path]:
    """The folders of this name in all plug-ins, such as `conf`; none without plug-ins."""
    return [root / name for root in _roots() if (root / name).is_dir()]


def plugin_code() -> list[Path]:
    """Every module of every plug-in, sorted within each."""
    return [path for root in _roots() for path in sorted(root.rglob("*.py"))]


def conf_folders() -> list[Path]:
    """The folders of groups: the repository's `conf` and those of plug-ins."""
    return [CONF, *plugin_folders("conf")]


def choices(group: str) -> list[str]:
    """The files of a group, by name, sorted; none for a group that does not exist."""
    paths = [path for folder in conf_folders() for path in (folder / group).glob("*.yaml")]
    return sorted({path.stem for path in paths})


def groups() -> list[str]:
    """The names of all groups, sorted."""
    paths = [path for folder in conf_folders() for path in folder.iterdir() if path.is_dir()]
    return sorted({path.name for path in paths})


@functools.cache
def _roots() -> list[Path]:
    try:
        package = importlib.import_module(PLUGINS)
    except ModuleNotFoundError:
        return []
    return [Path(path) for path in package.__path__]
