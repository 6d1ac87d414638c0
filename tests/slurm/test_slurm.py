"""What a cluster does to a sweep; after each, the bits of one that nothing disturbed."""

import os
import signal
from pathlib import Path

import pytest
from slurm import cluster_runs
from slurm.cluster_runs import (
    LONG,
    assert_whole,
    finish,
    hurry,
    jobs,
    slurm,
    start,
    state,
    sweep,
    until,
)
from support import cli_process

from gradprom import cli


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("undisturbed")


def test_a_sweep_is_one_job_array(tmp_path: Path, reference: Path) -> None:
    words = ("strategy=gradprom,frozen,joint", "noise=0.1,0.2", "seed=0,1")
    code, text = sweep(tmp_path, *words)
    assert code == 0, text
    assert "12 runs: 12 new, 0 done" in text and "submitted 12 runs as Slurm job " in text
    assert "table.md" in text
    arrays = {record.job.partition("_")[0] for record in cli_process.study(tmp_path).records()}
    assert len(arrays) == 1
    assert len({record.job for record in cli_process.study(tmp_path).records()}) == 12
    assert_whole(tmp_path, reference, *words)
    # typed again: nothing is submitted
    code, text = sweep(tmp_path, *words)
    assert code == 0 and "12 runs: 0 new, 12 done" in text and "submitted" not in text


def test_requeued_in_the_middle_of_training(tmp_path: Path, reference: Path) -> None:
    words = (*LONG, "strategy=gradprom", "seed=0,1")
    child = start(tmp_path, *words)
    taken = until(lambda: cluster_runs.coupled(tmp_path))
    slurm("scontrol", "requeue", *taken)
    code, text = finish(tmp_path, child)
    assert code == 0, text
    records = cli_process.study(tmp_path).records()
    assert {record.job for record in records if record.interruptions == 1} == taken
    assert_whole(tmp_path, reference, *words)


def test_a_run_of_two_tasks_requeued_in_the_middle_of_training(
    tmp_path: Path, reference: Path
) -> None:
    words = (*LONG, "strategy=gradprom")
    tasks = ("trainer.devices=2", "hydra.launcher.tasks_per_node=2")
    child = start(tmp_path, *words, *tasks)
    slurm("scontrol", "requeue", *until(lambda: cluster_runs.coupled(tmp_path)))
    code, text = finish(tmp_path, child)
    assert code == 0, text
    [record] = cli_process.study(tmp_path).records()
    assert record.interruptions == 1 and record.config["trainer"]["devices"] == 2
    one_device = cluster_runs.undisturbed(reference, (*words, "seed=0,1"))
    alone = cli_process.study(one_device).record(record.id)
    assert alone is not None
    assert record.metrics["psnr"] == pytest.approx(alone.metrics["psnr"], abs=0.05)


def test_a_time_limit_strikes(tmp_path: Path, reference: Path) -> None:
    words = (*LONG, "trainer.coupled_epochs=2000", "strategy=gradprom")
    limits = ("hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=5")
    code, text = finish(tmp_path, start(tmp_path, *words, *limits))
    assert code == 0, text
    [record] = cli_process.study(tmp_path).records()
    assert record.interruptions >= 1
    assert_whole(tmp_path, reference, *words)


def test_a_third_of_the_jobs_cancelled_and_the_same_command_again(
    tmp_path: Path, reference: Path
) -> None:
    # long enough that no run ends between the look at the jobs and `scancel`
    words = (*LONG, "strategy=gradprom,frozen,joint", "seed=0,1")
    child = start(tmp_path, *words)
    running_job = until(lambda: cluster_runs.coupled(tmp_path)).pop()
    waiting = next(job.id for job in jobs(tmp_path).values() if job.state == "PENDING")
    slurm("scancel", running_job, waiting)
    code, text = finish(tmp_path, child)
    assert code == 1 and text.count("stopped  ") == 2
    assert sorted(state(tmp_path).values()) == ["done"] * 4 + ["lost", "missing"]
    code, text = sweep(tmp_path, *words)
    assert code == 0, text
    assert "6 runs: 1 new, 4 done, 1 lost" in text and "submitted 2 runs" in text
    assert_whole(tmp_path, reference, *words)


def test_a_node_goes_down_and_comes_back(tmp_path: Path, reference: Path) -> None:
    words = (*LONG, "strategy=gradprom", "seed=0,1")
    before = cluster_runs.at_work()
    child = start(tmp_path, *words)
    until(lambda: cluster_runs.coupled(tmp_path))
    node = slurm("sinfo", "--noheader", "--format=%n").strip()
    slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=tested")
    assert until(lambda: {job.state for job in jobs(tmp_path).values()} == {"PENDING"})
    assert set(state(tmp_path).values()) == {"queued"}
    slurm("scontrol", "update", f"nodename={node}", "state=resume")
    # this one did not crash: the jobs' old processes have to end, or Slurm sees each job twice
    until(lambda: cluster_runs.at_work() <= before)
    code, text = finish(tmp_path, child)
    assert code == 0, text
    assert_whole(tmp_path, reference, *words)


