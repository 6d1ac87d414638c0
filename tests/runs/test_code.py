"""The code of a run: the diff of what was not committed, and the folder that has it again."""

import hashlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from support import tiny_runs
from support.records_factory import record
from support.repository import commit_all, git, project_copy

from gradprom import cli
from gradprom.errors import RunError
from gradprom.reports import code_differences
from gradprom.runs import checkout as checkout_module
from gradprom.runs import code, provenance
from gradprom.runs.checkout import checkout
from gradprom.runs.record import Record, Revision
from gradprom.runs.records import Study


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a few files, one commit, in place of this project's clone."""
    folder = tmp_path / "clone é"
    for name in ("src/a.py", "src/old.py", "conf/x.yaml", "README.md", "run.py"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"first line of {name}\nsecond\n")
    (folder / ".gitignore").write_text("*.pyc\n")
    commit_all(folder)
    monkeypatch.setattr(checkout_module, "CLONE", folder)
    monkeypatch.setattr(code_differences, "CLONE", folder)
    return folder


def change(clone: Path) -> None:
    """One file of each kind of change."""
    (clone / "src" / "a.py").write_text("changed\nsecond\n")
    (clone / "src" / "old.py").unlink()
    (clone / "src" / "néw file.py").write_text("no newline at the end")
    (clone / "conf" / "data.bin").write_bytes(bytes(range(256)) * 8)
    (clone / "run.py").chmod(0o755)
    (clone / "conf" / "link").symlink_to("x.yaml")


def contents(folder: Path, names: tuple[str, ...] = code.PARTS) -> dict[str, tuple[str, bytes]]:
    """Kind, or whether it can be executed, and content of each file of the code."""
    found = {}
    for path in (p for name in names for p in [folder / name, *folder.glob(f"{name}/**/*")]):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = ("link", str(path.readlink()).encode())
        elif path.is_file() and path.suffix != ".pyc":
            kind = "program" if path.stat().st_mode & 0o100 else "file"
            found[str(path.relative_to(folder))] = (kind, path.read_bytes())
    return found


def run_of(clone: Path, study: Study, run_id: str = "0123456789ab", **fields: object) -> Record:
    """The record of a run of a clone's present code, which it keeps."""
    changed = code.changes(clone)
    code.keep(study, changed.diff)
    revision = Revision(
        revision=git(clone, "rev-parse", "HEAD"),
        dirty=changed.id != "",
        diff=changed.id,
        not_kept=changed.not_kept,
    )
    return record(run_id, git=revision, **fields)


def test_a_checkout_has_every_byte_of_the_code(clone: Path, tmp_path: Path) -> None:
    change(clone)
    (clone / "src" / "a.pyc").write_bytes(b"compiled")
    (clone / "README.md").write_text("no code\n")
    before = sorted(path for path in (clone / ".git").rglob("*"))
    run, folder = run_of(clone, Study(tmp_path, "mine")), tmp_path / "out"
    assert sorted(path for path in (clone / ".git").rglob("*")) == before
    # neither the commit nor the changes need be there any longer
    expected = contents(clone)
    git(clone, "checkout", "-q", ".")
    git(clone, "commit", "-q", "--amend", "-m", "other words")
    checkout(Study(tmp_path, "mine"), run, folder)
    assert contents(folder) == expected and len(expected) == 6
    assert (folder / "README.md").read_text() == "first line of README.md\nsecond\n"
    assert code.changes(folder).id == run.git.diff
    with pytest.raises(RunError, match="out already exists and is not empty"):
        checkout(Study(tmp_path, "mine"), run, folder)


def test_equal_changes_are_stored_once(clone: Path, tmp_path: Path) -> None:
    study = Study(tmp_path, "mine")
    assert run_of(clone, study).git.diff == "" and not (study.folder / "code").exists()
    change(clone)
    git(clone, "add", "src")  # what is staged is not committed either
    first = run_of(clone, study)
    git(clone, "reset", "-q")
    assert run_of(clone, study) == first
    (clone / "README.md").write_text("no code\n")
    assert run_of(clone, study) == first
    assert [path.stem for path in (study.folder / "code").iterdir()] == [first.git.diff]


def test_too_much_is_told_and_not_kept(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "LIMIT", 1000)
    (clone / "src" / "weights.npy").write_bytes(bytes(2_000_000))
    run = run_of(clone, Study(tmp_path, "mine"))
    assert run.git.diff is None and "src/weights.npy (2.0 MB)" in run.git.not_kept
    with pytest.raises(RunError, match="not kept: the changed files have 2.0 MB"):
        checkout(Study(tmp_path, "mine"), run, tmp_path / "out")


