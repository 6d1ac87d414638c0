"""`python run.py …` in processes of its own, many of them and cheaply.

Importing torch takes seconds, so children are forked from a server that has done it once and
never computes anything itself. In all else they are what a person starts: `run.py` as the main
module, command-line arguments, text in a file, an exit code, and a number to send signals to.
"""

import contextlib
import json
import os
import runpy
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import psutil
import torch

from gradprom import cli
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import load_state, read_json
from gradprom.training import engine
from gradprom.training.store import Slot

ROOT = Path(__file__).resolve().parents[2]
TINY = (
    "dataset.train=16",
    "dataset.test=8",
    "dataset.size=32",
    "backbone.channels=4",
    "backbone.blocks=1",
    "auxiliary.epochs=2",
    "trainer.warmup_epochs=2",
    "trainer.coupled_epochs=2",
    "trainer.log_every=1",
    "trainer.checkpoint_seconds=0",
    "trainer.device=cpu",
    "sweep.classical=[]",
)
"""16 images in batches of 8: two steps an epoch, a checkpoint after each; no classical filters."""

PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "__main__",
        "torch.fx.experimental.symbolic_shapes",  # the first gradient from the cut imports it
        "hydra.main",
        "gradprom.entry",
        "gradprom.tuning.command",
        "gradprom.reports.plots.sweep_picture",
        "gradprom.data.sources.phantom",
        "gradprom.methods.task_driven",
        "gradprom.models.enhancers.unet",
    ]
)


