"""`gradprom forget` and `rerun` move runs aside, lose nothing, and repeat a run bit for bit."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import tiny_runs
from support.datasets import covid_ct_folder

from gradprom import cli
from gradprom.runs import run as run_module
from gradprom.runs.plan_note import PlannedRun, PlanNote
from gradprom.runs.record import Record
from gradprom.runs.run_progress import RunProgress
from gradprom.storage.files import load_state, read_json, write_checked
from gradprom.storage.lease import Applicant
from gradprom.sweeps.status import overview, study_status


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One finished run of three stages."""
    results = tmp_path_factory.mktemp("cli") / "results"
    tiny_runs.train(results, *tiny_runs.PHANTOM)
    return results


@pytest.fixture
def results(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "results")


def only_record(results: Path) -> Record:
    (record,) = tiny_runs.local(results).records()
    return record


def everything(folder: Path) -> list[bytes]:
    """The contents of all files below a folder, whatever their names."""
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("lease")]
    return sorted(path.read_bytes() for path in files)


@pytest.mark.parametrize(("words", "stages"), [([], 1), (["--stages"], 3)])
def test_forget_moves_and_deletes_nothing(
    results: Path, words: list[str], stages: int, capsys: pytest.CaptureFixture[str]
) -> None:
    record, before = only_record(results), everything(results)
    cli.main(["forget", record.id[:6], *words, f"results={results}"])
    assert tiny_runs.local(results).records() == []
    assert len(list((results / "stages").iterdir())) == 3 - stages
    aside = list((results / "set-aside").iterdir())
    assert len(aside) == stages + 1
    assert everything(results) == before
    told = capsys.readouterr().out
    assert all(str(path) in told for path in aside)


@pytest.mark.parametrize("words", [[], ["--stages"]])
def test_rerun_gives_bit_for_bit_the_same(
    results: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = only_record(results)
    (weights,) = (results / "stages").glob(f"{record.training_id}-*/artefact.pt")
    before, history = load_state(weights)["weights"], history_of(results, record)
    cli.main(["rerun", record.id, *words, f"results={results}"])
    told = capsys.readouterr().out
    assert "1 run: 1 new, 0 done" in told and "PSNR" in told
    again = only_record(results)
    assert again.id == record.id and again.duration != record.duration
    assert again.metrics == record.metrics
    assert history_of(results, again) == history
    after = load_state(weights)["weights"]
    assert before.keys() == after.keys()
    for name, state in before.items():
        assert all(torch.equal(value, after[name][key]) for key, value in state.items())


def history_of(results: Path, record: Record) -> str:
    return (results / "local" / "runs" / record.id / "history.csv").read_text()


def test_a_failed_run_is_forgotten_with_all_its_stages(results: Path) -> None:
    record = only_record(results)
    path = results / "local" / "runs" / record.id / "record.json"
    write_checked(path, replace(record, status="failed", stages=[]).to_json())
    cli.main(["forget", record.id, "--stages", f"results={results}"])
    assert not list((results / "stages").iterdir())


def refused(results: Path, words: list[str], sentence: str) -> None:
    """Nothing is moved."""
    before = everything(results)
    with pytest.raises(SystemExit, match=sentence):
        cli.main([*words, f"results={results}"])
    assert not (results / "set-aside").exists() and everything(results) == before


@pytest.mark.parametrize("command", ["forget", "rerun"])
def test_what_is_at_work_is_not_moved(results: Path, command: str) -> None:
    record = only_record(results)
    refused(results, [command, "nosuch"], "gradprom: study local has no run nosuch")
    refused(results, [command, record.id, "nosuch"], "gradprom: study local has no run nosuch")
    (stage,) = (results / "stages").glob(f"{record.training_id}-*")
    lease = Applicant(stage).try_acquire()
    assert lease is not None
    refused(results, [command, record.id], f"stage {stage.name} is being trained")
    lease.path.unlink()
    path = results / "local" / "runs" / record.id / "record.json"
    write_checked(path, replace(record, status="started", pid=os.getpid()).to_json())
    refused(results, [command, record.id], f"run {record.id} is running")


def test_rerun_moves_nothing_when_the_data_are_gone(tmp_path: Path) -> None:
    covid_ct_folder(tmp_path / "data")
    record = tiny_runs.train(
        tmp_path / "results",
        *tiny_runs.SMALL,
        "dataset=covid_ct",
        f"data_root={tmp_path / 'data'}",
    )
    shutil.rmtree(tmp_path / "data")
    run_module._images.cache_clear()  # a new process would find nothing in memory either
    refused(tmp_path / "results", ["rerun", record.id], "gradprom: COVID-CT was not found")


def test_a_run_is_the_same_wherever_its_data_are(tmp_path: Path) -> None:
    runs = {
        place: tiny_runs.make(tmp_path / place, "dataset=covid_ct", f"data_root={place}")
        for place in ("here", "there")
    }
    roots = {Path(run.config.dataset.root) for run in runs.values()}
    assert roots == {Path("here").absolute(), Path("there").absolute()}
    assert len({run.id for run in runs.values()}) == 1


def test_files_for_others_can_be_read_by_them(results: Path) -> None:
    mask = os.umask(0o022)
    try:
        study = tiny_runs.local(results)
        study.heartbeat("x", RunProgress())
        path = study.run("x") / "progress.json"
        assert read_json(path) is not None
        assert path.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(mask)


def test_a_run_that_was_forgotten_is_expected_no_longer(results: Path) -> None:
    study, record = tiny_runs.local(results), only_record(results)
    runs = [PlannedRun(id=record.id, label="defaults"), PlannedRun(id="0" * 12, label="seed=1")]
    note = PlanNote(runs=runs, tables={"Table": [record.id, "0" * 12]}, asked=["noise=0.1"])
    write_checked(study.folder / "sweeps" / "a" / "plan.json", note.to_json())
    cli.main(["forget", record.id, f"results={results}"])
    assert study_status(study).states == {"0" * 12: "missing"}
    [left] = study.plans()
    assert left.tables == {"Table": ["0" * 12]} and left.asked == ["noise=0.1"]
    assert "defaults" not in overview(study)
