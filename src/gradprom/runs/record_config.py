"""The configuration of a record as dotted keys."""

from typing import Any

_ADDED_LATER = {
    "validation": 0.0,
    "train_images": None,
    "auxiliary.batchnorm": "train",
    "auxiliary.target": "follows",
    "auxiliary.clamp": False,
    "strategy.gate_on": "all",
    "trainer.precision": "float32",
    "trainer.compile": False,
    "trainer.graph": "false",
    "trainer.channels_last": "false",
    "trainer.deterministic": False,
    "trainer.extend": False,
}
"""Keys that old records lack, with the value that they imply."""


def flatten(config: dict[str, Any]) -> dict[str, Any]:
    """A record's nested configuration as dotted keys, with those that an old record lacks."""
    flat = {**_ADDED_LATER, **dotted(config)}
    layout = "trainer.channels_last"  # a truth value, before there was `auto`
    return {**flat, layout: str(flat[layout]).lower()}


def dotted(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values as dotted keys, such as `strategy.lam`."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
