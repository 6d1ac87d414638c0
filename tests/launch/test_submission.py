"""Waiting for a cluster's jobs, against a queue that is written down."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bare_records import write_bare_record
from support.planned import plan

from gradprom.launch import submission
from gradprom.launch.submission import JobLost
from gradprom.sweeps import queue
from gradprom.sweeps.plan import Plan

RUNNING = queue.ClusterJob("7", "RUNNING", "node1", "None")
PENDING = queue.ClusterJob("7", "PENDING", "", "BeginTime")


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(submission, "POLL", 0.0)
    return plan(tmp_path / "results", "strategy=joint")


def answers(patch: pytest.MonkeyPatch, waiting: Plan, *jobs: queue.ClusterJob | None) -> list[int]:
    """Have the queue list one job after the other, None for no job; returns what is left."""
    run_id = waiting.jobs[0].run.id
    left = list(range(len(jobs)))
    listed: Iterator[queue.ClusterJob | None] = iter(jobs)

    def ask(study: object) -> queue.Jobs:
        left.pop(0)
        job = next(listed)
        return {} if job is None else {run_id: job}

    patch.setattr(queue, "jobs", ask)
    return left


def test_a_job_that_is_requeued_is_not_lost(waiting: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    run = waiting.jobs[0].run
    write_bare_record(run.study, run.id, "started", job="7")
    left = answers(monkeypatch, waiting, RUNNING, None, None, PENDING, RUNNING, None, None, None)
    [loss] = submission.wait(waiting)
    assert left == [] and isinstance(loss, JobLost)  # only three absences in a row are a loss


def test_a_finished_run_is_not_waited_for(waiting: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    run = waiting.jobs[0].run
    write_bare_record(run.study, run.id, "finished")
    left = answers(monkeypatch, waiting, RUNNING, None, None)
    assert submission.wait(waiting) == [None] and left == [2]
