"""`logger=trackio`: trackio, in the study's folder or where its variables `TRACKIO_…` say."""

import contextlib
import io
import os
from collections.abc import Sequence
from typing import Any

from gradprom.runs.loggers.base import Point, Told

PACKAGE = "trackio"
_ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")
"""Variables that name a server, which has the points instead of this machine."""


def check() -> None:
    """It needs nothing but its package."""


def begin(told: Told) -> "Trackio":
    """Open a run of trackio, or the one that an earlier process has begun."""
    return Trackio(told)


class Trackio:
    """A run of trackio, open; it is found again by its name."""

    def __init__(self, told: Told):
        # read when the package is imported first
        os.environ.setdefault("TRACKIO_DIR", str((told.folder / "trackio").resolve()))
        import trackio

        self.id = told.earlier or f"{told.label} {told.run_id}"
        with _quietly():
            self.run: Any = trackio.init(
                project=told.project,
                name=self.id,
                resume="allow" if told.earlier else "never",
                config={"id": told.run_id, **told.settings},
                embed=False,
            )
        # it writes twice a second: what was handed to a process that was killed may not be there
        self.reached = self._stored(told) if told.earlier else None

    def _stored(self, told: Told) -> int | None:
        from trackio.sqlite_storage import SQLiteStorage

        if any(os.environ.get(key) for key in _ELSEWHERE):
            return None
        return SQLiteStorage.get_max_step_for_run(told.project, self.id, run_id=self.run.id) or 0

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
