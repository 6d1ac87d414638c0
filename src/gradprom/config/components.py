"""Components found by name: a dataset, a strategy, … is a module that owns an `Options` dataclass.

The node's key `name` picks the module, so that a new component edits nothing here.
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

from gradprom.errors import ConfigError, first_line

# group of the configuration → package whose modules are its components
PACKAGES = {
    "dataset": "gradprom.data.sources",
    "backbone": "gradprom.models",
    "strategy": "gradprom.strategies",
    "method": "gradprom.methods",
    "task": "gradprom.tasks",
    "recognizer": "gradprom.models.recognizers",
}


@functools.cache
def component(group: str, name: str) -> Any:
    """The module of a component, such as `gradprom.strategies.gradprom`."""
    package = importlib.import_module(PACKAGES[group])
    known = [module.name for module in pkgutil.iter_modules(package.__path__)]
    module = importlib.import_module(f"{package.__name__}.{name}") if name in known else None
    # one without Options only serves the components
    if not hasattr(module, "Options"):
        raise ConfigError(
            f"{group}.name={name} is unknown; choose from {', '.join(_components(package))}"
        )
    return module


def _components(package: ModuleType) -> list[str]:
    """Names of a package's modules that are components, which is to say own an `Options`."""
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    modules = {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}
    return sorted(name for name, module in modules.items() if hasattr(module, "Options"))


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