@pytest.mark.parametrize(
    ("revision", "sentence"),
    [
        (Revision(), "the code of run 0123456789ab is not known"),
        (Revision(revision="a" * 40, dirty=True), "its record is older than diffs"),
        (Revision(revision="a" * 40, dirty=True, diff="b" * 12), "are gone: there is no"),
        (Revision(revision="a" * 40, dirty=False, diff=""), f"has no commit {'a' * 40}; `git fet"),
    ],
)
def test_code_that_is_not_known(
    clone: Path, tmp_path: Path, revision: Revision, sentence: str
) -> None:
    with pytest.raises(RunError, match=sentence):
        checkout(Study(tmp_path, "mine"), record(git=revision), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_diff_is_not_applied(clone: Path, tmp_path: Path) -> None:
    change(clone)
    study = Study(tmp_path, "mine")
    run = run_of(clone, study)
    [path] = (study.folder / "code").iterdir()
    path.write_bytes(path.read_bytes().replace(b"+changed", b"+cHanged"))
    with pytest.raises(RunError, match="is damaged"):
        checkout(study, run, tmp_path / "out")


def test_compare_shows_what_differs_between_two_codes(clone: Path, tmp_path: Path) -> None:
    study = Study(tmp_path, "mine")
    first = run_of(clone, study)
    (clone / "src" / "a.py").write_text("changed\nsecond\n")
    second = run_of(clone, study)
    shown = code_differences.text(study, first, second)
    assert f"then {second.git.text(digits=7)}\n" in shown
    assert "\n  -first line of src/a.py\n  +changed\n" in shown
    git(clone, "commit", "-q", "-a", "-m", "the change")
    third = run_of(clone, study)
    assert "no difference" in code_differences.text(study, second, third)
    shown = code_differences.text(study, second, second)
    assert shown == f"code {second.git.text(digits=7)}"
    (clone / "src" / "a.py").write_text("\n".join(map(str, range(100))))
    shown = code_differences.text(study, first, run_of(clone, study))
    assert "lines of difference, in 1 files:\n    src/a.py" in shown


def test_without_a_clone_the_difference_is_not_known(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, unpacked = Study(tmp_path, "mine"), tmp_path / "unpacked"
    first = run_of(clone, study)
    change(clone)
    second = run_of(clone, study)
    unpacked.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(code_differences, "CLONE", unpacked)
    shown = code_differences.text(study, first, second)
    assert "the difference cannot be shown: git says: fatal: not a git repository" in shown


def test_a_run_leaves_its_diff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Revision(revision="a" * 40, dirty=True)
    monkeypatch.setattr(provenance, "_own", lambda: (known, ""))
    monkeypatch.setattr(provenance, "uncommitted", lambda: code.Changes(b"a diff"))
    monkeypatch.setattr(provenance, "revision", provenance.revision.__wrapped__)
    run = tiny_runs.train(tmp_path, *tiny_runs.PHANTOM, "method=classical")
    assert run.git.diff == hashlib.sha256(b"a diff").hexdigest()[:12]
    assert code.diff_of(tiny_runs.local(tmp_path), run) == b"a diff"


@pytest.mark.parametrize("root", ["/plain/x", "/a b/c,d=e", "/it's (1)"])
def test_the_command_names_the_data_as_hydra_reads_it(
    clone: Path, tmp_path: Path, root: str
) -> None:
    study, words = Study(tmp_path, "mine"), ["noise=0.1", "data_root=../data"]
    run = run_of(clone, study, overrides=words, config={"dataset": {"root": root}})
    *_, noise, last = shlex.split(checkout(study, run, tmp_path / "out"))
    assert noise == "noise=0.1"
    override = OverridesParser.create().parse_override(last)
    assert (override.key_or_group, override.value()) == ("dataset.root", root)


def test_the_printed_command_trains_with_the_runs_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A filter that exists in the diff alone, in a clone of this project."""
    clone = project_copy(tmp_path / "project")
    study = Study(tmp_path / "results", "mine")
    words = ["method=classical", "method.filter=halved", "dataset.train=8"]
    words += ["dataset.test=8", "dataset.size=32", "results=elsewhere", "study=mine"]
    run = run_of(clone, study, overrides=words)
    study.write_record(run)
    monkeypatch.setattr(checkout_module, "CLONE", clone)
    cli.main(
        ["checkout", run.id, "-o", str(tmp_path / "out"), "study=mine", f"results={study.results}"]
    )
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{tmp_path / 'out'}: {run.git.text()}"
    command = printed[1].replace("python ", f"{sys.executable} ", 1)
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [again] = Study(tmp_path / "out" / "results", "local").records()
    assert (again.finished, again.git) == (True, run.git)
