"""A stage whose training only counts, and processes that need it at the same time."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from support.cli_process import PROCESSES

from gradprom.training import store
from gradprom.training.stage import Stage
from gradprom.training.store import Slot, StageStore

STAGE = Stage("warmup", epochs=2, seed=0, reads={"lr": 0.1})
FINGERPRINT = "0123456789abcdef"
STEPS = 20


def count(slot: Slot, notes: Path, pause: float = 0.0) -> dict[str, Any]:
    """A training of `STEPS` steps with a checkpoint after each, each step noted in a file."""
    state = slot.load_checkpoint() or {"step": 0, "weights": torch.zeros(3)}
    while state["step"] < STEPS:
        with notes.open("a") as file:
            file.write(f"{os.getpid()} {state['step']}\n")
        time.sleep(pause)
        weights = state["weights"] + torch.rand(3, generator=torch.Generator().manual_seed(1))
        state = {"step": state["step"] + 1, "weights": weights}
        slot.save_checkpoint(state)
    return {"weights": state["weights"]}


def obtain(root: Path, notes: Path, pause: float, result: Path) -> None:
    """One of several processes that need the stage."""
    store.POLL = 0.01
    artefact = StageStore(root, FINGERPRINT).obtain(STAGE, lambda slot: count(slot, notes, pause))
    torch.save(artefact["weights"], result)


def start_processes(tmp_path: Path, number: int, pause: float) -> list[Any]:
    processes = []
    for i in range(number):
        arguments = (tmp_path / "stages", tmp_path / "notes", pause, tmp_path / f"result-{i}")
        processes.append(PROCESSES.Process(target=obtain, args=arguments, daemon=True))
        processes[-1].start()
    return processes


def notes(tmp_path: Path) -> list[tuple[int, int]]:
    """Process and step of everything that was trained."""
    path = tmp_path / "notes"
    text = path.read_text() if path.exists() else ""
    return [(int(pid), int(step)) for pid, step in (line.split() for line in text.splitlines())]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in 60 s"
        time.sleep(0.002)


def expected(tmp_path: Path) -> torch.Tensor:
    return StageStore(tmp_path / "alone", "other").obtain(
        STAGE, lambda slot: count(slot, tmp_path / "notes of the expected")
    )["weights"]
