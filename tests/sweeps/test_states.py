"""Whether a run counts as done, running or interrupted, and what is planned and told of it."""

import json
import os
import re
from typing import Any

import pytest
from support import cli_process, tiny_runs

from gradprom import entry
from gradprom.errors import RunError
from gradprom.runs import run as runs
from gradprom.runs.execution import execute
from gradprom.runs.run_progress import RunProgress
from gradprom.storage.files import read_checked, write_checked
from gradprom.sweeps.plan import describe, make_plan


def rewrite(run: runs.Run, **changes: Any) -> dict[str, Any]:
    """Change the record of a run."""
    path = run.study.run(run.id) / "record.json"
    record = {**json.loads(path.read_text()), **changes}
    del record["checksum"]
    write_checked(path, record)
    return record


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_records_of_other_data_do_not_count_and_are_kept_aside(run: runs.Run, status: str) -> None:
    record = execute(run)
    content = run.images().fingerprint
    other = {**record.dataset.to_json(), "fingerprint": "5 patients, then 500"}
    old = rewrite(run, dataset=other, status=status)
    assert run.study.state(run.id, {"": content}) == "other data"
    assert make_plan([run], retry_failed=False).summary() == "1 run: 0 new, 0 done, 1 other data"
    assert execute(run).metrics == record.metrics
    assert run.study.state(run.id, {"": content}) == "done"
    [aside] = (run.study.results / "set-aside").iterdir()
    assert read_checked(aside / "record.json") == old


def test_a_run_whose_process_has_ended_was_interrupted(run: runs.Run) -> None:
    execute(run)
    rewrite(run, status="started", pid=os.getpid())
    assert run.study.state(run.id) == "running"
    process = cli_process.PROCESSES.Process(target=int, daemon=True)
    process.start()
    process.join(60)
    rewrite(run, status="started", pid=process.pid)
    assert run.study.state(run.id) == "interrupted"
    # its number has gone to a younger process: the record is from before this one began
    rewrite(run, status="started", pid=os.getpid())
    os.utime(run.study.run(run.id) / "record.json", (1e9, 1e9))
    assert run.study.state(run.id) == "interrupted"
    # on another machine, only its word tells
    rewrite(run, status="started", host="elsewhere")
    assert run.study.state(run.id) == "interrupted"
    run.study.heartbeat(run.id, RunProgress())
    assert run.study.state(run.id) == "running"


def test_what_stopped_a_run_before_its_record_is_told(
    run: runs.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan([run], retry_failed=False)
    with pytest.raises(SystemExit) as exit:
        entry.run_plan(plan, False, lambda: [RunError("no such device here")])
    assert exit.value.code == 1
    assert f"stopped  {run.label}: no such device here" in capsys.readouterr().out


def test_a_launcher_that_loses_its_jobs_does_not_hide_the_others(
    run: runs.Run, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    other = tiny_runs.make(run.study.results, *tiny_runs.PHANTOM, "strategy=mainstream", "seed=1")
    plan = make_plan([run, other], retry_failed=False)

    def launch() -> list[Any]:
        execute(run)
        raise OSError("the scheduler is gone")

    with pytest.raises(SystemExit) as exit:
        entry.run_plan(plan, False, launch)
    assert exit.value.code == 1
    assert "the launcher stopped: the scheduler is gone" in caplog.text
    assert re.search(r"^ ?mainstream +\d", capsys.readouterr().out, re.MULTILINE)


def test_only_what_is_missing_is_planned(run: runs.Run) -> None:
    joint = tiny_runs.make(run.study.results, *tiny_runs.PHANTOM, "strategy=joint")
    fresh = make_plan([run, joint], retry_failed=False)
    assert sorted(name for name, _ in fresh.stages.values()) == [
        "coupled",
        "coupled",
        "recognizer.diagnosis",
        "warmup",
    ]
    execute(run)
    rest = make_plan([run, joint], retry_failed=False)
    assert sorted(name for name, _ in rest.stages.values()) == ["coupled", "recognizer.diagnosis"]
    assert [job.state for job in rest.jobs] == ["done", "new"] and len(rest.pending) == 1
    assert rest.id == fresh.id and rest.id == make_plan([joint, run], False).id
    # without its record, a run whose stages are all there is only evaluated
    (run.study.run(run.id) / "record.json").unlink()
    again = make_plan([run], retry_failed=False)
    assert not again.stages and "nothing, only evaluation: 0 steps" in describe(again)
