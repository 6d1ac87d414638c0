"""The command line: how fast, what it shows, what it refuses, and what it moves."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import tiny_runs
from support.bare_records import write_bare_record
from support.datasets import covid_ct_folder

from gradprom import cli
from gradprom.config import composing
from gradprom.runs import run as run_module
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.runs.run_progress import RunProgress
from gradprom.storage.files import load_state, read_json, write_checked
from gradprom.storage.lease import Applicant


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`gradprom` as a person starts it."""
    command = [sys.executable, "-m", "gradprom.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


# at once


@pytest.mark.parametrize("words", [["--help"], ["status", "results=nowhere"]])
def test_answers_at_once(words: list[str]) -> None:
    code = f"""
import sys
from gradprom import cli, sweeps
try:
    cli.main({words!r})
except SystemExit:
    pass
heavy = {{"torch", "pandas", "hydra", "matplotlib", "numpy"}} & set(sys.modules)
assert not heavy, heavy
"""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    after = os.times()
    # processor time: others may be at work on the machine
    used = after.children_user - before.children_user + after.children_system
    assert used - before.children_system < 1.5


def test_every_command_has_help() -> None:
    commands = re.findall(r"^    (\w+)  ", run("--help").stdout, re.M)
    assert set(commands) == {
        "data",
        "status",
        "report",
        "figure",
        "enhance",
        "cancel",
        "compare",
        "export",
        "forget",
        "rerun",
    }
    for command in commands:
        with pytest.raises(SystemExit) as caught:
            cli.main([command, "--help"])
        assert caught.value.code == 0


@pytest.mark.parametrize("words", [[], ["nosuch"], ["status", "studdy=x"], ["compare", "one"]])
def test_words_that_are_not_understood(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2


# data check


def test_data_check_of_the_embedded_dataset(tmp_path: Path) -> None:
    done = run("data", "check", "dataset.train=12", "dataset.test=6", f"results={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "train: 12 images" in done.stdout and done.stdout.endswith("no problems\n")
    sheet = tmp_path / "data" / "phantom.png"
    assert f"sample sheet: {sheet}\n" in done.stdout and sheet.is_file()


def test_data_check_exits_with_1_on_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "check", "dataset=covid_ct", f"data_root={tmp_path}", f"results={tmp_path}"]
    root = covid_ct_folder(tmp_path)
    cli.main([*words, "dataset.split=official"])
    assert "all: 20 images (non-COVID 11, COVID 9)" in capsys.readouterr().out
    for name in ("0.jpg", "15.png"):
        (root / "Images-processed" / "CT_NonCOVID" / name).write_bytes(b"broken")
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 1
    told = capsys.readouterr().out
    assert "0.jpg: not an image" in told and "15.png: not an image" in told


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("dataset=nosuch", "Could not find 'dataset/nosuch'"),
        ("nosuch=1", "Could not override 'nosuch'"),
        ("dataset.size=13", "dataset=phantom: phantom: size=13, allowed: multiples of 8"),
    ],
)
def test_a_wrong_configuration_is_told_without_a_traceback(override: str, sentence: str) -> None:
    done = run("data", "check", override)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"gradprom: {sentence}") or sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_clone_there_is_no_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composing, "CONF", tmp_path / "conf")
    with pytest.raises(SystemExit, match="^gradprom: .*conf does not exist: install from a clone"):
        cli.main(["data", "check"])


# status


def test_status_counts_and_says_where_things_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study(tmp_path, "mine")
    progress = RunProgress(stage="warmup", epoch=2, epochs=5)
    error = {"type": "NonFinite", "message": "a loss", "where": "engine.py:9 in train"}
    write_bare_record(study, "aaaaaaaaaaaa", "finished")
    write_bare_record(study, "bbbbbbbbbbbb", "started", host=socket.gethostname(), pid=os.getpid())
    study.heartbeat("bbbbbbbbbbbb", replace(progress, stage="coupled"))
    write_bare_record(
        study, "cccccccccccc", "started", host=socket.gethostname(), pid=dead_process()
    )
    study.heartbeat("cccccccccccc", progress)
    write_bare_record(study, "dddddddddddd", "failed", error=error, overrides=[])
    plan = {
        "runs": [
            {"id": "eeeeeeeeeeee", "label": "seed=3"},
            {"id": "aaaaaaaaaaaa", "label": "seed=1"},
            {"id": "bbbbbbbbbbbb", "label": "seed=2"},
        ]
    }
    path = study.folder / "sweeps" / "0123456789ab" / "plan.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(plan))

    cli.main(["status", "study=mine", f"results={tmp_path}"])
    assert capsys.readouterr().out.splitlines() == [
        "study mine: 5 runs: 1 done, 1 running, 1 interrupted, 1 failed, 1 missing",
        "  running     bbbbbbbbbbbb  seed=2  coupled, epoch 2 of 5",
        "  interrupted cccccccccccc  noise=0.1  warmup, epoch 2 of 5",
        "  failed      dddddddddddd  defaults",
        "              NonFinite: a loss (engine.py:9 in train)",
        "  missing     eeeeeeeeeeee  seed=3",
    ]


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_status_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["status", f"results={tmp_path}"])
    assert capsys.readouterr().out == f"study local: no runs in {tmp_path / 'local'}\n"


# report


def test_report_of_nothing_is_one_sentence(tmp_path: Path) -> None:
    done = run("report", "study=mine", "results=.", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "gradprom: study mine has no records in mine/runs\n"


# forget and rerun


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
    assert {run.config.dataset.root for run in runs.values()} == {"here", "there"}
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
