"""The command line: how fast it answers, what it shows, and what it refuses."""

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.bare_records import write_bare_record
from support.datasets import covid_ct_folder

from gradprom import cli
from gradprom.config import composing
from gradprom.runs.records import Study
from gradprom.runs.run_progress import RunProgress


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
        "runs",
        "rounding",
        "report",
        "figure",
        "enhance",
        "cancel",
        "compare",
        "export",
        "forget",
        "rerun",
        "checkout",
        "clean",
        "du",
        "merge",
        "pack",
        "work",
        "paper",
        "restore",
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
