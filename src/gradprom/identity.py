"""Ids of runs, stages and everything else that is stored.

An id is the first 12 hex digits of the SHA-256 of canonical JSON. Callers choose what is hashed:
the configuration that has an effect. This module defines how.
"""

import hashlib
import json
from dataclasses import field, fields, is_dataclass
from typing import Any

LENGTH = 12
"""Hex digits of an id."""


def added(default: Any) -> Any:
    """A dataclass field added after ids were stored: it is not hashed while it holds `default`.

    `default` is the value that code before the field implied, and stays as it is. If the field's
    own default changes later, new ids change, as they must, and old ones keep their meaning.
    """
    return field(default=default, metadata={"before": default})


def canonical(value: Any) -> Any:
    """Reduce a value to JSON types: dataclasses to dicts, floats to 12 significant digits.

    Fields with `hashed=False` in their metadata, and fields made by `added` that hold their first
    default, are left out.

    Raises
    ------
    TypeError
        For a type that has no canonical form.
    """
    if is_dataclass(value) and not isinstance(value, type):
        hashed = [f for f in fields(value) if _is_hashed(f.metadata, getattr(value, f.name))]
        return {f.name: canonical(getattr(value, f.name)) for f in hashed}
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"no canonical form for {type(value).__name__}")


def digest(value: Any) -> str:
    """The id of a value: 12 hex digits, equal on every machine and in every process."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _is_hashed(metadata: Any, value: Any) -> bool:
    if not metadata.get("hashed", True):
        return False
    return "before" not in metadata or value != metadata["before"]
