"""A longer training that goes on from a shorter one, bit for bit (`trainer.extend`).

A stage keeps its end: the state before its last step, of which nothing depends on how many steps
there will be. (The last step ends a row of the history, and may probe, wherever it is.) A stage of
more epochs begins with that state instead of its own beginning. It has to be the same stage but for
its epochs, and one in which a step does not depend on their number: `Stage.bound_to_length`.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace

from gradprom.config import Trainer
from gradprom.storage.files import DamagedFile, load_state
from gradprom.storage.stage_names import END
from gradprom.training import engine
from gradprom.training.stage import Stage
from gradprom.training.store import Slot, StageStore

log = logging.getLogger(__name__)


def shorter(stage: Stage) -> Iterator[Stage]:
    """The same stage with fewer epochs, the longest first."""
    return (replace(stage, epochs=epochs) for epochs in range(stage.epochs - 1, 0, -1))


def find(store: StageStore, stage: Stage) -> Stage | None:
    """The longest shorter stage that has kept its end; None if there is none."""
    return next((each for each in shorter(stage) if (store.folder(each) / END).exists()), None)


def take_up(store: StageStore, stage: Stage, slot: Slot, options: Trainer) -> None:
    """Let a stage that has not begun go on from a shorter one, if there is one to go on from.

    Parameters
    ----------
    store
        Where the shorter stage is.
    stage
        The stage.
    slot
        Its own folder, which gets the shorter stage's end as a checkpoint.
    options
        Rows of the history have to be as long as the shorter stage's (`log_every`).
    """
    if slot.load_checkpoint() is not None or (begun_by := find(store, stage)) is None:
        return
    path = store.folder(begun_by) / END
    try:
        end = load_state(path)
    except (DamagedFile, FileNotFoundError) as error:
        log.warning("%s; stage %s is trained from its beginning", error, stage.name)
        return
    if end.get("format") != engine.FORMAT or end.get("log_every") != options.log_every:
        log.warning(
            "%s was kept by another version or with another trainer.log_every; stage %s is "
            "trained from its beginning",
            path,
            stage.name,
        )
        return
    slot.save_checkpoint({**end, "begun_by": begun_by.id})
