"""`logger=trackio`: trackio, in the study's folder or where its variables `TRACKIO_…` say."""

import contextlib
import io
import os
from collections.abc import Sequence
from typing import Any

from gradprom.runs.loggers.base import Point, RunSummary

PACKAGE = "trackio"
_ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")
"""Variables that name a server, which has the points instead of this machine."""


def check() -> None:
    """It needs nothing but its package."""


def begin(summary: RunSummary) -> "Trackio":
    """Open a run of trackio, or the one that an earlier process has begun."""
    return Trackio(summary)


class Trackio:
    """A run of trackio, open; it is found again by its name."""

    def __init__(self, summary: RunSummary):
        # read when the package is imported first
        os.environ.setdefault("TRACKIO_DIR", str((summary.folder / "trackio").resolve()))
        import trackio

        self.id = summary.earlier or f"{summary.label} {summary.run_id}"
        with _quietly():
            self.run: Any = trackio.init(
                project=summary.project,
                name=self.id,
                resume="allow" if summary.earlier else "never",
                config={"id": summary.run_id, **summary.settings},
                embed=False,
            )
        # it writes twice a second: what was handed to a process that was killed may not be there
        self.reached = self._stored(summary) if summary.earlier else None

    def _stored(self, summary: RunSummary) -> int | None:
        from trackio.sqlite_storage import SQLiteStorage

        if any(os.environ.get(key) for key in _ELSEWHERE):
            return None
        return SQLiteStorage.get_max_step_for_run(summary.project, self.id, run_id=self.run.id) or 0

    def log(self, points: Sequence[Point]) -> None:
        """Hand points to trackio's thread."""
        for step, values in points:
            self.run.log(values, step=step)

    def scores(self, step: int, values: dict[str, float]) -> None:
        """Hand over scores as a point."""
        self.log([(step, values)])

    def end(self, status: str) -> None:
        """Write what waits, and close it."""
        with _quietly():
            self.run.finish()


def _quietly() -> contextlib.AbstractContextManager[Any]:
    """It prints what it does, into the display of a sweep."""
    return contextlib.redirect_stdout(io.StringIO())
