"""The package as a newcomer gets it: what it needs, what is promised, how fast it answers."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from support import tiny_runs

from gradprom.config import composing
from gradprom.sweeps import request

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

SLOW = {"timm", "torchvision", "segmentation_models_pytorch", "torchmetrics"}
"""Packages that take seconds to import and that the demo must do without."""


def name_of(requirement: str) -> str:
    """The distribution that a requirement names, as the index spells it."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return normal(found[0])


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


# what it needs


DISTRIBUTIONS = packages_distributions()
OWN = {"gradprom", "hydra_plugins", *sys.stdlib_module_names}


def imported(paths: list[Path]) -> dict[str, list[str]]:
    """Foreign top-level packages that any line of the files imports, with the files that do."""
    found: dict[str, list[str]] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None and node.level == 0, f"{path}: relative import"
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - OWN:
                found.setdefault(name, []).append(path.name)
    return found


def undeclared(paths: list[Path], requirements: list[str]) -> dict[str, list[str]]:
    declared = {name_of(requirement) for requirement in requirements}
    return {
        name: files
        for name, files in imported(paths).items()
        if not declared & {normal(found) for found in DISTRIBUTIONS.get(name, [])}
    }


def test_every_import_is_a_declared_dependency() -> None:
    # extras that are imported where they are used, and named where they are missing
    extras = PROJECT["optional-dependencies"]
    optional = [found for name in ("torchjd", "dicom", "mni152") for found in extras[name]]
    known = [*PROJECT["dependencies"], *optional]
    missing = undeclared([*SOURCES, ROOT / "run.py"], known)
    # loggers, of which a machine may have none: their extras have their names
    for name in ("wandb", "mlflow", "trackio"):
        assert set(missing.pop(name)) == {f"{name}.py"}
        assert name in map(name_of, extras[name])
    # the licence of bm3d forbids commercial use, so it is the user's to install
    assert missing == {"bm3d": ["classical.py"]}


def test_the_test_extra_holds_what_only_tests_import() -> None:
    paths = sorted((ROOT / "tests").glob("*.py"))
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    missing = undeclared(paths, needed)
    assert set(missing) <= {path.stem for path in paths}  # what they share


def test_conda_gets_what_pip_gets() -> None:
    """environment.yml leaves every version to pyproject.toml, but for Python's own."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [item for item in environment["dependencies"] if isinstance(item, str)]
    [pip] = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    assert environment["name"] == PROJECT["name"]
    assert f"python{PROJECT['requires-python']}" in plain and "pip" in plain
    assert [name_of(item) for item in plain] == ["python", "pip"]
    [(flag, install)] = [shlex.split(item) for item in pip]
    assert flag == "-e" and re.fullmatch(r"\.\[\w+(,\w+)*\]", install)
    extras = install[2:-1].split(",")
    assert "test" in extras and set(extras) <= set(PROJECT["optional-dependencies"])


def test_the_type_checker_reads_the_oldest_python() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert f">={settings['mypy']['python_version']}" == PROJECT["requires-python"]
    assert sys.version_info >= tuple(map(int, PROJECT["requires-python"][2:].split(".")))


# what the README promises


def first_commands() -> list[str]:
    """The lines of the README's first block of shell commands."""
    blocks = re.findall(
        r"^```(?:sh|bash)\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S
    )
    return blocks[0].splitlines()


def parts(command: str) -> list[list[str]]:
    """The words of each command in a line that joins them by `&&`."""
    return [shlex.split(part) for part in command.split("&&")]


def test_the_first_command_installs_and_sweeps() -> None:
    install, sweep = parts(first_commands()[0])
    assert install == ["pip", "install", "-e", "."]
    assert sweep[:3] == ["python", "run.py", "-m"]
    overrides = OverridesParser.create().parse_overrides(sweep[3:])
    [jobs] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    runs = [tiny_runs.make(Path("results"), *job) for job in jobs]
    assert len({run.id for run in runs}) == 6
    assert {run.config.dataset.name for run in runs} == {"phantom"}
    assert {run.config.strategy.name for run in runs} == {"gradprom", "frozen", "joint"}
    assert {run.config.degradation.sigma for run in runs} == {0.05, 0.1}


def test_the_second_command_installs_the_tests_and_runs_them() -> None:
    assert len(first_commands()) == 2
    install, test = parts(first_commands()[1])
    assert install[:3] == ["pip", "install", "-e"] and test[0] == "pytest"
    assert re.findall(r"\[(\w+)\]", install[3]) == ["test"]
    assert "test" in PROJECT["optional-dependencies"]


def test_other_commands_of_the_readme_compose() -> None:
    """Every `python run.py …` in a block or in a line of text."""
    text = (ROOT / "README.md").read_text().replace("\\\n", "")
    commands = re.findall(r"(?:^|`)python run\.py ([^`\n]*?=[^`\n]*)", text, re.M)
    assert commands
    for command in commands:
        words = [w for w in shlex.split(command, comments=True) if not w.startswith("-")]
        launching = [word for word in words if word.startswith("hydra")]
        composing.compose(launching)
        words = [word for word in words if word not in launching]
        if any(word.startswith("experiment=") for word in words):
            words += [] if "seed=0" in words else ["seed=0"]
            assert request.read_request(words, request.shell_composer()).runs
            continue
        overrides = OverridesParser.create().parse_overrides(words)
        [jobs] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
        known = [job for job in jobs if "strategy=eager" not in job]  # the README's own example
        for job in known:
            tiny_runs.make(Path("results"), *job)


# how fast it answers


def imports(*command: str) -> set[str]:
    """Top-level packages that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    names = re.findall(r"^import time:.*\|\s*([\w.]+)$", done.stderr, re.M)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    "command",
    [
        ["run.py", "--cfg", "job"],
        ["run.py", "--help"],
        ["-m", "gradprom.cli", "--help"],
    ],
    ids=" ".join,
)
def test_what_must_answer_at_once_imports_nothing_heavy(command: list[str]) -> None:
    found = imports(*command)
    assert "argparse" in found  # the list is read at all
    assert not found & {"torch", "pandas", "matplotlib", "numpy", *SLOW}


def test_the_demo_does_without_slow_packages(tmp_path: Path) -> None:
    """From the plan to the picture, with both kinds of recognizer."""
    words = [*tiny_runs.PHANTOM, "auxiliary=multitask", f"results={tmp_path}"]
    found = imports("run.py", "-m", *words)
    assert {"torch", "matplotlib"} <= found and not found & SLOW
    assert list(tmp_path.glob("local/sweeps/*/picture.png"))


# what is in the repository


def repository() -> list[Path]:
    """The files that git holds, or would if all were added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no git repository: {error}")
    return [path for line in done.stdout.splitlines() if (path := ROOT / line).is_file()]


MACHINE = re.compile(r"(?<![\w.:/$}-])/(?:home|Users|root|work|mnt)/[\w.-]+")
"""A folder of somebody's machine; not the end of an address or of a relative path."""


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    found = {}
    for path in repository():
        content = path.read_bytes()
        if b"\0" not in content:
            found[path.name] = MACHINE.findall(content.decode())
    assert not {name: places for name, places in found.items() if places}
    assert MACHINE.search("see " + "/".join(["", "home", "somebody", "data"]))


def test_neither_weights_nor_results_are_in_the_repository() -> None:
    kinds = {".pt", ".pth", ".ckpt", ".safetensors", ".npy", ".npz"}
    found: list[Any] = [path for path in repository() if path.suffix in kinds]
    found += [path for path in repository() if path.is_relative_to(ROOT / "results" / "local")]
    assert not found
