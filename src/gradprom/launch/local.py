"""Several runs of a sweep at a time on this machine, each in a process of its own.

One process imports everything and forks the others. It is started anew: one forked from a process
that has looked for a GPU could not use it.
"""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import setup_globals

from gradprom.launch.processes import Pack
from gradprom.runs.records import Study
from gradprom.storage.files import writing

GRACE = 60
"""Seconds that runs are given to leave a checkpoint in after Ctrl-C."""


def run(
    launcher: Any,
    overrides: dict[str, list[str]],
    study: Study,
    at_once: int,
    first: int,
    log: Path,
) -> None:
    """Run all, `at_once` at a time; what they print goes to `log`.

    launcher: Hydra's own. overrides: those of each run, by its id. first: the number of the first
    run in its sweep. On Ctrl-C the runs leave a checkpoint.
    """
    parameters = [
        (launcher, overrides[run_id], number) for number, run_id in enumerate(overrides, first)
    ]
    pack = Pack(_launch, parameters, list(overrides), study, at_once, GRACE)
    with writing(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    # the task is a function of the main module, which only this kind of pickle takes along
    given = cloudpickle.dumps((Singleton.get_state(), pack))
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(given, log))
    process.start()
    try:
        process.join()
    finally:
        process.terminate()
        process.join()


def _launch(launcher: Any, overrides: list[str], number: int) -> None:
    [done] = launcher.launch([overrides], number)
    done.return_value  # noqa: B018  which raises what stopped the run


def _work(given: bytes, log: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it, too, and asks us to stop
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    state, pack = cloudpickle.loads(given)
    Singleton.set_state(state)
    setup_globals()
    pack()
