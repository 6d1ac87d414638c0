"""`gradprom clean`, `du` and `keep=`: what is needed stays, what is not is named first."""

import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support import tiny_runs

from gradprom import cli, entry
from gradprom.disk import clean, keeping
from gradprom.errors import RunError
from gradprom.runs.plan_note import PlannedRun, PlanNote
from gradprom.runs.record import Record
from gradprom.runs.restore import load_weights
from gradprom.storage.files import write_checked
from gradprom.storage.lease import Applicant

RUNS = ("gradprom", "joint")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that share two stages."""
    results = tmp_path_factory.mktemp("disk") / "results"
    for strategy in RUNS:
        tiny_runs.train(results, *tiny_runs.PHANTOM, f"strategy={strategy}")
    return results


@pytest.fixture
def results(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "results")


def run_of(results: Path, strategy: str) -> Record:
    [record] = [
        record
        for record in tiny_runs.local(results).records()
        if record.setting("strategy.name") == strategy
    ]
    return record


def stages(results: Path) -> set[str]:
    """Ids of the stages that are stored."""
    return {path.name.partition("-")[0] for path in (results / "stages").iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def plan(results: Path, *overrides: str) -> None:
    """Expect a run that has no record."""
    note = PlanNote(runs=[PlannedRun(id="0" * 12, label="planned", overrides=[*overrides])])
    write_checked(results / "local" / "sweeps" / "planned" / "plan.json", note.to_json())


def cleaned(results: Path, *words: str) -> None:
    cli.main(["clean", *words, "--yes", f"results={results}"])


def test_only_what_was_named_goes_and_never_a_record(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(results)
    cli.main(["clean", f"results={results}"])
    dry = capsys.readouterr().out
    assert contents(results) == before
    cleaned(results)
    said = capsys.readouterr().out
    assert said.splitlines()[:-1] == dry.splitlines()[:-1]
    after = contents(results)
    assert after.items() <= before.items()
    gone = {name.split("/")[0] for name in before.keys() - after.keys()}
    assert gone == {"stages", "cache"}
    # the sizes that were named are those of the files that are gone
    freed = sum(len(before[name]) for name in before.keys() - after.keys())
    assert f"{freed / 1e6:.1f} MB can go" in dry and f"{freed / 1e6:.1f} MB freed" in said
    study = tiny_runs.local(results)
    assert stages(results) == {record.training_id for record in study.records()}
    for record in study.records():
        assert load_weights(study, record).keys() >= {"enhancer"}


def test_what_a_planned_run_shares_stays(results: Path) -> None:
    words = (*tiny_runs.PHANTOM, "strategy=mainstream", "auxiliary=none")
    plan(results, *words)
    shared = {s.id for s in tiny_runs.make(results, *words).last_stage.lineage()} & stages(results)
    before = stages(results)
    cleaned(results)
    last = {record.training_id for record in tiny_runs.local(results).records()}
    assert len(shared) == 1 and stages(results) == shared | last < before
    assert any((results / "cache").glob("phantom-*"))


def test_what_an_unfinished_run_needs_stays(results: Path) -> None:
    record = run_of(results, "joint")
    path = results / "local" / "runs" / record.id / "record.json"
    unfinished = replace(record, status="started", stages=[], pid=0, host="elsewhere")
    write_checked(path, unfinished.to_json())
    before = stages(results)
    cleaned(results, "stages")
    assert stages(results) == before
    cleaned(results, "weights")
    assert before - stages(results) == {run_of(results, "gradprom").training_id}


def test_what_cannot_be_known_stays(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan(results, "strategy=of_a_plugin_that_is_gone")
    before = stages(results)
    cleaned(results)
    assert stages(results) == before
    assert "perhaps needed: run 000000000000 of study local: " in capsys.readouterr().out


def test_stages_of_no_run_go_unless_they_are_being_trained(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results / "stages" / "0123456789ab-01234567"
    lease = Applicant(folder).try_acquire()
    assert lease is not None
    cleaned(results, "stages")
    assert f"{folder} stays: it is being trained" in capsys.readouterr().out and folder.exists()
    lease.path.unlink()
    cleaned(results, "stages")
    assert not folder.exists()


def test_weights_go_where_they_are_named(results: Path) -> None:
    study, joint, other = tiny_runs.local(results), *(run_of(results, s) for s in RUNS[::-1])
    with pytest.raises(SystemExit, match="`gradprom clean weights strategy=joint`"):
        cleaned(results, "strategy=joint")
    cleaned(results, "weights", "strategy=joint")
    with pytest.raises(RunError, match=f"are gone: .* `gradprom rerun {joint.id}"):
        load_weights(study, joint)
    assert load_weights(study, other) and len(study.records()) == 2


def test_weights_of_another_study_stay(results: Path) -> None:
    shutil.copytree(results / "local", results / "paper")
    before = stages(results)
    cleaned(results, "weights", "study=paper")
    assert stages(results) == before


def test_what_was_set_aside(results: Path) -> None:
    cli.main(["forget", run_of(results, "joint").id, f"results={results}"])
    assert len(list((results / "set-aside").iterdir())) == 2
    cleaned(results, "set-aside")
    [left] = (results / "set-aside").iterdir()
    assert (left / "record.json").is_file()


def test_logs_go_a_day_later(results: Path) -> None:
    log = results / "local" / "hydra" / "2026-01-01_00-00-00" / "run.log"
    log.parent.mkdir(parents=True)
    log.write_text("…")
    cleaned(results, "logs")
    assert log.exists()
    for path in (log, log.parent):
        os.utime(path, (time.time() - clean.QUIET - 60,) * 2)
    cleaned(results, "logs")
    assert not log.parent.exists()


def test_snapshots_go_a_day_after_their_last_use(results: Path) -> None:
    folder = results / "snapshots" / "0123456789ab"
    (folder / "src").mkdir(parents=True)
    cleaned(results)
    assert folder.exists()
    os.utime(folder, (time.time() - clean.QUIET - 60,) * 2)
    plan(results, *tiny_runs.PHANTOM, "seed=7")
    cleaned(results)
    assert folder.exists()
    shutil.rmtree(results / "local" / "sweeps")
    cleaned(results)
    assert not folder.exists()


def test_du_adds_up(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["du", f"results={results}"])
    sizes = subprocess.run(
        ["find", str(results), "-type", "f", "-printf", "%s\n"], capture_output=True, text=True
    )
    total = sum(map(int, sizes.stdout.split()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split()[:4] == ["in", "all", f"{total / 1e6:.1f}", "MB"]
    assert any(line.startswith("study local") and "2 runs" in line for line in lines)


@pytest.mark.parametrize(("keep", "left"), [("all", 4), ("final", 2), ("best", 1), ("none", 0)])
def test_what_a_finished_sweep_keeps(results: Path, keep: str, left: int) -> None:
    study = tiny_runs.local(results)
    records = [replace(record, metrics={"psnr": 1.0}) for record in study.records()]
    records[1] = replace(records[1], metrics={"psnr": 2.0})
    before = contents(results / "local")
    keeping.keep_only(study, records, keep)
    assert len(stages(results)) == left
    assert keep != "best" or stages(results) == {records[1].training_id}
    assert contents(results / "local") == before


def test_the_command_keeps_what_it_was_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, "method=classical", "keep=none")
    assert run.id == tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, "method=classical").id
    entry.run_here([run])
    assert "\nkeep     none: " in capsys.readouterr().out
    assert not stages(tmp_path) and tiny_runs.local(tmp_path).record(run.id) is not None