def test_what_fails_of_itself_is_told_apart_and_comes_back_when_asked(tmp_path: Path) -> None:
    # constant, so that it diverges in the first steps
    words = ("strategy=mainstream", "trainer.schedule=constant", "trainer.lr=0.0005,1e30")
    code, text = sweep(tmp_path, *words, "slurm.runs_per_job=2")
    assert code == 1 and "NonFinite" in text
    assert sorted(state(tmp_path).values()) == ["done", "failed"]
    code, text = sweep(tmp_path, *words)
    assert code == 1 and "2 runs: 0 new, 1 done, 1 failed" in text and "submitted" not in text
    code, text = sweep(tmp_path, *words, "sweep.retry_failed=true")
    assert code == 1 and "submitted 1 run as" in text


def test_a_process_that_is_killed_is_no_work_of_the_cluster(
    tmp_path: Path, reference: Path
) -> None:
    words = (*LONG, "strategy=gradprom", "seed=0,1")
    child = start(tmp_path, *words, "slurm.runs_per_job=2")
    until(lambda: cluster_runs.coupled(tmp_path))
    first = next(
        record for record in cli_process.study(tmp_path).records() if record.status == "started"
    )
    os.kill(first.pid, signal.SIGKILL)
    code, text = finish(tmp_path, child)
    assert code == 1 and "Killed: the process of the run ended with SIGKILL" in text
    assert sorted(state(tmp_path).values()) == ["done", "failed"]  # the other one went on
    code, text = sweep(tmp_path, *words, "sweep.retry_failed=true")
    assert code == 0, text
    assert_whole(tmp_path, reference, *words)


def test_two_sweeps_that_overlap_at_the_same_time(tmp_path: Path, reference: Path) -> None:
    words = ("strategy=gradprom,frozen,joint", "noise=0.1,0.2", "seed=0,1")
    one = start(tmp_path, "strategy=gradprom,frozen", "noise=0.1,0.2")
    other = start(tmp_path, "strategy=frozen,joint", "noise=0.1,0.2")
    for child in (one, other):
        code, text = finish(tmp_path, child)
        assert code == 0, text
        assert "4 runs" in text and "table.md" in text
    submitted = [int(n) for c in (one, other) for n in running_counts(c.text)]
    assert sum(submitted) == 6, "runs that both want are submitted once"
    assert_whole(tmp_path, reference, *words)


def running_counts(text: str) -> list[str]:
    return [line.split()[1] for line in text.splitlines() if line.startswith("submitted ")]


def test_submit_and_leave(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # long enough that runs still go on when the second command has looked at them
    words = ("strategy=gradprom,frozen", "noise=0.1,0.2", "seed=0,1", "trainer.coupled_epochs=300")
    packed = ("slurm.wait=false", "slurm.runs_per_job=4", "runs_per_device=2")
    code, text = sweep(tmp_path, *words, *packed)
    assert code == 0 and "submitted 8 runs" in text and "The jobs stay with Slurm" in text
    assert len({job.id for job in jobs(tmp_path).values()}) == 2
    again, told = sweep(tmp_path, *words, *packed)
    assert again == 0 and "submitted" not in told
    until(lambda: "running" in state(tmp_path).values())
    cli.main(["status", f"results={tmp_path}"])
    shown = capsys.readouterr().out
    assert "8 runs: " in shown and " queued" in shown and "  job " in shown
    cli.main(["status", "--watch", f"results={tmp_path}"])
    assert "8 runs: 8 done" in capsys.readouterr().out
    assert_whole(tmp_path, reference, *words)


def test_trials_of_a_tuning_are_jobs(tmp_path: Path) -> None:
    words = ("tune=lambda", "tune.trials=3", "tune.at_once=3", "tune.startup=1")
    code, text = sweep(tmp_path, *words, "strategy=gradprom")
    assert code == 0, text
    assert "submitted 3 runs as Slurm job" in text and "best     trial " in text


def test_what_waits_is_taken_back_and_arrays_are_no_longer_than_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = ",".join(map(str, range(14)))
    later = "+hydra.launcher.additional_parameters.begin='now+1hour'"
    code, text = sweep(tmp_path, "strategy=gradprom", f"seed={seeds}", "slurm.wait=false", later)
    assert code == 0 and "submitted 12 runs" in text and "submitted 2 runs" in text
    assert set(state(tmp_path).values()) == {"queued"}
    cli.main(["cancel", f"results={tmp_path}"])
    assert capsys.readouterr().out == "14 queued runs cancelled\n"
    until(lambda: not jobs(tmp_path))
    assert set(state(tmp_path).values()) == {"missing"}
    hurry(tmp_path)  # nothing is left to be hurried


def test_what_slurm_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    code, text = sweep(tmp_path, "strategy=gradprom", "hydra.launcher.partition=nosuch")
    assert code == 1 and "Slurm" in text and "partition" in text
    assert "invalid partition specified: nosuch" in text and "Traceback" not in text
