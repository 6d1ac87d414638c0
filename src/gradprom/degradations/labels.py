"""A degradation's title in tables and the order of its column, both from the degradation's file.

Nothing here imports torch.
"""

from collections.abc import Mapping
from typing import Any

from gradprom.degradations.base import in_words
from gradprom.errors import ConfigError

UNKNOWN = 99
"""The position of a degradation without a `sort_key`, after all that have one."""


def label(options: Mapping[str, Any]) -> str:
    """A degradation's title, such as `σ=0.1`, from its options as they are in a record.

    For a degradation that this version does not have, or without a `label`: name and options.
    """
    function = getattr(_module(options), "label", None)
    return function(options) if function else in_words("{name}", options, (), {})


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """The sort key of columns: the position of the kind, then rising values."""
    function = getattr(_module(options), "sort_key", None)
    return tuple(function(options)) if function else (UNKNOWN,)


def _module(options: Mapping[str, Any]) -> Any:
    from gradprom.config.components import component

    try:
        return component("degradation", options["name"])
    except ConfigError:
        return None  # a record may come from another version, or from a plug-in
