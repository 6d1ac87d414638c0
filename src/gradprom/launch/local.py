"""Several runs of a sweep at a time on this machine, each in a process of its own.

One process imports everything and forks the others. It is spawned rather than forked, because a
process forked from one that has initialized CUDA cannot use the GPU.
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
"""Seconds that runs have to leave a checkpoint after Ctrl-C."""


def run(
    launcher: Any,
    overrides: dict[str, list[str]],
    study: Study,
    at_once: int,
    first: int,
    log: Path,
) -> None:
    """Run a sweep's runs `at_once` at a time; on Ctrl-C each leaves a checkpoint.

    Parameters
    ----------
    launcher
        Hydra's launcher.
    overrides
        The overrides of each run, by its id.
    study
        Where the runs leave their records.
    at_once
        How many run at the same time.
    first
        The number of the first run in its sweep.
    log
        The file that receives the runs' output.
    """
    parameters = [
        (launcher, overrides[run_id], number) for number, run_id in enumerate(overrides, first)
    ]
    pack = Pack(_launch, parameters, list(overrides), study, at_once, GRACE)
    with writing(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    # the task is a function of the main module, which only cloudpickle serializes by value
    payload = cloudpickle.dumps((Singleton.get_state(), pack))
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(payload, log))
    process.start()
    try:
        process.join()
    finally:
        process.terminate()
        process.join()


def _launch(launcher: Any, overrides: list[str], number: int) -> None:
    [done] = launcher.launch([overrides], number)
    done.return_value  # noqa: B018  raises the exception that stopped the run


def _work(payload: bytes, log: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it too and terminates us
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    state, pack = cloudpickle.loads(payload)
    Singleton.set_state(state)
    setup_globals()
    pack()
