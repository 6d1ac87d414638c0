"""A configuration that notes which of its values are read, and one with a single value changed."""

import copy
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradprom.config import Config

TEXTS = {
    "supervision": ("unsupervised", "supervised"),
    "trainer.schedule": ("constant", "onecycle"),
    "auxiliary.batchnorm": ("train", "eval"),
    "auxiliary.target": ("follows", "pretrained"),
    "method.loss": ("l1", "mse"),
    "method.training": ("rg1", "rerg"),
    "method.join": ("strategy", "sum"),
    "method.solver.name": ("forward", "admm"),
    "strategy.gate": ("cosine", "hard"),
    "strategy.granularity": ("layer", "whole"),
    "strategy.gate_on": ("last", "all"),
}
"""Two values of each text of which only some are allowed."""
NUMBERS = {"method.problems.drop": 0.5}
"""Another value of each number that is near its bound."""


class Reads:
    """The dotted keys that were read while it was recording."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.recording = False

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Reads inside the block are noted."""
        self.recording = True
        try:
            yield
        finally:
            self.recording = False


def watched(config: Config) -> tuple[Config, Reads]:
    """A copy of a configuration that notes what is read of it, at every depth."""
    reads = Reads()
    return _watched(config, "", reads), reads


def _watched(value: Any, prefix: str, reads: Reads) -> Any:
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    kind, names = type(value), {f.name for f in dataclasses.fields(value)}

    class Watched(kind):  # type: ignore[misc, valid-type]
        def __getattribute__(self, name: str) -> Any:
            result = object.__getattribute__(self, name)
            if reads.recording and name in names and not dataclasses.is_dataclass(result):
                reads.keys.add(f"{prefix}{name}")
            return result

    Watched.__name__ = kind.__name__
    twin = copy.copy(value)
    for name in names:
        object.__setattr__(twin, name, _watched(getattr(value, name), f"{prefix}{name}.", reads))
    object.__setattr__(twin, "__class__", Watched)
    return twin


def hashed_keys(value: Any, prefix: str = "") -> set[str]:
    """The dotted keys of all values that may be part of an id; component names apart."""
    keys: set[str] = set()
    for field in dataclasses.fields(value):
        if not field.metadata.get("hashed", True):
            continue
        child, key = getattr(value, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(child) and not isinstance(child, type):
            keys |= hashed_keys(child, f"{key}.")
        elif not (prefix and field.name == "name"):
            keys.add(key)
    return keys


def changed(config: Config, key: str) -> Config:
    """The configuration with another value of a key."""
    *path, name = key.split(".")
    twin = copy.deepcopy(config)
    owner = twin
    for part in path:
        owner = getattr(owner, part)
    object.__setattr__(owner, name, _other(key, getattr(owner, name)))
    return twin


def _other(key: str, value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return NUMBERS.get(key, 1.5 * value if value else 0.25)
        case list() | tuple():
            return type(value)([*value, *value]) or ["other"]
        case None:
            return 0.25
        case _:
            first, second = TEXTS.get(key, (f"other {value}", ""))
            return second if value == first else first
