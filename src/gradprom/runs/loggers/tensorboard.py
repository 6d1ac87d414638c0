"""`logger=tensorboard`: events in the run's folder, which `tensorboard --logdir` shows."""

from collections.abc import Sequence

from gradprom.runs.loggers.base import Point, RunSummary

PACKAGE = "tensorboard"


def check() -> None:
    """It needs nothing but its package."""


def begin(summary: RunSummary) -> "TensorBoard":
    """Open a file of events; each process has its own, and TensorBoard joins those of a folder."""
    return TensorBoard(summary)


class TensorBoard:
    """A file of events, open."""

    reached = None

    def __init__(self, summary: RunSummary):
        from torch.utils.tensorboard import SummaryWriter

        self.id = "tensorboard"
        self.events = SummaryWriter(summary.run_folder / self.id)

    def log(self, points: Sequence[Point]) -> None:
        """Write points, and flush them to the disk."""
        for step, values in points:
            for name, value in values.items():
                self.events.add_scalar(name, value, step)
        self.events.flush()

    def scores(self, step: int, values: dict[str, float]) -> None:
        """Write scores as points."""
        self.log([(step, values)])

    def end(self, status: str) -> None:
        """Close the file."""
        self.events.close()
