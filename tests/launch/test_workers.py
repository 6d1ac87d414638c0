"""Runs in workers: with the bits of runs alone, and a crash takes one run with it."""

import ctypes
import faulthandler
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import cli_process
from support.bare_records import write_bare_record

from gradprom import entry
from gradprom.errors import NotWritable, RunError
from gradprom.launch.processes import Pool
from gradprom.launch.submission import Packing
from gradprom.runs.records import Study
from gradprom.sweeps.request import shell_composer
from gradprom.training import engine

WORDS = ("strategy=gradprom,joint", "noise=0.1")
LONG = ("trainer.coupled_epochs=12",)


def until(moment: Callable[[], Any], child: cli_process.Child) -> Any:
    """What `moment` returns, once that is true."""
    end = time.monotonic() + 120
    while not (found := moment()):
        assert child.alive and time.monotonic() < end, child.text
        time.sleep(0.01)
    return found


def started(results: Path) -> Any:
    """The record of the run that has left its second checkpoint."""
    records = cli_process.study(results).records()
    return cli_process.saved(results) > 1 and next(
        (record for record in records if record.status == "started"), None
    )


def test_a_run_after_another_has_the_bits_of_one_alone(tmp_path: Path) -> None:
    swept = tmp_path / "swept"
    code, text = cli_process.run(swept, "-m", *WORDS, "auxiliary=multitask")
    assert code == 0, text
    assert "on         the CPU, 1 run at a time" in text
    assert len({record.pid for record in cli_process.records(swept).values()}) == 1
    for strategy in ("gradprom", "joint"):
        alone = tmp_path / strategy
        words = (f"strategy={strategy}", "noise=0.1", "auxiliary=multitask")
        code, text = cli_process.run(alone, *words)
        assert code == 0, text
        [ours] = [r for words, r in cli_process.records(swept).items() if strategy in words]
        [other] = cli_process.records(alone).values()
        assert ours.id == other.id
        assert cli_process.outcome(swept, ours) == cli_process.outcome(alone, other)


def test_a_run_that_is_killed_takes_nothing_with_it(tmp_path: Path) -> None:
    child = cli_process.start(tmp_path, "-m", *WORDS, *LONG, pause=0.02)
    os.kill(until(lambda: started(tmp_path), child).pid, signal.SIGKILL)
    assert child.wait() == 1
    assert "Killed: the process of the run ended with SIGKILL" in child.text
    assert "Traceback" not in child.text
    records = list(cli_process.records(tmp_path).values())
    assert sorted(record.status for record in records) == ["failed", "finished"]
    assert len({record.pid for record in records}) == 2

    code, text = cli_process.run(tmp_path, "-m", *WORDS, *LONG, "sweep.retry_failed=true")
    assert code == 0 and "1 done, 1 failed" in text, text
    alone = tmp_path / "alone"
    assert cli_process.run(alone, "-m", *WORDS, *LONG)[0] == 0
    for record in cli_process.study(alone).records():
        retried = cli_process.study(tmp_path).record(record.id)
        assert retried is not None
        ours = cli_process.outcome(tmp_path, retried)
        assert ours == cli_process.outcome(alone, record)


def test_one_run_alone_can_be_asked_to_stop(tmp_path: Path) -> None:
    child = cli_process.start(tmp_path, "-m", *WORDS, *LONG, pause=0.02)
    stopped = until(lambda: started(tmp_path), child)
    os.kill(stopped.pid, signal.SIGTERM)
    assert child.wait() == 1
    assert "was killed after it had started; run the same command again" in child.text
    study = cli_process.study(tmp_path)
    assert study.state(stopped.id) == "interrupted"
    assert sorted(record.status for record in study.records()) == ["finished", "started"]


