"""What is known of a cluster's jobs, from the words of `squeue`; and the runs of one job.

`tests/slurm` has the same on a real Slurm.
"""

import os
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from support.bare_records import write_bare_record

from gradprom import cli
from gradprom.errors import RunError
from gradprom.launch.packs import Pack
from gradprom.runs.records import Study
from gradprom.runs.run_progress import RunProgress
from gradprom.sweeps import queue
from gradprom.sweeps.status import overview, study_status

RUNS = [letter * 12 for letter in "abcdef"]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "results", "mine")


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Have a command of Slurm print something."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def say(command: str, text: str) -> None:
        path = folder / command
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        path.chmod(0o755)

    return say


def test_each_run_is_found_in_the_task_it_was_given_to(
    study: Study, say: Callable[[str, str], None]
) -> None:
    array = queue.note(study, "lab", [RUNS[:2], RUNS[2:4]], "logs/%j")
    single = queue.note(study, "lab", [RUNS[4:]], "logs/%j")
    say("squeue", f"{array}|7_0|RUNNING|node1|None\n{array}|7_1|PENDING||Priority\n"
        f"{single}|9|COMPLETED|node2|None")  # fmt: skip
    found = queue.jobs(study)
    assert found is not None and set(found) == set(RUNS[:4])
    assert found[RUNS[1]] == queue.ClusterJob("7_0", "RUNNING", "node1", "None")
    assert found[RUNS[3]].id == "7_1" and found[RUNS[3]].reason == "Priority"
    queue.note_job(study, array, "7")
    queue.note_job(study, single, "9")
    assert queue.log_of(study, RUNS[2]) == Path("logs/7_1/7_1_0_log.out")
    assert queue.log_of(study, RUNS[5]) == Path("logs/9/9_0_log.out")
    assert queue.log_of(study, "0" * 12) is None


def test_where_runs_stand(study: Study, say: Callable[[str, str], None]) -> None:
    done, begun, taken, waiting, requeued, unknown = RUNS
    name = queue.note(study, "lab", [[done, begun], [taken], [waiting], [requeued]], "logs/%j")
    queue.note_job(study, name, "7")
    say("squeue", f"{name}|7_0|RUNNING|node1|None\n{name}|7_2|PENDING||Resources\n"
        f"{name}|7_3|PENDING||BeginTime")  # fmt: skip
    write_bare_record(study, done, "finished", job="7_0")
    write_bare_record(study, begun, "started", job="7_0")
    write_bare_record(study, taken, "started", job="7_1", host="node2")
    write_bare_record(study, requeued, "started", job="7_3")
    write_bare_record(study, unknown, "started", job=None)
    study.heartbeat(begun, RunProgress(stage="coupled", epoch=2, epochs=4, seconds_left=125.0))
    assert study_status(study).states == {
        done: "done", begun: "running", taken: "lost", requeued: "queued",
        unknown: "interrupted",
    }  # fmt: skip
    text = overview(study)
    assert "5 runs: 1 done, 1 running, 1 queued, 1 interrupted, 1 lost" in text
    assert "coupled, epoch 2 of 4  about 2 min 05 s left  job 7_0 on node1" in text
    assert "job 7_1 on node2 is gone  see logs/7_1/7_1_0_log.out" in text
    assert f"{requeued}  noise=0.1  job 7_3: BeginTime" in text


def test_where_slurm_does_not_answer_only_heartbeats_tell(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.note(study, "lab", [[RUNS[0]]], "logs")
    write_bare_record(study, RUNS[0], "started", job="7")
    monkeypatch.setenv("PATH", "")
    assert queue.jobs(study) is None
    assert study_status(study).states == {RUNS[0]: "interrupted"}
    study.heartbeat(RUNS[0], RunProgress(stage="warmup", epoch=1, epochs=2))
    assert study_status(study).states == {RUNS[0]: "running"}
    with pytest.raises(RunError, match="squeue does not answer"):
        queue.cancel(study)
    with pytest.raises(SystemExit, match="gradprom: squeue does not answer"):
        cli.main(["cancel", "study=mine", f"results={study.results}"])


def test_the_longest_array(say: Callable[[str, str], None]) -> None:
    say("scontrol", "Configuration data as of 2026\nMaxArraySize            = 1001\nA = b = c")
    assert queue.array_limit() == 1001


# The runs of one job.


def noting(folder: Path, name: str, seconds: float) -> None:
    """A run that takes some time, unless it is asked to stop."""
    from gradprom.storage import preemption

    (folder / f"{name}.begun").touch()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if preemption.requested():
            (folder / f"{name}.stopped").touch()
            preemption.raise_if_requested()
        time.sleep(0.01)
    (folder / f"{name}.ended").write_text(str(time.time()))


def dying(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def pack(study: Study, launch: Any, parameters: list[Any], at_once: int) -> Pack:
    runs = RUNS[: len(parameters)]
    return Pack(launch, parameters, runs, study, at_once, 1, on_gpu=False, grace=10)


def test_runs_side_by_side_and_one_after_another(study: Study, tmp_path: Path) -> None:
    spans = {}
    for at_once in (1, 2):
        folder = tmp_path / str(at_once)
        folder.mkdir()
        process = get_context("fork").Process(
            target=pack(study, noting, [(folder, str(n), 0.5) for n in range(4)], at_once)
        )
        began = time.monotonic()
        process.start()
        process.join(60)
        spans[at_once] = time.monotonic() - began
        assert process.exitcode == 0 and len(list(folder.glob("*.ended"))) == 4
    assert spans[1] >= 4 * 0.5 and spans[1] - spans[2] > 0.6


def test_one_that_is_killed_is_noted_and_stops_no_other(study: Study, tmp_path: Path) -> None:
    for run_id in RUNS[:2]:
        write_bare_record(study, run_id, "started")

    def launch(number: int) -> None:
        if number == 0:
            dying()
        noting(tmp_path, "other", 0)

    process = get_context("fork").Process(target=pack(study, launch, [(0,), (1,)], 1))
    process.start()
    process.join(60)
    assert process.exitcode == 0 and (tmp_path / "other.ended").exists()
    failed = study.record(RUNS[0])
    assert failed is not None and failed.status == "failed"
    assert failed.error.message == (
        "the process of the run ended with SIGKILL; it probably ran out of memory"
    )
    other = study.record(RUNS[1])
    assert other is not None and other.status == "started"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR2, 75)])
def test_a_signal_reaches_every_run_and_then_the_cluster_is_obeyed(
    study: Study, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    def job() -> None:
        # what submitit does: it requeues the job and ends
        signal.signal(signal.SIGUSR2, lambda *_: os._exit(75))
        pack(study, noting, [(tmp_path, str(n), 30.0) for n in range(3)], 2)()

    process = get_context("fork").Process(target=job)
    process.start()
    while len(list(tmp_path.glob("*.begun"))) < 2:
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(30)
    assert process.exitcode == code
    assert {path.name for path in tmp_path.glob("*.*ed")} == {"0.stopped", "1.stopped"}
