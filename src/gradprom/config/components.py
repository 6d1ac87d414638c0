"""Components found by name: a dataset, a strategy, … is a module that owns an `Options` dataclass.

The node's key `name` picks the module, so that a new component edits nothing here. Each kind of
component is looked for in its package, then in that of plug-ins (see `folders`).
"""

import copy
import functools
import importlib
import pickle
import pkgutil
from types import ModuleType
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradprom.config.folders import PLUGINS
from gradprom.errors import ConfigError, first_line

PACKAGES = {
    "dataset": "gradprom.data.sources",
    "degradation": "gradprom.degradations",
    "backbone": "gradprom.models",
    "recognizer": "gradprom.models.recognizers",
    "task": "gradprom.tasks",
    "strategy": "gradprom.strategies",
    "method": "gradprom.methods",
}
"""By kind of component: the package whose modules they are."""
PLUGIN_PACKAGES = {
    "dataset": "datasets",
    "degradation": "degradations",
    "backbone": "backbones",
    "recognizer": "recognizers",
    "task": "tasks",
    "strategy": "strategies",
    "method": "methods",
}
"""By kind of component: the package of a plug-in whose modules they are."""
GROUPS = ("dataset", "backbone", "strategy", "method")
"""Kinds of components that have a group in `conf` and a node in the configuration."""


@functools.cache
def component(group: str, name: str) -> Any:
    """The module of a component, such as `gradprom.strategies.gradprom`.

    Raises
    ------
    ConfigError
        For an unknown name, with those that are known.
    """
    for package in packages(group):
        if name in _modules(package):
            module = importlib.import_module(f"{package.__name__}.{name}")
            # one without Options only serves the components
            if hasattr(module, "Options"):
                return module
    raise ConfigError(f"{group}.name={name} is unknown; choose from {', '.join(known(group))}")


def known(group: str) -> list[str]:
    """Names of all components of a kind, sorted: of the modules that own an `Options`."""
    modules = {
        name: importlib.import_module(f"{package.__name__}.{name}")
        for package in packages(group)
        for name in _modules(package)
    }
    return sorted(name for name, module in modules.items() if hasattr(module, "Options"))


def packages(group: str) -> list[ModuleType]:
    """Where components of a kind are looked for: our package, then that of plug-ins."""
    return existing([PACKAGES[group], f"{PLUGINS}.{PLUGIN_PACKAGES[group]}"])


def existing(names: list[str]) -> list[ModuleType]:
    """The packages of some names, imported; those that do not exist are left out."""
    packages = []
    for name in names:
        try:
            packages.append(importlib.import_module(name))
        except ModuleNotFoundError as error:
            # a package that exists, and lacks something that it imports, is a fault to be seen
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
    return packages


def _modules(package: ModuleType) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(package.__path__)]


def options(group: str, node: DictConfig) -> Any:
    """The typed options of one component; raises ConfigError for what they do not allow."""
    return typed(group, component(group, node.name).Options, node)


def typed(group: str, options: type, node: DictConfig) -> Any:
    """A node as an instance of `options`; raises ConfigError for what these do not allow."""
    try:
        values = OmegaConf.to_container(node, resolve=True)  # while it still has its parent
        return copy.deepcopy(_built(options, pickle.dumps(values)))
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{group}={node.name}: {first_line(error)}") from error


@functools.cache
def _built(options: type, values: bytes) -> Any:
    """Options of some pickled values; a sweep asks for the same ones again and again."""
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(options), pickle.loads(values)))
