"""What a logger is told of a run, and what it does with the run's rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Point = tuple[int, dict[str, float]]
"""A step of the run, counted from 1 over all of its stages, and what was logged there by name."""


@dataclass(frozen=True)
class RunSummary:
    """What a logger is told of a run when it begins."""

    run_id: str
    label: str
    """The run as shown to people: its overrides."""
    study: str
    folder: Path
    """The study's, in which the logger keeps what it keeps on this machine."""
    run_folder: Path
    lease: Path
    """A folder for a lease, while something is made that processes share."""
    settings: dict[str, Any]
    """All that determines the run's id, by dotted key, and its seed."""
    earlier: str | None
    """`Logger.id` of the logged run to go on in; None: a new one begins."""

    @property
    def project(self) -> str:
        """What packages call the study, such as `gradprom-local`: they do not all allow a `/`."""
        return f"gradprom-{self.study.replace('/', '-')}"


class Logger(Protocol):
    """A logged run that is open. Errors of its package are the caller's to catch."""

    id: str
    """By which the logged run is found again after an interruption."""
    reached: int | None
    """The last step that need not be logged again, where the package can tell."""

    def log(self, points: Sequence[Point]) -> None:
        """Log points, whose steps rise from call to call."""

    def scores(self, step: int, values: dict[str, float]) -> None:
        """Log the run's scores, by test set and name, at its last step."""

    def end(self, status: str) -> None:
        """Close it: `finished`, `failed`, `pruned` or `interrupted`."""
