"""Relative folders mean the same wherever a job's working directory is."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from support import cli_process

from gradprom.config import composing
from gradprom.config.composing import Composer
from gradprom.config.places import absolute, expanded
from gradprom.errors import ConfigError
from gradprom.runs.records import Study
from gradprom.sweeps.request import make_run

RUN = Path(__file__).resolve().parents[2] / "run.py"


def test_the_forms_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere/me")
    monkeypatch.setenv("PLACE", "/scratch/me")
    monkeypatch.delenv("NO_PLACE", raising=False)
    assert absolute("a/b") == str(tmp_path / "a" / "b")
    assert absolute("/a/b") == "/a/b"
    assert absolute("~/a") == "/somewhere/me/a" and expanded("$PLACE/x") == "/scratch/me/x"
    assert absolute("${PLACE}") == "/scratch/me"
    # a dollar within a name is a letter
    assert expanded("cost$NO_PLACE") == "cost$NO_PLACE"
    for wrong in ("$NO_PLACE/a", "${NO_PLACE}", "~nobody-of-this-name"):
        with pytest.raises(ConfigError, match="unknown"):
            expanded(wrong)


def test_the_folders_of_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere/me")
    words = ["dataset=folder", "data_root=mine", "dataset.title=x", "auxiliary=segmentation"]
    words += ["dataset.masks='~/masks'", "dataset.mask_classes=[a,b]"]
    words += ["evaluate_on=[{name: isic2018, root: other}]"]
    options = make_run(*Composer(composing.compose)(words), []).config
    assert options.dataset.root == str(tmp_path / "mine")  # type: ignore[attr-defined]
    assert options.dataset.masks == "/somewhere/me/masks"  # type: ignore[attr-defined]
    [other] = options.evaluate_on
    assert other.root == str(tmp_path / "other")  # type: ignore[attr-defined]
    relative = make_run(*Composer(composing.compose)([*words, "dataset.masks=masks"]), [])
    assert relative.config.dataset.masks == "masks"  # type: ignore[attr-defined]


def _typed(folder: Path, words: tuple[str, ...], output: Path) -> None:
    os.chdir(folder)
    stream = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    sys.argv = ["run.py", *words]
    runpy.run_path(str(RUN), run_name="__main__")


@pytest.mark.parametrize("way", [(), ("-m",)])
def test_hydra_may_move_the_working_directory(tmp_path: Path, way: tuple[str, ...]) -> None:
    """All is in the one folder, and the same command finds it done."""
    place, output = tmp_path / "place", tmp_path / "output.txt"
    place.mkdir()
    short = ("auxiliary.epochs=1", "trainer.warmup_epochs=1", "trainer.coupled_epochs=1")
    words = (*way, *cli_process.TINY, *short, "hydra.job.chdir=true", "results=mine/results")
    for _ in range(2):
        process = cli_process.PROCESSES.Process(target=_typed, args=(place, words, output))
        process.start()
        process.join(120)
        assert process.exitcode == 0, output.read_text("utf-8")
    assert "1 run: 0 new, 1 done" in output.read_text("utf-8")
    [record] = Study(place / "mine" / "results", "local").records()
    assert record.finished
    assert [path.name for path in place.iterdir()] == ["mine"]
    assert not list(place.glob("mine/**/mine"))


@pytest.mark.parametrize("command", ["run", "sweep", "report"])
def test_an_empty_folder_for_results_is_refused(command: str, tmp_path: Path) -> None:
    """As `results=$SCRATCH` leaves it where the variable is not set."""
    words = {
        "run": ["run.py"],
        "sweep": ["run.py", "-m"],
        "report": ["-m", "gradprom.cli", "report"],
    }
    ended = subprocess.run(
        [sys.executable, *(str(RUN) if w == "run.py" else w for w in words[command]), "results="],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ended.returncode != 0 and not list(tmp_path.iterdir())
    assert "results= is empty, as where a variable is not set" in ended.stderr
    assert "Traceback" not in ended.stderr
