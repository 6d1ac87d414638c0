"""The stage store: each stage is trained once and shared by all runs that contain it."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gradprom.errors import RunError
from gradprom.storage import preemption
from gradprom.storage.files import (
    DamagedFile,
    load_state,
    save_state,
    write_json,
    writing,
)
from gradprom.storage.lease import Applicant, Lease
from gradprom.storage.stage_names import END, stage_name
from gradprom.training.stage import Stage

log = logging.getLogger(__name__)

_RESUMED = "resumed-"
_ONLY_TRAINING = ("checkpoint.pt", f"{_RESUMED}*", ".*.pt.*", ".stage.json.*")
POLL = 0.5
"""Seconds between two checks while another process trains the stage."""


class TakenOver(RunError):
    """Another process trains the stage now."""


class Slot:
    """A stage's folder in the store while this process trains it."""

    def __init__(self, folder: Path, lease: Lease):
        self.folder = folder
        self.lease = lease

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint; None if there is none. A damaged one is reported and set aside."""
        return self.load("checkpoint.pt")

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint.

        Raises
        ------
        TakenOver
            If another process has taken over the stage in the meantime.
        """
        self.require_held()
        save_state(self.folder / "checkpoint.pt", state)

    def save_end(self, state: dict[str, Any]) -> None:
        """Keep the state before the last step; TakenOver as for a checkpoint."""
        self.require_held()
        save_state(self.folder / END, state)

    def load(self, name: str) -> dict[str, Any] | None:
        """A stored file; None if there is none. A damaged one is reported and set aside."""
        path = self.folder / name
        try:
            return load_state(path)
        except FileNotFoundError:
            return None
        except DamagedFile as error:
            log.warning("%s; it is set aside and created again", error)
            with writing(path):
                path.replace(path.with_suffix(".damaged"))
            return None

    def count_resume(self) -> int:
        """Count a resume of this stage's training, and return their number.

        Each resume creates a file, which is atomic: a kill cannot leave a wrong count.
        """
        number = len(list(self.folder.glob(f"{_RESUMED}*"))) + 1
        path = self.folder / f"{_RESUMED}{number:04d}"
        with writing(path):
            path.touch()
        return number

    def require_held(self) -> None:
        """Check that this process still trains the stage.

        Raises
        ------
        TakenOver
            If another process has taken it over in the meantime.
        """
        if not self.lease.held():
            raise TakenOver(f"another process has taken over stage {self.folder.name}")


class NoSlot(Slot):
    """The slot of a rank other than 0, which stores nothing."""

    def __init__(self) -> None:
        pass

    def load_checkpoint(self) -> None:
        """None: rank 0 shares its checkpoint."""

    def count_resume(self) -> int:
        """0: rank 0 counts."""
        return 0

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Store nothing."""

    def save_end(self, state: dict[str, Any]) -> None:
        """Store nothing."""


class StageStore:
    """Finished stages below one folder, each under its id and the fingerprint of its data.

    The fingerprint distinguishes a stage trained on part of a dataset from one trained on all.
    """

    def __init__(self, root: Path, fingerprint: str):
        self.root = root
        self.fingerprint = fingerprint

    def folder(self, stage: Stage) -> Path:
        """The folder of a stage's artefact, checkpoint and lease."""
        return self.folder_by_id(stage.id)

    def folder_by_id(self, stage_id: str) -> Path:
        """The folder of a stage by its id, such as a record has it.

        Raises
        ------
        RunError
            If the id is not a plain name: a path could lead out of the store.
        """
        return self.root / stage_name(stage_id, self.fingerprint)

    def find(self, stage: Stage) -> dict[str, Any] | None:
        """A finished stage's artefact; None if there is none or it is damaged."""
        try:
            return load_state(self.folder(stage) / "artefact.pt")
        except (FileNotFoundError, DamagedFile):
            return None

    def has(self, stage: Stage) -> bool:
        """Whether the stage is finished, without reading it."""
        return (self.folder(stage) / "artefact.pt").exists()

    def obtain(self, stage: Stage, train: Callable[[Slot], dict[str, Any]]) -> dict[str, Any]:
        """Load a stage's artefact, or train it, or wait while another process trains it.

        Parameters
        ----------
        stage
            The stage.
        train
            Trains it in a slot and returns its artefact.

        Returns
        -------
        dict
            The artefact.

        Raises
        ------
        Interrupted
            If a preemption signal arrives while it waits.
        """
        applicant = Applicant(self.folder(stage))
        while True:
            artefact = self.find(stage)
            if artefact is not None:
                _clear(self.folder(stage))
                return artefact
            with _claim(applicant) as slot:
                if slot is None:
                    preemption.raise_if_requested()
                    time.sleep(POLL)
                # it may have been finished between the check and the claim; a damaged one is set
                # aside here, where no other process can be creating it
                elif slot.load("artefact.pt") is None:
                    self._train(stage, train, slot)

    def _train(self, stage: Stage, train: Callable[[Slot], dict[str, Any]], slot: Slot) -> None:
        description = {"name": stage.name, "epochs": stage.epochs, "seed": stage.seed}
        write_json(slot.folder / "stage.json", description)
        try:
            artefact = train(slot)
            slot.require_held()
        except TakenOver as error:
            log.warning("%s; waiting for its result", error)
            return
        save_state(slot.folder / "artefact.pt", artefact)


def _clear(folder: Path) -> None:
    """Remove what only training needed: the checkpoint, and temporary files that a kill left."""
    leftovers = [path for kind in _ONLY_TRAINING for path in folder.glob(kind)]
    for path in leftovers:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _claim(applicant: Applicant) -> Iterator[Slot | None]:
    lease = applicant.try_acquire()
    if lease is None:
        yield None
        return
    with lease.heartbeat():
        yield Slot(applicant.folder, lease)
