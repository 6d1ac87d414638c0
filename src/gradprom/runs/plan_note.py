"""What a sweep expects of a study: its `plan.json`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gradprom.storage.files import CHECKSUM, read_json, without_checksum
from gradprom.storage.json_object import JsonObject, parts


@dataclass(frozen=True, kw_only=True)
class PlannedRun(JsonObject):
    """A run of a sweep."""

    id: str = ""
    label: str = ""
    """What distinguishes it in its sweep, as shown to people."""
    overrides: list[str] = field(default_factory=list)
    """All its overrides, but for folders; none in older plans."""


@dataclass(frozen=True, kw_only=True)
class PlanNote(JsonObject):
    """The runs of a sweep, and the request that they come from."""

    runs: list[PlannedRun] = parts(PlannedRun)
    """The distinct runs, in the order of the request."""
    tables: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the runs of each experiment, by its title; none in the oldest plans, as below."""
    experiments: list[str] = field(default_factory=list)
    """Names of the experiments whose cells the runs are."""
    asked: list[str] = field(default_factory=list)
    """The overrides that narrowed the experiments."""
    swept: dict[str, Any] | None = None
    """The table of a sweep that no experiment declares (`experiments.on_the_fly`); None of others,
    and in plans older than it."""

    def without(self, run_ids: Collection[str]) -> PlanNote:
        """The same request without some of its runs."""
        tables = {
            title: [id for id in ids if id not in run_ids] for title, ids in self.tables.items()
        }
        runs = [run for run in self.runs if run.id not in run_ids]
        return replace(self, runs=runs, tables=tables)


def read_plan(path: Path) -> PlanNote | None:
    """A sweep's plan; None where the file is damaged. Old ones have no checksum."""
    content = read_json(path)
    if isinstance(content, dict) and CHECKSUM in content:
        content = without_checksum(content)
    if not content or not isinstance(content, dict):
        return None
    try:
        return PlanNote.from_json(content)
    except TypeError:
        return None
