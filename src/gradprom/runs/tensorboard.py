"""`logger=tensorboard`: the history of stages that a run trains itself, beside `history.csv`."""

from collections.abc import Callable
from pathlib import Path

from gradprom.errors import ConfigError
from gradprom.training.engine import Progress


def writer(folder: Path) -> Callable[[Progress], None]:
    """An observer that writes each row of the history as events into `folder`.

    Raises
    ------
    ConfigError
        If tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "logger=tensorboard needs the package tensorboard: pip install -e '.[tensorboard]'"
        ) from error
    events = SummaryWriter(folder)

    def write(progress: Progress) -> None:
        for name, value in progress.row.items():
            events.add_scalar(f"{progress.stage.name}/{name}", value, progress.step)
        events.flush()

    return write
