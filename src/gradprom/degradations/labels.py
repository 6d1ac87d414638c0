"""What a table calls a degradation, and where its column stands; asked of the degradation's file.

Nothing here needs torch.
"""

from collections.abc import Mapping
from typing import Any

from gradprom.degradations.base import in_words
from gradprom.errors import ConfigError

UNKNOWN = 99
"""The place of a degradation without a `sort_key`, behind all that have one."""


def label(options: Mapping[str, Any]) -> str:
    """A degradation in words, such as `σ=0.1`, from its options as they are in a record.

    One that this version does not know, or that has no `label`, is its name and its options.
    """
    function = getattr(_module(options), "label", None)
    return function(options) if function else in_words("{name}", options, (), {})


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """What columns are sorted by: the place of the kind, then values in rising order."""
    function = getattr(_module(options), "sort_key", None)
    return tuple(function(options)) if function else (UNKNOWN,)


def _module(options: Mapping[str, Any]) -> Any:
    from gradprom.config.components import component

    try:
        return component("degradation", options["name"])
    except ConfigError:
        return None  # a record may come from a version, or a plug-in, that is not here