def test_a_command_whose_workers_are_all_killed_says_so(tmp_path: Path) -> None:
    child = cli_process.start(tmp_path, "-m", *WORDS, *LONG, pause=0.02)
    until(lambda: started(tmp_path), child)
    for process in psutil.Process(child.process.pid).children(recursive=True):
        process.kill()
    assert child.wait() == 1
    assert child.text.count("; run the same command again") == 2 and "Traceback" not in child.text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_runs_end_with_their_command(tmp_path: Path, number: signal.Signals) -> None:
    child = cli_process.start(tmp_path, "-m", *WORDS, *LONG, pause=0.02)
    record = until(lambda: started(tmp_path), child)
    child.send(number)
    assert child.wait() == -number
    end = time.monotonic() + 60
    while psutil.pid_exists(record.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert cli_process.study(tmp_path).state(record.id) == "interrupted"
    assert list(tmp_path.glob("stages/*/checkpoint.pt"))


def pretended(results: Path) -> None:
    """A sweep on a machine with two GPUs, whose runs note what they see."""
    os.dup2(os.open(results / "output.txt", os.O_WRONLY | os.O_CREAT), 1)
    train = engine.train

    def noted(*arguments: Any) -> Any:
        with (results / "seen.txt").open("a") as file:
            file.write(os.environ["CUDA_VISIBLE_DEVICES"] + "\n")
        return train(*arguments)

    engine.train = noted
    Packing.gpus = lambda self: ["GPU-a", "MIG-b"]  # type: ignore[method-assign]
    words = ("strategy=mainstream", "seed=0,1,2,3", f"results={results}")
    sys.argv = ["run.py", "-m", *cli_process.TINY, *words]
    runpy.run_path(str(cli_process.ROOT / "run.py"), run_name="__main__")


def test_a_sweep_is_spread_over_the_gpus(tmp_path: Path) -> None:
    process = cli_process.PROCESSES.Process(target=pretended, args=(tmp_path,))
    process.start()
    process.join(120)
    text = (tmp_path / "output.txt").read_text()
    assert process.exitcode == 0 and "  on         2 GPUs, 2 runs at a time\n" in text, text
    seen = (tmp_path / "seen.txt").read_text().split()
    assert len(seen) == 8 and set(seen) == {"GPU-a", "MIG-b"}
    assert len({record.pid for record in cli_process.records(tmp_path).values()}) == 2


# The pool, with runs that are functions.

RUNS = [letter * 12 for letter in "abcdef"]


def test_a_crash_takes_one_run_with_it(tmp_path: Path) -> None:
    study = Study(tmp_path / "results", "mine")
    for run_id in RUNS:
        write_bare_record(study, run_id, "started")
    crashes: list[Callable[[], Any]] = [
        lambda: ctypes.string_at(0),
        lambda: os._exit(3),
        lambda: None,
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        lambda: sys.exit("enough"),
    ]

    def launch(number: int) -> None:
        faulthandler.disable()  # pytest's
        (tmp_path / str(number)).write_text(str(os.getpid()))
        crashes[number]()

    pool = Pool(launch, [""])
    outcomes = pool.run(dict(zip(RUNS, range(5), strict=False)), study)
    pool.close()
    assert len({(tmp_path / str(number)).read_text() for number in range(5)}) == 4
    assert outcomes.keys() == {RUNS[2], RUNS[4]} and outcomes[RUNS[2]] is None
    assert str(outcomes[RUNS[4]]) == "SystemExit: enough"
    found = {run_id: study.record(run_id) for run_id in RUNS[:5]}
    errors = {id: record.error.message for id, record in found.items() if record.error}
    assert errors == {
        RUNS[0]: "the process of the run ended with SIGSEGV",
        RUNS[1]: "the process of the run ended with exit code 3",
        RUNS[3]: "the process of the run ended with SIGKILL; it probably ran out of memory",
    }


@pytest.mark.parametrize(("stops", "begun"), [(True, 2), (False, 4)])
def test_no_run_begins_after_the_first_failure(tmp_path: Path, stops: bool, begun: int) -> None:
    def launch(number: int) -> None:
        (tmp_path / str(number)).touch()
        if number == 1:
            raise RunError("wrong")

    pool = Pool(launch, [""])
    arguments = dict(zip(RUNS, range(4), strict=False))
    outcomes = pool.run(arguments, Study(tmp_path / "results", "mine"), stops)
    # the failure is forgotten when the pool is given further runs
    again = pool.run({RUNS[0]: 0}, Study(tmp_path / "results", "mine"), stops)
    pool.close()
    assert list(outcomes) == RUNS[:begun] and again == {RUNS[0]: None}
    assert [path.name for path in sorted(tmp_path.iterdir())] == [str(n) for n in range(begun)]


def test_a_sweep_stops_at_its_first_failure(tmp_path: Path) -> None:
    words = ("-m", "strategy=mainstream", "auxiliary=none", "trainer.lr=1e30,0.001")
    code, text = cli_process.run(tmp_path, *words, "sweep.stop_at_first_failure=true")
    assert code == 1 and text.count("did not start; ") == 1, text
    assert [record.status for record in cli_process.study(tmp_path).records()] == ["failed"]


def test_another_launcher_cannot_stop_at_the_first_failure(tmp_path: Path) -> None:
    words = ["method=classical", *cli_process.TINY, f"results={tmp_path}"]
    with pytest.raises(SystemExit, match="is for sweeps on this machine"):
        entry._sweep([*words, "sweep.stop_at_first_failure=true"], shell_composer(), object())


def test_errors_come_back_as_they_were_and_their_workers_leave(tmp_path: Path) -> None:
    class Own(Exception):
        """Another process could not read it."""

    errors = [NotWritable("full"), OSError(28, "No space", "/file"), Own("mine"), RunError("wrong")]

    def launch(number: int) -> None:
        (tmp_path / str(number)).write_text(str(os.getpid()))
        raise errors[number]

    pool = Pool(launch, [""])
    arguments = dict(zip(RUNS, range(4), strict=False))
    outcomes = list(pool.run(arguments, Study(tmp_path / "results", "mine")).values())
    pool.close()
    assert list(map(repr, outcomes)) == [
        "NotWritable('full')",
        "OSError(28, 'No space')",
        "RunError('Own: mine')",
        "RunError('wrong')",
    ]
    assert isinstance(outcomes[1], OSError) and outcomes[1].filename == "/file"
    assert len({(tmp_path / str(number)).read_text() for number in range(4)}) == 4
