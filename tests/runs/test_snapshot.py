"""`snapshot=`: a sweep runs the code that it was submitted with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.repository import commit_all, git, project_copy

from gradprom import frozen
from gradprom.errors import ConfigError
from gradprom.runs import code, snapshot
from gradprom.runs.record import Revision
from gradprom.runs.records import Study

SMALL = ("dataset.train=8", "dataset.test=8", "dataset.size=32", "trainer.device=cpu")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "a.py").write_text("1\n")
    (folder / "run.py").write_text("2\n")
    (folder / ".gitignore").write_text("*.pyc\n")
    commit_all(folder)
    (folder / "src" / "new é.py").write_text("3\n")
    (folder / "src" / "a.pyc").write_text("compiled\n")
    (folder / "notes.txt").write_text("no code\n")
    return folder


def made(tree: Path, results: Path) -> Path:
    changed = code.changes(tree)
    revision = Revision(revision=git(tree, "rev-parse", "HEAD"), dirty=True, diff=changed.id)
    return snapshot.create(results, tree, revision, "", changed.diff)


def test_one_for_each_content(tree: Path, tmp_path: Path) -> None:
    first = made(tree, tmp_path)
    files = {str(p.relative_to(first)) for p in first.rglob("*") if p.is_file()}
    assert files == {"src/a.py", "src/new é.py", "run.py", "snapshot.json", "changes.diff"}
    os.utime(first, (0, 0))
    assert made(tree, tmp_path) == first and first.stat().st_mtime > 1e9
    (tree / "src" / "a.py").write_text("changed\n")
    second = made(tree, tmp_path)
    assert second != first and (first / "src" / "a.py").read_text() == "1\n"
    assert {path.name for path in first.parent.iterdir()} == {first.name, second.name}


def test_it_knows_its_revision(tree: Path, tmp_path: Path) -> None:
    folder, changed = made(tree, tmp_path), code.changes(tree)
    revision, reason = snapshot.revision_of(folder)
    commit = git(tree, "rev-parse", "HEAD")
    assert (revision.revision, revision.diff, reason) == (commit, changed.id, "")
    assert revision.snapshot == folder.name and snapshot.changes_of(folder) == changed
    assert snapshot.is_snapshot(folder) and not snapshot.is_snapshot(tree)


def test_code_without_git(tree: Path, tmp_path: Path) -> None:
    (tree / ".git").rename(tmp_path / "git")
    (tree / "src" / "__pycache__").mkdir()
    (tree / "src" / "__pycache__" / "a.py").write_text("compiled\n")
    os.environ["GIT_CEILING_DIRECTORIES"] = str(tmp_path)
    try:
        folder = snapshot.create(tmp_path, tree, Revision(), "not a clone", b"")
    finally:
        del os.environ["GIT_CEILING_DIRECTORIES"]
    assert (folder / "src" / "new é.py").exists() and not list(folder.rglob("__pycache__"))
    assert snapshot.revision_of(folder)[1] == "not a clone"


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["-m", "hydra/launcher=submitit_slurm"], True),
        (["--multirun", "snapshot=true"], True),
        (["-m", "hydra/launcher=submitit_slurm", "snapshot=false"], False),
        (["-m", "hydra/launcher=submitit_slurm", "sweep.dry_run=true"], False),
        (["-m"], False),
        (["snapshot=true"], False),
    ],
)
def test_which_commands_run_from_one(words: list[str], asked: bool) -> None:
    assert frozen._asked(words) is asked


def test_a_value_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="snapshot=maybe is unknown; choose from auto, true"):
        frozen.enter(["-m", "snapshot=maybe"])


def test_a_sweep_does_not_see_what_the_working_tree_becomes(tmp_path: Path) -> None:
    """The tree is broken by the first of its own lines that the sweep runs."""
    tree, results = project_copy(tmp_path / "tree"), tmp_path / "results"
    late = tree / "src" / "gradprom" / "runs" / "scoring.py"
    startup = tree / "src" / "gradprom" / "entry.py"
    breaking = f"open({str(late)!r}, 'w').write('this is no Python')\n"
    startup.write_text(startup.read_text() + breaking)
    words = ["-m", "method=classical", "method.filter=halved", *SMALL, "sweep.classical=[]"]
    done = subprocess.run(
        [sys.executable, "run.py", *words, "snapshot=true", f"results={results}"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert late.read_text() == "this is no Python"
    [record] = Study(results, "local").records()
    [folder] = (results / "snapshots").iterdir()
    assert record.git.snapshot == folder.name and f"snapshot {folder}\n" in done.stdout
    assert record.git.revision == git(tree, "rev-parse", "HEAD")
    diff = code.diff_of(Study(results, "local"), record)
    assert b"halved" in diff and b"this is no Python" in diff
