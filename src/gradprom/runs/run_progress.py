"""The progress of a run: its `progress.json`, which is also its heartbeat."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradprom.storage.files import read_checked
from gradprom.storage.json_object import JsonObject


@dataclass(frozen=True, kw_only=True)
class RunProgress(JsonObject):
    """The stage that is being trained, and how far it has come."""

    stage: str = ""
    """Name of the stage, such as `coupled`."""
    stage_id: str = ""
    """Its id in the stage store."""
    epoch: int = 0
    """Of `epochs`, from 1."""
    epochs: int = 0
    step: int = 0
    """Of `steps`, in all epochs of the stage."""
    steps: int = 0
    seconds_per_step: float = 0.0
    seconds_left: float | None = None
    """Of the run's training; None where it is not known."""
    row: dict[str, Any] = field(default_factory=dict)
    """The last row of the history: means of losses and metrics, by name."""
    majority_share: float | None = None
    """What an accuracy in `row` has to exceed: the share of the most frequent class of what the
    stage learns, in training; None if it does not learn from one annotation."""
    updated: float = 0.0
    """Time of writing, in seconds since 1970."""


def read_progress(path: Path) -> RunProgress | None:
    """The progress of a run; None where the file is missing or damaged."""
    content = read_checked(path)
    return None if content is None else RunProgress.from_json(content)
