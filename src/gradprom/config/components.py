"""Components by name: a dataset, a strategy, … is a module that has an `Options` dataclass.

The node's key `name` selects the module, so that a new component needs no change here. Each kind
of component is looked up in its package, then in that of plug-ins (see `folders`).
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
from gradprom.config.places import absolute, expanded
from gradprom.errors import ConfigError, first_line

PACKAGES = {
    "dataset": "gradprom.data.sources",
    "degradation": "gradprom.degradations",
    "backbone": "gradprom.models.enhancers",
    "recognizer": "gradprom.models.recognizers",
    "task": "gradprom.tasks",
    "strategy": "gradprom.strategies",
    "method": "gradprom.methods",
}
"""The package of each kind of component."""
PLUGIN_PACKAGES = {
    "dataset": "datasets",
    "degradation": "degradations",
    "backbone": "backbones",
    "recognizer": "recognizers",
    "task": "tasks",
    "strategy": "strategies",
    "method": "methods",
}
"""The package of each kind of component within a plug-in."""
GROUPS = ("dataset", "degradation", "backbone", "strategy", "method")
"""Kinds of components that have a group in `conf` and a node in the configuration."""


@functools.cache
def component(group: str, name: str) -> Any:
    """The module of a component, such as `gradprom.strategies.gradprom`.

    Raises
    ------
    ConfigError
        For an unknown name; the message lists the known ones.
    """
    for package in packages(group):
        if name in _modules(package):
            module = importlib.import_module(f"{package.__name__}.{name}")
            # a module without Options is a helper of the components
            if hasattr(module, "Options"):
                return module
    known = ", ".join(component_names(group))
    raise ConfigError(f"{group}.name={name} is unknown; choose from {known}")


def component_names(group: str) -> list[str]:
    """The names of all components of a kind, sorted: the modules that have an `Options`."""
    modules = {
        name: importlib.import_module(f"{package.__name__}.{name}")
        for package in packages(group)
        for name in _modules(package)
    }
    return sorted(name for name, module in modules.items() if hasattr(module, "Options"))


def packages(group: str) -> list[ModuleType]:
    """The packages of a kind of component: that of `gradprom`, then that of plug-ins."""
    return existing([PACKAGES[group], f"{PLUGINS}.{PLUGIN_PACKAGES[group]}"])


def existing(names: list[str]) -> list[ModuleType]:
    """The packages with these names, imported; those that do not exist are left out."""
    packages = []
    for name in names:
        try:
            packages.append(importlib.import_module(name))
        except ModuleNotFoundError as error:
            # a package that exists but cannot import something is an error
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
    return packages


def _modules(package: ModuleType) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(package.__path__)]


def options(group: str, node: DictConfig) -> Any:
    """The typed options of one component.

    Raises
    ------
    ConfigError
        For an unknown key or a value that is not allowed.
    """
    chosen = typed(group, component(group, node.name).Options, node)
    return _with_places(chosen) if group == "dataset" else chosen


def _with_places(dataset: Any) -> Any:
    """A dataset's options whose folders no longer depend on the working directory."""
    if hasattr(dataset, "root"):
        dataset.root = absolute(dataset.root)
    for key in ("masks", "labels"):  # as seen from `root`
        if hasattr(dataset, key):
            setattr(dataset, key, expanded(getattr(dataset, key)))
    return dataset


def typed(group: str, options: type, node: DictConfig) -> Any:
    """A node as an instance of the dataclass `options`.

    Raises
    ------
    ConfigError
        For an unknown key or a value that is not allowed.
    """
    try:
        # resolved here, because interpolations need the node's parent
        values = OmegaConf.to_container(node, resolve=True)
        return copy.deepcopy(_built(options, pickle.dumps(values)))
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{group}={node.name}: {first_line(error)}") from error


@functools.cache
def _built(options: type, values: bytes) -> Any:
    """Options from pickled values, cached because the runs of a sweep share many of them."""
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(options), pickle.loads(values)))
