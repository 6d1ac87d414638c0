"""A JSON object read as a dataclass, from which nothing of the file is lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, Self

Reader = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class JsonObject:
    """Base of dataclasses whose fields are the keys of a JSON object.

    A key that the object lacks has its field's default value. What is written back has the keys
    that were read, in their order, those that no field is named after among them; and besides, each
    field that has got another value than its default.
    """

    unknown: dict[str, Any] = field(default_factory=dict)
    """Keys that no field is named after, with their values."""
    keys: tuple[str, ...] | None = field(default=None, compare=False, repr=False)
    """Those of the object that it was read from; None for one that was made by the program."""

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> Self:
        """Read an object; of another type than its fields say is what the file says.

        Raises
        ------
        TypeError
            If it, or a part of it that has fields of its own, is no JSON object or lacks a key
            without which it means nothing.
        """
        if not isinstance(mapping, dict):
            raise TypeError(f"{cls.__name__}: {mapping!r:.40} is no JSON object")
        columns = _columns(cls)
        if mapping.keys() == columns.defaults.keys():
            values: dict[str, Any] = {**mapping, "unknown": {}, "keys": tuple(mapping)}
        else:
            values = _completed(columns, mapping)
        for name, reader in columns.readers:
            if values[name] is not None and name in mapping:
                values[name] = reader(values[name])
        instance = object.__new__(cls)
        # a frozen dataclass's own __init__ takes longer than to parse the file
        object.__setattr__(instance, "__dict__", values)
        return instance

    def to_json(self) -> dict[str, Any]:
        """The object as it was read, with what has changed since."""
        columns, values = _columns(type(self)), vars(self)
        expected = set(self.expected() if self.keys is None else self.keys)
        names = [
            name
            for name, default in columns.defaults.items()
            if name in expected or values[name] != default()
        ]
        nested = dict(columns.readers)
        written = {}
        for key in dict.fromkeys((*(self.keys or ()), *names, *self.unknown)):
            value = values[key] if key in columns.defaults else self.unknown[key]
            written[key] = _plain(value) if key in nested else value
        return written

    def expected(self) -> Iterable[str]:
        """The keys of an object made by the program, whether they have default values or not."""
        return _columns(type(self)).defaults


@dataclass(frozen=True)
class _Columns:
    """The fields of a class that are keys."""

    defaults: dict[str, Callable[[], Any]]
    """What makes the default value of each, in their order."""
    constants: dict[str, Any]
    """The default values that are constants."""
    factories: tuple[tuple[str, Callable[[], Any]], ...]
    """What makes the default values of the other fields."""
    readers: tuple[tuple[str, Reader], ...]
    """What reads those that are objects themselves."""


_KNOWN: dict[type[JsonObject], _Columns] = {}


def _columns(kind: type[JsonObject]) -> _Columns:
    if kind not in _KNOWN:
        _KNOWN[kind] = _look_up(kind)
    return _KNOWN[kind]


def _look_up(kind: type[JsonObject]) -> _Columns:
    fields = [f for f in dataclasses.fields(kind) if f.name not in ("unknown", "keys")]
    constant = [f for f in fields if f.default is not MISSING]
    defaults = {f.name: _default(f) for f in fields}
    return _Columns(
        defaults=defaults,
        constants={f.name: f.default for f in constant},
        factories=tuple((f.name, defaults[f.name]) for f in fields if f not in constant),
        readers=tuple((f.name, f.metadata["reader"]) for f in fields if "reader" in f.metadata),
    )


def _completed(columns: _Columns, mapping: dict[str, Any]) -> dict[str, Any]:
    """The values of all fields, of which an object has some and perhaps others besides."""
    values = {**columns.constants, **mapping}
    for name, default in columns.factories:
        if name not in mapping:
            values[name] = default()
    unknown = {}
    if len(values) > len(columns.defaults):
        unknown = {key: values.pop(key) for key in mapping if key not in columns.defaults}
    values["unknown"], values["keys"] = unknown, tuple(mapping)
    return values


def _default(definition: dataclasses.Field[Any]) -> Callable[[], Any]:
    """What makes a field's default value; it raises TypeError where there is none.."""
    if definition.default_factory is not MISSING:
        return definition.default_factory
    if definition.default is not MISSING:
        return lambda: definition.default

    def missing() -> Any:
        raise TypeError(f"lacks {definition.name}")

    return missing


def _plain(value: Any) -> Any:
    if isinstance(value, JsonObject):
        return value.to_json()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def part(kind: type[JsonObject], **options: Any) -> Any:
    """A field that is an object of this kind; `options` are those of `dataclasses.field`."""
    return field(metadata={"reader": kind.from_json}, **options)


def parts(kind: type[JsonObject]) -> Any:
    """A field that is a list of such objects; without a default value, the empty list."""

    def reader(items: Any) -> list[Any]:
        return [kind.from_json(item) for item in items]

    return field(default_factory=list, metadata={"reader": reader})


def parts_by_name(kind: type[JsonObject]) -> Any:
    """A field that is an object of such objects; without a default value, the empty one."""

    def reader(items: Any) -> dict[str, Any]:
        return {name: kind.from_json(item) for name, item in dict(items).items()}

    return field(default_factory=dict, metadata={"reader": reader})
