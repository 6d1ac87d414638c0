"""What both commands refuse before anything else, and the words that they read alike."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gradprom import settings
from gradprom.config import composing
from gradprom.config.composing import Composer
from gradprom.errors import ConfigError
from gradprom.sweeps.request import make_run

ROOT = Path(__file__).resolve().parents[2]


def answer(*words: str | Path, **environment: str) -> tuple[int, str]:
    """Exit code and output of a Python command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("command", [["-m", "gradprom", "status"], [ROOT / "run.py"]])
def test_python_without_assertions(command: list[str | Path]) -> None:
    code, text = answer(*command, PYTHONOPTIMIZE="1")
    assert code == 1 and text.startswith("gradprom: ") and "PYTHONOPTIMIZE" in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "gradprom.cli", "status"],
        ["-m", "gradprom.cli", "report"],
        ["-m", "gradprom.cli", "data", "describe", "dataset=phantom"],
        [ROOT / "run.py"],
        [ROOT / "run.py", "-m", "strategy=joint,frozen"],
    ],
)
def test_an_installation_without_its_clone(tmp_path: Path, words: list[str | Path]) -> None:
    """As `pip install .` makes one: the package alone, in another place."""
    code_alone = tmp_path / "site"
    shutil.copytree(ROOT / "src", code_alone, ignore=shutil.ignore_patterns("__pycache__"))
    code, text = answer(*words, PYTHONPATH=str(code_alone), PYTHONDONTWRITEBYTECODE="1")
    assert code == 1 and len(text.splitlines()) == 1, text
    assert text.startswith("gradprom: ") and "pip install -e ." in text and str(code_alone) in text


def test_the_script_of_another_clone(tmp_path: Path) -> None:
    """Two clones and one environment: neither the code nor the revision would be its own."""
    script = Path(shutil.copy(ROOT / "run.py", tmp_path))
    code, text = answer(script, "sweep.dry_run=true")
    assert code == 1 and len(text.splitlines()) == 1, text
    assert text.startswith("gradprom: ") and str(ROOT) in text
    assert f"PYTHONPATH={tmp_path / 'src'}" in text


def test_a_link_to_the_script(tmp_path: Path) -> None:
    link = tmp_path / "train.py"
    link.symlink_to(ROOT / "run.py")
    code, text = answer(link, "sweep.dry_run=true", f"results={tmp_path}")
    assert code == 0 and "1 run" in text, text


@pytest.mark.parametrize(
    "word",
    [
        "results=plain/folder",
        "results='with space/b'",
        'results="/quoted"',
        "results=${oc.env:PLACE}/c",
        "results=~/a",
        "results='~/a'",
        "results='$PLACE/d'",
        "study=s1",
        "study=007",
        "study=1_000",
        "study=true",
        "study=${dataset.name}",
        "++study=forced",
    ],
)
def test_run_and_gradprom_read_a_folder_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """`run.py` shows its reading as the folder that Hydra writes to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLACE", str(tmp_path / "place"))
    [typed] = settings.with_home([word])
    results, study = settings.results_and_study([typed])
    node = composing.compose([typed])
    assert node.hydra.run.dir.startswith(f"{tmp_path / results}/{study}/hydra/")
    # the run's records are there too
    run = make_run(*Composer(composing.compose)([typed]), [])
    assert run.study.folder == tmp_path / results / study


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("results='$NO_SUCH_PLACE/a'", "unknown environment variable"),
        ("results='~nobody-of-this-name/a'", "unknown user"),
        ("results=${nope}", "'nope' not found"),
        ("results=a,b", "results=a,b"),
        ("study=[", "no viable alternative"),
    ],
)
def test_a_folder_that_cannot_be_read(word: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.results_and_study([word])
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_the_defaults_are_those_of_the_configuration() -> None:
    assert settings.results_and_study([]) == (Path("results"), "local")
    assert settings.results_and_study(["study=mine"]) == (Path("results"), "mine")
