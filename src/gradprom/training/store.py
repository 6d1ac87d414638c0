"""The stage store: each stage is trained once, and taken from here by every run that shares it."""

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
    is_plain,
    load_state,
    save_state,
    write_json,
    writing,
)
from gradprom.storage.lease import Applicant, Lease
from gradprom.training.stage import Stage

log = logging.getLogger(__name__)

_RESUMED = "resumed-"
_ONLY_TRAINING = ("checkpoint.pt", f"{_RESUMED}*", ".*.pt.*", ".stage.json.*")
POLL = 0.5
"""Seconds between two looks while another process trains the stage."""


class TakenOver(RunError):
    """Another process trains the stage now."""


class Slot:
    """A stage's place in the store while this process trains it."""

    def __init__(self, folder: Path, lease: Lease):
        self.folder = folder
        self.lease = lease

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint; None where there is none. A damaged one is named and set aside."""
        return self.load("checkpoint.pt")

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint.

        Raises
        ------
        TakenOver
            If another process has taken this stage over meanwhile.
        """
        self.require_held()
        save_state(self.folder / "checkpoint.pt", state)

    def load(self, name: str) -> dict[str, Any] | None:
        """A stored file; None where there is none. A damaged one is named and set aside."""
        path = self.folder / name
        try:
            return load_state(path)
        except FileNotFoundError:
            return None
        except DamagedFile as error:
            log.warning("%s; it is set aside and made again", error)
            with writing(path):
                path.replace(path.with_suffix(".damaged"))
            return None

    def count_resume(self) -> int:
        """How often this stage's training was taken up again, this time included.

        A file for each time: making one is over at once, so that no kill falls into its middle.
        """
        number = len(list(self.folder.glob(f"{_RESUMED}*"))) + 1
        path = self.folder / f"{_RESUMED}{number:04d}"
        with writing(path):
            path.touch()
        return number

    def require_held(self) -> None:
        """Raises TakenOver if another process has taken this stage over meanwhile."""
        if not self.lease.held():
            raise TakenOver(f"another process has taken over stage {self.folder.name}")


class NoSlot(Slot):
    """That of a rank that only steps along: rank 0 keeps what there is to keep."""

    def __init__(self) -> None:
        pass

    def load_checkpoint(self) -> None:
        """Nothing: rank 0 shares its own."""

    def count_resume(self) -> int:
        """Rank 0 counts."""
        return 0

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Nothing is kept."""


class StageStore:
    """Finished stages below one folder, each under its id and the fingerprint of its data.

    The fingerprint keeps a stage trained on part of a dataset from standing in for the whole.
    """

    def __init__(self, root: Path, fingerprint: str):
        self.root = root
        self.fingerprint = fingerprint

    def folder(self, stage: Stage) -> Path:
        """Where a stage's artefact, checkpoint and lease are."""
        return self.place(stage.id)

    def place(self, stage_id: str) -> Path:
        """The same by the stage's id alone, which records tell.

        Raises
        ------
        RunError
            If a record tells something that is no id, and could lead out of the store.
        """
        name = f"{stage_id}-{self.fingerprint[:8]}"
        if not is_plain(name):
            raise RunError(f"{name} cannot be the name of a stage")
        return self.root / name

    def find(self, stage: Stage) -> dict[str, Any] | None:
        """A finished stage's artefact; None where there is none, or a damaged one."""
        try:
            return load_state(self.folder(stage) / "artefact.pt")
        except (FileNotFoundError, DamagedFile):
            return None

    def has(self, stage: Stage) -> bool:
        """Whether the stage is finished, without reading it."""
        return (self.folder(stage) / "artefact.pt").exists()

    def obtain(self, stage: Stage, train: Callable[[Slot], dict[str, Any]]) -> dict[str, Any]:
        """The stage's artefact: found, or trained here, or waited for while another trains it."""
        applicant = Applicant(self.folder(stage))
        while True:
            artefact = self.find(stage)
            if artefact is not None:
                _clear(self.folder(stage))
                return artefact
            with _claim(applicant) as slot:
                if slot is None:
                    preemption.obey()
                    time.sleep(POLL)
                # it may have been finished between the look and the claim; a damaged one is set
                # aside here, where nobody else can be making it anew
                elif slot.load("artefact.pt") is None:
                    self._make(stage, train, slot)

    def _make(self, stage: Stage, train: Callable[[Slot], dict[str, Any]], slot: Slot) -> None:
        description = {"name": stage.name, "epochs": stage.epochs, "seed": stage.seed}
        write_json(slot.folder / "stage.json", description)
        try:
            artefact = train(slot)
            slot.require_held()
        except TakenOver as error:
            log.warning("%s; its result is waited for", error)
            return
        save_state(slot.folder / "artefact.pt", artefact)


def _clear(folder: Path) -> None:
    """Remove what only training needed: the checkpoint, and drafts that a kill left."""
    left = [path for kind in _ONLY_TRAINING for path in folder.glob(kind)]
    for path in left:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _claim(applicant: Applicant) -> Iterator[Slot | None]:
    lease = applicant.try_acquire()
    if lease is None:
        yield None
        return
    with lease.kept():
        yield Slot(applicant.folder, lease)
