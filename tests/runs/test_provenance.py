"""The git revision of a record: that of this code, or none and the reason."""

import os
from pathlib import Path

import pytest
from support import tiny_runs
from support.repository import git

from gradprom.runs import provenance
from gradprom.runs.provenance import read_revision
from gradprom.runs.record import Revision
from gradprom.sweeps.plan import describe, make_plan


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit."""
    folder = tmp_path / "clone é"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "src").mkdir()
    (folder / "src" / "code.py").write_text("1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def test_a_clone(clone: Path, tmp_path: Path) -> None:
    commit = git(clone, "rev-parse", "HEAD")
    assert read_revision(clone) == (Revision(revision=commit, dirty=False), "")
    (clone / "src" / "code.py").write_text("2\n")
    assert read_revision(clone) == (Revision(revision=commit, dirty=True), "")
    link = tmp_path / "link"
    link.symlink_to(clone)
    assert read_revision(link)[0].revision == commit
    git(clone, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert read_revision(tmp_path / "tree") == (Revision(revision=commit, dirty=False), "")


def test_what_changes_no_result_is_no_change_of_the_code(clone: Path) -> None:
    (clone / "exported").mkdir()
    (clone / "exported" / "weights.safetensors").write_text("1\n")
    assert read_revision(clone)[0].dirty is False
    git(clone, "config", "status.showUntrackedFiles", "no")
    (clone / "src" / "new_strategy.py").write_text("1\n")
    assert read_revision(clone)[0].dirty is True


def test_git_is_asked_without_its_lock(clone: Path) -> None:
    """`git status` would write the index anew, and a `git commit` of that moment would fail."""
    (clone / "src" / "code.py").touch()
    index = (clone / ".git" / "index").read_bytes()
    assert read_revision(clone)[0].dirty is False
    assert (clone / ".git" / "index").read_bytes() == index


def test_a_folder_in_another_projects_repository(clone: Path) -> None:
    unpacked = clone / "gradprom-0.1"
    unpacked.mkdir()
    found, reason = read_revision(unpacked)
    assert found == Revision() and str(clone) in reason and "not a clone" in reason


def test_a_folder_in_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found, reason = read_revision(tmp_path)
    assert found == Revision() and reason == f"{tmp_path} is not a clone"


def test_variables_that_lead_git_elsewhere(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook of another repository, which would pass for ours at any place."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    plain = tmp_path / "unpacked"
    plain.mkdir()
    monkeypatch.setenv("GIT_DIR", str(clone / ".git"))
    assert read_revision(plain) == (Revision(), f"{plain} is not a clone")
    monkeypatch.setenv("GIT_DIR", str(plain))
    assert read_revision(clone)[0].revision is not None


def test_a_clone_of_another_user(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found, reason = read_revision(clone)
    assert found == Revision() and "another user" in reason
    assert f"safe.directory {clone}" in reason


def test_a_clone_without_a_commit_and_no_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q")
    found, reason = read_revision(tmp_path)
    assert found == Revision() and "HEAD" in reason and "\n" not in reason
    monkeypatch.setenv("PATH", os.devnull)
    assert read_revision(tmp_path)[1].startswith("git ")


def test_it_is_told_once_for_all_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "why_unknown", lambda: "git is not installed")
    runs = [tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, f"seed={seed}") for seed in (0, 1)]
    told = [line for line in describe(make_plan(runs, False)).splitlines() if "revision" in line]
    assert len(told) == 1 and told[0].endswith("git is not installed")
