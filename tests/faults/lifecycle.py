"""What the fault tests share: a run's life of many processes, and what must hold at its end."""

import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from support import cli_process

from gradprom.runs.record import Record
from gradprom.storage.files import DamagedFile, load_state, read_json

PAUSE = 0.02
LONGER = ("auxiliary.epochs=4", "trainer.warmup_epochs=4", "trainer.coupled_epochs=4")
"""Eight steps a stage."""


Moment = Callable[[Path], bool]


def file_there(stage: str, name: str, results: Path) -> bool:
    """Whether a file that fits the pattern lies in the place of a stage."""
    folder = cli_process.stage_folder(results, stage)
    return folder is not None and any(folder.glob(name))


def begun(results: Path) -> bool:
    return any(record.status == "started" for record in cli_process.study(results).records())


def writing_record(results: Path) -> bool:
    return any((results / "local" / "runs").glob("*/.*"))


MOMENTS: dict[str, Moment] = {
    "before anything is trained": begun,
    "in the warm-up": partial(file_there, "warmup", "checkpoint.pt"),
    "while the warm-up writes a checkpoint": partial(file_there, "warmup", ".checkpoint.pt.*"),
    "in recognizer pre-training": partial(file_there, "recognizer.diagnosis", "checkpoint.pt"),
    "between two stages": partial(file_there, "recognizer.diagnosis", "artefact.pt"),
    "in the second recognizer's": partial(file_there, "recognizer.segmentation", "checkpoint.pt"),
    "in coupled training": partial(file_there, "coupled", "checkpoint.pt"),
    "while coupled training writes a checkpoint": partial(
        file_there, "coupled", ".checkpoint.pt.*"
    ),
    "while coupled training writes its weights": partial(file_there, "coupled", ".artefact.pt.*"),
    "in evaluation": partial(file_there, "coupled", "artefact.pt"),
    "while the record is written": writing_record,
}
"""In the order in which they come."""


def frozen_at(moment: Moment, child: cli_process.Child, results: Path) -> bool:
    """Stop a command at a moment, so that what was seen stays so; False if it ended before."""
    while child.alive:
        if moment(results):
            child.send(signal.SIGSTOP)
            if moment(results):
                return True
            child.send(signal.SIGCONT)
        time.sleep(0.0005)
    assert child.wait() == 0, child.text
    return False


def finish(results: Path, words: tuple[str, ...]) -> Record:
    """The same command once more, to its end; returns the record."""
    code, text = cli_process.run(results, *words)
    assert code == 0, text
    [record] = cli_process.records(results).values()
    assert record.status == "finished"
    return record


def assert_same(results: Path, reference: Path) -> None:
    """Metrics, history, scores and weights to the bit; and nothing half-written is left."""
    [ours], [other] = (list(cli_process.records(f).values()) for f in (results, reference))
    assert ours.id == other.id
    assert cli_process.outcome(results, ours) == cli_process.outcome(reference, other)
    assert drafts(results) == []
    assert not [*results.glob("stages/*/checkpoint*"), *results.glob("stages/*/resumed-*")]


def drafts(results: Path) -> list[Path]:
    """Files and folders that somebody began to write, in the places of stages and runs."""
    kinds = ("stages/*/.*.pt.*", "stages/*/.stage*", "*/runs/*/.*")
    return [path for kind in kinds for path in results.glob(kind)]


def finished(results: Path) -> set[str]:
    """Names of the stages whose artefact is there and whole."""
    found = set()
    for path in (results / "stages").glob("*/artefact.pt"):
        try:
            load_state(path)
        except DamagedFile:
            continue
        found.add((read_json(path.with_name("stage.json")) or {}).get("name"))
    return found


def interrupted(results: Path) -> bool:
    """Whether an unfinished stage has a checkpoint to go on from."""
    folders = [path.parent for path in (results / "stages").glob("*/checkpoint.pt")]
    return any(not (folder / "artefact.pt").exists() for folder in folders)


def damage(path: Path, draw: random.Random) -> str:
    """Truncate a file at a random byte, or change one; returns what was done."""
    content = path.read_bytes()
    place = draw.randrange(len(content))
    if draw.random() < 0.5:
        path.write_bytes(content[:place])
        return f"{path} truncated at byte {place} of {len(content)}"
    path.write_bytes(
        content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]
    )
    return f"{path} changed at byte {place} of {len(content)}"
