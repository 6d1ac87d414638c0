"""Plans of sweeps: what is shared, what is there already, what is kept for a report."""

import json
from pathlib import Path

import pytest
from support.planned import finish, plan, put

from gradprom.sweeps.plan import describe


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_a_plan_counts_what_is_shared_once(results: Path) -> None:
    """16 images in batches of 8, one epoch a stage: 2 steps each."""
    made = plan(results, "strategy=joint", "strategy=frozen", "strategy=mainstream")
    assert made.summary() == "3 runs: 3 new, 0 done"
    assert sorted(made.stages.values()) == [
        ("coupled", 2),
        ("coupled", 2),
        ("coupled", 2),
        ("recognizer.diagnosis", 2),
        ("warmup", 2),
    ]
    lines = describe(made).splitlines()
    assert lines[0] == made.summary()
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines[1:-1]}
    assert told["dataset"] == "phantom, 32×32"
    assert told["enhancer"].startswith("unet (channels 4, blocks 1")
    both = "warm-up 1, coupled 1, batches of 8"
    assert told["epochs"].split("; ") == [f"recognizer 1, {both}", both]  # mainstream has none
    assert lines[-1].startswith("  to train   ")
    for part in ("3 × coupled", "1 × warmup", "1 × recognizer.diagnosis", "10 steps"):
        assert part in lines[-1]
    # alone: 6 + 6 + 4 steps
    assert lines[-1].endswith("(38% fewer than each run alone), 5 epochs instead of 8")
    assert not results.joinpath("local").exists()


def test_equal_runs_are_one_job(results: Path) -> None:
    commands = ["strategy=mainstream auxiliary=none", "strategy=mainstream", "noise=1e-1", ""]
    assert plan(results, *commands).summary() == "2 runs: 2 new, 0 done"
    assert plan(results, "").summary() == "1 run: 1 new, 0 done"


def test_a_plan_knows_what_is_there(results: Path) -> None:
    commands = ["strategy=joint", "strategy=frozen", "strategy=gradprom"]
    first = plan(results, *commands)
    finish(first.jobs[0], seconds=0.1)
    finish(first.jobs[1], seconds=0.1, status="failed")
    again = plan(results, *commands)
    assert again.summary() == "3 runs: 1 new, 1 done, 1 failed"
    assert [job.run.label for job in again.pending] == [first.jobs[2].run.label]
    retried = plan(results, *commands, retry_failed=True)
    assert len(retried.pending) == 2
    assert first.id == again.id == plan(results, *reversed(commands)).id
    assert first.id != plan(results, *commands[:2]).id


def test_a_record_of_other_data_is_no_done_run(results: Path) -> None:
    finish(plan(results, "").jobs[0], 0.1, dataset={"fingerprint": "of other images"})
    assert plan(results, "").summary() == "1 run: 0 new, 0 done, 1 other data"
    assert len(plan(results, "").pending) == 1


def test_stages_in_the_store_are_not_planned_again(results: Path) -> None:
    [job] = plan(results, "").jobs
    *parents, last = job.run.method.stage().lineage()
    put(job, next(stage for stage in parents if stage.name == "warmup"))
    names = sorted(name for name, _ in plan(results, "").stages.values())
    assert names == ["coupled", "recognizer.diagnosis"]
    # the last stage is there: its ancestors are not needed, and only evaluation is left
    put(job, last)
    made = plan(results, "")
    assert made.stages == {} and len(made.pending) == 1
    assert describe(made).endswith(
        "nothing, only evaluation: 0 steps (100% fewer than each run alone), 0 epochs instead of 3"
    )


def test_the_plan_is_kept_for_status(results: Path) -> None:
    made = plan(results, "strategy=joint", "strategy=frozen")
    made.keep()
    kept = json.loads((made.folder / "plan.json").read_text())
    assert [(run["id"], run["label"]) for run in kept["runs"]] == [
        (job.run.id, job.run.label) for job in made.jobs
    ]
    assert [run["overrides"][-1] for run in kept["runs"]] == ["strategy=joint", "strategy=frozen"]