@dataclass
class Child:
    """A command at work, or ended."""

    process: BaseProcess
    output: Path

    @property
    def text(self) -> str:
        """What it has printed so far, errors included."""
        return self.output.read_text()

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def wait(self, seconds: float = 300) -> int:
        """Its exit code."""
        self.process.join(seconds)
        if self.alive:
            self.process.kill()
            raise TimeoutError(f"still at work after {seconds} s:\n{self.text}")
        assert self.process.exitcode is not None
        return self.process.exitcode

    def send(self, number: signal.Signals) -> None:
        """To the command; what halts or kills it does so to its runs, as a machine going down."""
        assert self.process.pid is not None
        command = psutil.Process(self.process.pid)
        at_once = number in (SIGSTOP, SIGCONT, signal.SIGKILL)
        for process in (command, *(command.children(recursive=True) if at_once else [])):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """As `kill -9` of the command and its runs does it."""
        self.send(signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL


def start(
    results: Path,
    *arguments: str,
    pause: float = 0.0,
    beside: Path | None = None,
    sizes: tuple[str, ...] = TINY,
    plugins: Path | None = None,
) -> Child:
    """`python run.py TINY… arguments… results=…`, not waited for.

    It rests for `pause` seconds after each checkpoint, for those who want to look or shoot. Its
    output and notes are in the folder of results, or `beside` it where that may have no room.
    The folder that holds `plugins` is on its path, for it and for the processes that it starts.
    """
    switches = [argument for argument in arguments if argument.startswith("-")]
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    command = (*switches, *sizes, *overrides, f"results={results}")
    return _begin(beside or results, "run", command, pause, plugins)


def _begin(
    notes: Path, kind: str, arguments: tuple[str, ...], pause: float, plugins: Path | None
) -> Child:
    notes.mkdir(parents=True, exist_ok=True)
    output = notes / f"output-{len(list(notes.glob('output-*')))}.txt"
    process = PROCESSES.Process(
        target=_main, args=(kind, arguments, output, pause, plugins), daemon=True
    )
    output.touch()
    process.start()
    return Child(process, output)


def run(results: Path, *arguments: str, **options: Any) -> tuple[int, str]:
    """Exit code and text of `python run.py TINY… arguments… results=…`, as `start` takes them."""
    child = start(results, *arguments, **options)
    return child.wait(), child.text


def tool(results: Path, *arguments: str, plugins: Path | None = None) -> tuple[int, str]:
    """Exit code and text of `gradprom arguments… results=…`."""
    child = start_tool(results, *arguments, plugins=plugins)
    return child.wait(), child.text


def start_tool(results: Path, *arguments: str, plugins: Path | None = None) -> Child:
    """`gradprom arguments… results=…`, not waited for."""
    return _begin(results, "tool", (*arguments, f"results={results}"), 0.0, plugins)


def _main(
    kind: str, arguments: tuple[str, ...], output: Path, pause: float, plugins: Path | None
) -> None:
    stream = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    torch.set_num_threads(1)
    if plugins is not None:
        sys.path.insert(0, str(plugins))
        os.environ["PYTHONPATH"] = str(plugins)
    _watch(output.with_name("trained.txt"), pause)
    sys.argv = ["run.py" if kind == "run" else "gradprom", *arguments]
    if kind == "run":
        runpy.run_path(str(ROOT / "run.py"), run_name="__main__")
    else:
        cli.main()


def _watch(notes: Path, pause: float) -> None:
    """Have the engine note each stage that it begins, and rest after each checkpoint; and make
    the moment long in which a file is written and not yet in its place."""
    train, save, replace = engine.train, Slot.save_checkpoint, os.replace

    def noted(stage: Any, *arguments: Any) -> Any:
        with notes.open("a") as file:
            file.write(f"{stage.name} {stage.id}\n")
        return train(stage, *arguments)

    def rested(self: Slot, state: dict[str, Any]) -> None:
        save(self, state)
        with notes.with_name("saved.txt").open("a") as file:
            file.write("a checkpoint\n")
        time.sleep(pause)

    def slowly(draft: Path, path: Path) -> None:
        time.sleep(pause / 4)
        replace(draft, path)

    os.replace = slowly  # type: ignore[assignment]
    engine.train = noted
    Slot.save_checkpoint = rested  # type: ignore[method-assign]


def trained(results: Path) -> Counter[str]:
    """How often a stage's training was begun, by the kind of stage, over all commands."""
    path = results / "trained.txt"
    text = path.read_text() if path.exists() else ""
    return Counter(line.split()[0] for line in text.splitlines())


def saved(results: Path) -> int:
    """How many checkpoints were written, over all commands."""
    path = results / "saved.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


def study(results: Path) -> Study:
    return Study(results, "local")


def records(results: Path) -> dict[str, Record]:
    """Records by their overrides beyond TINY and results, as one text."""
    by_overrides = {}
    for record in study(results).records():
        where = ("results=", "runs_per_device=")
        overrides = [o for o in record.overrides if o not in TINY and not o.startswith(where)]
        by_overrides[" ".join(overrides)] = record
    return by_overrides


def stage_folder(results: Path, name: str) -> Path | None:
    """The folder of the one stage of that name; None before its training has begun."""
    for path in (results / "stages").glob("*/stage.json"):
        if (read_json(path) or {}).get("name") == name:
            return path.parent
    return None


def stages(results: Path) -> Counter[str]:
    """How many stages of each kind are in the store."""
    described = (results / "stages").glob("*/stage.json")
    return Counter(json.loads(path.read_text())["name"] for path in described)


def outcome(results: Path, record: Record) -> dict[str, Any]:
    """What has to be bit-identical: metrics, history, scores, and a text of all weights' bits."""
    folder = study(results).run(record.id)
    [place] = (results / "stages").glob(f"{record.training_id}-*")
    weights = load_state(place / "artefact.pt")["weights"]
    bits = {
        f"{network}.{name}": tensor.numpy().tobytes().hex()
        for network, state in weights.items()
        for name, tensor in state.items()
        if tensor.dim()
    }
    return {
        "metrics": record.metrics,
        "history": (folder / "history.csv").read_text(),
        "scores": (folder / "scores.csv").read_text(),
        "weights": bits,
    }
