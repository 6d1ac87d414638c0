"""Identity: the one small module that every stored thing trusts for its name.

An id is the first 12 hex digits of the SHA-256 of a canonical JSON. What goes in is the
configuration that has an effect; how, is decided here.
"""

import hashlib
import json
from dataclasses import field, fields, is_dataclass
from typing import Any

LENGTH = 12


def added(default: Any) -> Any:
    """A dataclass field that is younger than stored ids: left out while it holds `default`.

    The value is fixed at the time the field is added. Changing the default later then changes
    new ids, as it must, and leaves the meaning of the old ones alone.
    """
    return field(default=default, metadata={"before": default})


def canonical(value: Any) -> Any:
    """Reduce a value to JSON types: dataclasses to dicts, floats to 12 significant digits.

    Fields whose metadata says `hashed=False` and fields made by `added` that hold the value from
    before are left out.

    Raises
    ------
    TypeError
        For a type that has no canonical form.
    """
    if is_dataclass(value) and not isinstance(value, type):
        kept = [f for f in fields(value) if _counts(f.metadata, getattr(value, f.name))]
        return {f.name: canonical(getattr(value, f.name)) for f in kept}
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


def _counts(metadata: Any, value: Any) -> bool:
    if not metadata.get("hashed", True):
        return False
    return "before" not in metadata or value != metadata["before"]
