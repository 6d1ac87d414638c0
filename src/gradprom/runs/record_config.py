"""The configuration of a record as dotted keys."""

from typing import Any

_YOUNGER = {
    "validation": 0.0,
    "strategy.gate_on": "all",
    "trainer.precision": "float32",
    "trainer.compile": False,
    "trainer.channels_last": False,
}
"""Keys that are younger than stored records, with the value that those would have."""


def flatten(config: dict[str, Any]) -> dict[str, Any]:
    """A record's nested configuration as dotted keys, those it is too old to have among them."""
    flat = dotted(config)
    return {**flat, **{key: value for key, value in _YOUNGER.items() if key not in flat}}


def dotted(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values as dotted keys, such as `strategy.lam`."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
