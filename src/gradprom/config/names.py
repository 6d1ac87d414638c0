"""Names of the components of a group, for those who list or search them."""

import importlib

from gradprom.config.components import PACKAGES, _components


def names(group: str) -> tuple[str, ...]:
    """Names of a group's components, sorted; imports every module of the group."""
    return tuple(_components(importlib.import_module(PACKAGES[group])))
