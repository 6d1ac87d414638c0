"""Overrides as Hydra takes them: a list of `key=value` texts for each run."""

from typing import Any

from hydra.core.override_parser.types import Override

OverrideList = list[str]
"""The overrides of one run as typed on the command line, `key=value` each."""


def key_of(override: Override) -> str:
    """`noise` of `noise=0.1`, `+noise=0.1` or `~noise`."""
    return override.get_key_element().lstrip("+~")


def values_of(override: Override) -> list[str]:
    """The values of an override as typed; several if it is a sweep."""
    if override.is_sweep_override():
        return [str(text) for text in override.sweep_string_iterator()]
    return [str(override.get_value_element_as_str())]


def override_text(key: str, value: Any) -> str:
    """`key=value`, as Hydra reads it."""
    if isinstance(value, list):
        return f"{key}=[{','.join(map(str, value))}]"
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"
