"""The words by which a person selects runs: overrides, the values in them, and states."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gradprom.reports import unplanned
from gradprom.runs.plan_note import PlannedRun
from gradprom.runs.record import Record
from gradprom.runs.record_config import flatten

GROUPS = (*unplanned.CHOICES, "degradation")
"""Groups of the configuration whose choices are words."""
SHORT = ("noise", "scale", "lam", "size", "supervision", "seed")
"""Short names of the command line for single keys."""
_PRIVATE = ("facts.", "study", "results", "data_root", "dataset.root", "logger")
"""Prefixes of keys that are no property of a run."""
_UNREAD_AT_TIMES = ("strategy", "backbone", "trainer")
"""Sections of the configuration that some methods, such as `classical`, do not read."""


@dataclass(frozen=True)
class Candidate:
    """A run that may be selected."""

    id: str
    state: str
    """One of `sweeps.status.STATES`; empty where it was not asked for."""
    record: Record | None
    """None for a planned run that has not started."""
    planned: PlannedRun | None = None
    """What a sweep has planned; None for a run of no sweep."""

    @property
    def started(self) -> float:
        """When it started, in seconds since 1970; 0 where that is not known."""
        try:
            return datetime.fromisoformat(self.record.started).timestamp() if self.record else 0.0
        except ValueError:
            return 0.0

    @functools.cached_property
    def typed(self) -> dict[str, str]:
        """Its overrides as they were typed, by key, without Hydra's `+`."""
        texts = self.record.overrides if self.record else self._planned_overrides
        pairs = (text.lstrip("+").split("=", 1) for text in texts if "=" in text)
        return {key: value for key, value in pairs if not key.startswith(_PRIVATE)}

    @functools.cached_property
    def named(self) -> dict[str, str]:
        """Its choices of groups and the short names of the command line, such as `noise`."""
        if self.record is None:
            return {key: v for key, v in self.typed.items() if key in (*GROUPS, *SHORT)}
        config = self.record.config
        reads = {k: text(v) for k, v in unplanned.reads(self.record).items()} if config else {}
        chosen = {group: _choice(self.record, group) for group in GROUPS}
        values = {**_short_names(reads), "seed": text(self.record.seed)}
        return {key: value for key, value in {**chosen, **values}.items() if value}

    @functools.cached_property
    def configured(self) -> dict[str, str]:
        """All of its configuration by dotted key."""
        flat = flatten(self.record.config) if self.record else {}
        return {key: text(v) for key, v in flat.items() if not key.startswith(_PRIVATE)}

    @functools.cached_property
    def read(self) -> dict[str, str]:
        """The part of its configuration that can have affected its result, by dotted key."""
        if self.record is None or not self.record.config:
            return {}
        sections = self.record.reads or self.record.config
        unread = tuple(f"{name}." for name in _UNREAD_AT_TIMES if name not in sections)
        keys = unplanned.by_configuration(self.record)
        return {key: text(v) for key, v in keys.items() if not key.startswith(unread)}

    @property
    def _planned_overrides(self) -> list[str]:
        if self.planned is None:
            return []
        return self.planned.overrides or self.planned.label.split()

    def values(self, key: str) -> set[str]:
        """The values that select it with this key; more than one if a later word won."""
        parts = (self.named, self.typed, self.configured)
        return {part[key] for part in parts if key in part}

    def words(self) -> Iterator[str]:
        """The values that select it without a key."""
        yield from self.named.values()
        yield from (value for key, value in self.typed.items() if key not in self.named)
        if self.state:
            yield self.state


def equal(one: str, other: str) -> bool:
    """Whether two values are the same, as texts or as numbers: `1e-4` is `0.0001`."""
    if one == other:
        return True
    try:
        return float(one) == float(other)
    except ValueError:
        return False


def text(value: Any) -> str:
    """A value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        return f"[{','.join(str(v.get('title') or v.get('name')) for v in value)}]"  # test sets
    if isinstance(value, list | tuple):
        return f"[{','.join(map(text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{text(v)}' for key, v in value.items())}}}"
    return str(value)


def _choice(record: Record, group: str) -> str:
    if group not in record.choices:
        return ""
    return unplanned.choice_of(record, group) if record.config else record.choices[group]


def _short_names(read: Mapping[str, str]) -> dict[str, str]:
    """What the keys of `conf/config.yaml` that stand for others were set to; empty: nothing."""
    alone, mixed = read.get("degradation.name"), read.get("degradation.order", "[]")[1:-1]
    noise = "degradation.sigma" if alone == "gaussian" else "degradation.gaussian.sigma"
    scale = "degradation.scale" if alone == "downsample" else "degradation.downsample.scale"
    degradations = {alone, *mixed.split(",")}
    return {
        "noise": read.get(noise, "") if "gaussian" in degradations else "",
        "scale": read.get(scale, "") if "downsample" in degradations else "",
        "lam": read.get("strategy.lam", ""),
        "size": read.get("dataset.size", ""),
        "supervision": read.get("supervision", ""),
    }
