"""Sweeps on the Slurm of the tests, and what is asked of their outcome."""

import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from support import cli_process
from support.cli_process import Child

from gradprom.runs.run_progress import RunProgress
from gradprom.sweeps import queue
from gradprom.sweeps.status import study_status

NOTING = Path(__file__).parent / "noting"
LAUNCHER = (
    "-m",
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.gpus_per_node=null",
    "hydra.launcher.cpus_per_task=1",
    "snapshot=false",  # the command of these tests is not to become another process
)
SIZES = ("trainer.log_every=10", "trainer.checkpoint_seconds=1000")
"""No checkpoint but what a signal asks for."""
LONG = (*SIZES, "trainer.coupled_epochs=160")
"""320 steps of coupled training, some ten seconds."""


def start(results: Path, *words: str) -> Child:
    """The sweep's command, not waited for."""
    setup = f"export PYTHONPATH={NOTING}:$PYTHONPATH TRAINED={results}/trained.txt"
    return cli_process.start(
        results, *LAUNCHER, f"hydra.launcher.setup=['{setup}']", *SIZES, *words
    )


def sweep(results: Path, *words: str) -> tuple[int, str]:
    """Exit code and text of the sweep's command."""
    child = start(results, *words)
    return child.wait(900), child.text


def slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def until(moment: Callable[[], Any], seconds: float = 300) -> Any:
    """What `moment` returns, once that is true."""
    end = time.monotonic() + seconds
    while not (found := moment()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)
    return found


def jobs(results: Path) -> queue.Jobs:
    found = queue.jobs(cli_process.study(results))
    assert found is not None
    return found


def state(results: Path) -> dict[str, str]:
    return study_status(cli_process.study(results)).states


def coupled(results: Path) -> set[str]:
    """The jobs whose runs are some way into coupled training."""
    study = cli_process.study(results)
    told = {run_id: study.progress(run_id) or RunProgress() for run_id in jobs(results)}
    return {
        job.id
        for run_id, job in jobs(results).items()
        if job.state == "RUNNING" and told[run_id].stage == "coupled" and told[run_id].step >= 50
    }


def at_work() -> set[int]:
    """The processes with which Slurm looks after its jobs on this machine."""
    return {
        process.pid
        for process in psutil.process_iter(["name", "status"])
        if process.info["name"] == "slurmstepd" and process.info["status"] != "zombie"
    }


_held: dict[str, float] = {}
"""When requeued jobs were first seen to wait, by their ids."""


def hurry(results: Path) -> None:
    """Slurm lets a requeued job wait for two minutes, and kills one that begins again at once."""
    held = {job.id for job in jobs(results).values() if job.reason == "BeginTime"}
    for job in set(_held) - held:
        del _held[job]
    for job in held:
        if time.monotonic() - _held.setdefault(job, time.monotonic()) > 3:
            slurm("scontrol", "update", f"jobid={job}", "starttime=now")


def finish(results: Path, child: Child) -> tuple[int, str]:
    """Exit code and text of a command, with no time lost on requeued jobs."""

    def ended() -> bool:
        hurry(results)
        return not child.alive

    until(ended, 900)
    return child.wait(), child.text


@cache
def undisturbed(root: Path, words: tuple[str, ...]) -> Path:
    """The results of the same sweep on this machine, in one process."""
    code, text = cli_process.run(root, "-m", *SIZES, *words)
    assert code == 0, text
    return root


def assert_whole(results: Path, reference: Path, *words: str) -> None:
    """Every record is there and whole, nothing finished was trained again, and every bit is as
    in a sweep that nothing disturbed."""
    ours, problems = cli_process.study(results).load()
    assert not problems and {record.status for record in ours} == {"finished"}
    assert not [*results.glob("**/.*.pt.*"), *results.glob("stages/*/checkpoint*")]
    theirs = undisturbed(reference, words)
    for record in ours:
        assert cli_process.outcome(results, record) == cli_process.outcome(theirs, record)
    assert_trained_once(results)


def assert_trained_once(results: Path) -> None:
    ended = set()
    for line in (results / "trained.txt").read_text().splitlines():
        word, stage = line.split(" ", 1)
        assert stage not in ended, f"{stage} was trained again"
        if word == "ends":
            ended.add(stage)
