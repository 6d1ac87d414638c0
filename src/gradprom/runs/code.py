"""The code of a run: its commit, and the diff of what was not committed.

    results/<study>/code/<id>.diff    one for each content, whatever number of runs had it

A diff has the changed, new and deleted files of `PARTS`. It is made in an index and an object
store of its own, so that nothing in the clone changes.
"""

import contextlib
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gradprom.errors import RunError, listed
from gradprom.runs.record import Record, Revision
from gradprom.runs.records import Study
from gradprom.storage.files import replacing
from gradprom.storage.git import git, reason

PARTS = ("src", "conf", "experiments", "gradprom_plugins", "run.py", "pyproject.toml")
"""What runs depend on, in the clone's top folder."""
LIMIT = 4 << 20
"""Most bytes of changed files, in all, whose diff is kept."""
DIGITS = 12
"""Hex digits of a diff's id, the beginning of its SHA-256."""
_MAX_NAMES = 3
_PLAIN_DIFF = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--binary")
_SAME_FORM = (*_PLAIN_DIFF, "--full-index", "--src-prefix=a/", "--dst-prefix=b/")


@dataclass(frozen=True)
class Changes:
    """What the working tree of a clone had that its commit has not."""

    diff: bytes = b""
    """As `git apply` takes it; empty where the code is the commit's, or the diff is not kept."""
    not_kept: str = ""
    """Why it is not: it is too large, or git refuses."""

    @property
    def id(self) -> str | None:
        """Of the diff: empty where nothing has changed, None where it is not kept."""
        return None if self.not_kept else diff_id(self.diff)


def diff_id(diff: bytes) -> str:
    """The first digits of its SHA-256; empty for an empty one."""
    return hashlib.sha256(diff).hexdigest()[:DIGITS] if diff else ""


def changes(root: Path) -> Changes:
    """The changes of a clone's code since its commit.

    Parameters
    ----------
    root
        The clone's top folder.
    """
    try:
        return _changes(root)
    except (OSError, subprocess.CalledProcessError) as error:
        return Changes(not_kept=reason(error))


def _changes(root: Path) -> Changes:
    tracked = git(root, "diff", "--name-only", "--no-renames", "-z", "HEAD", "--", *PARTS)
    new = git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *PARTS)
    names = [os.fsdecode(name) for name in (tracked + new).split(b"\0") if name]
    if not names:
        return Changes()
    sizes = {name: _size(root / name) for name in names}
    if sum(sizes.values()) > LIMIT:
        largest = sorted(names, key=lambda name: -sizes[name])
        texts = [f"{name} ({sizes[name] / 1e6:.1f} MB)" for name in largest]
        return Changes(
            not_kept=f"the changed files have {sum(sizes.values()) / 1e6:.1f} MB, and diffs of "
            f"up to {LIMIT / 1e6:.1f} MB are kept: {listed(texts, _MAX_NAMES)}"
        )
    with _own_index(root) as environment:
        git(root, "read-tree", "HEAD", environment=environment)
        listing = b"".join(os.fsencode(name) + b"\0" for name in names)
        update = ("update-index", "--add", "--remove", "-z", "--stdin")
        git(root, *update, stdin=listing, environment=environment)
        show = ("diff-index", "-p", "--cached", *_SAME_FORM, "HEAD")
        return Changes(git(root, *show, environment=environment))


def keep(study: Study, diff: bytes) -> None:
    """Store a diff in a study, once for all runs that have it."""
    path = study.diff(diff_id(diff))
    if diff and not path.exists():
        with replacing(path) as stream:
            stream.write(diff)


def diff_of(study: Study, record: Record) -> bytes:
    """The diff of a run's code; empty where it ran the commit.

    Raises
    ------
    RunError
        If the code is not known exactly: there was no git, the changes were not kept, or their
        file is missing or damaged.
    """
    code, run = record.git, f"run {record.id}"
    if code.revision is None:
        raise RunError(f"the code of {run} is not known: its record has no git revision")
    if code.diff is None and code.dirty:
        why = code.not_kept or "its record is older than diffs in records"
        raise RunError(f"the uncommitted changes of {run} were not kept: {why}")
    if not code.diff:
        return b""
    path = study.diff(code.diff)
    try:
        diff = path.read_bytes()
    except OSError:
        raise RunError(f"the uncommitted changes of {run} are gone: there is no {path}") from None
    if diff_id(diff) != code.diff:
        raise RunError(f"the uncommitted changes of {run} cannot be used: {path} is damaged")
    return diff


def between(root: Path, first: tuple[Revision, bytes], second: tuple[Revision, bytes]) -> str:
    """How the code of two runs differs, as a diff of `PARTS`; empty where it does not.

    Parameters
    ----------
    root
        A clone that has both commits.
    first, second
        The commit and the diff of each.

    Raises
    ------
    RunError
        If there is no git or no clone, it lacks a commit, or a diff does not fit its commit.
    """
    try:
        with _own_index(root) as environment:
            trees = [_tree(root, *code, environment) for code in (first, second)]
            show = ("diff-tree", "-p", "-r", *_SAME_FORM, *trees, "--", *PARTS)
            return git(root, *show, environment=environment).decode(errors="replace")
    except (OSError, subprocess.CalledProcessError) as error:
        raise RunError(f"the difference cannot be shown: {reason(error)}") from error


def require_commit(root: Path, revision: Revision) -> str:
    """The commit of a revision; RunError where the clone does not have it."""
    commit = str(revision.revision)
    try:
        git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except (OSError, subprocess.CalledProcessError):
        raise RunError(
            f"{root} has no commit {commit}; `git fetch` it from where the run was trained"
        ) from None
    return commit


def _tree(root: Path, revision: Revision, diff: bytes, environment: dict[str, str]) -> str:
    """The id of git's tree of a commit with a diff."""
    git(root, "read-tree", require_commit(root, revision), environment=environment)
    if diff:
        apply = ("apply", "--cached", "--whitespace=nowarn", "-")
        try:
            git(root, *apply, stdin=diff, environment=environment)
        except subprocess.CalledProcessError as error:
            unfit = f"diff {diff_id(diff)} does not fit its commit"
            raise RunError(f"{unfit}: {reason(error)}") from error
    return git(root, "write-tree", environment=environment).decode().strip()


@contextlib.contextmanager
def _own_index(root: Path) -> Iterator[dict[str, str]]:
    """Variables by which git leaves the clone's index and objects as they are."""
    common = os.fsdecode(git(root, "rev-parse", "--git-common-dir").rstrip(b"\n"))
    objects = (root / common / "objects").resolve()
    with tempfile.TemporaryDirectory(prefix="gradprom-code-") as folder:
        (Path(folder) / "objects").mkdir()
        yield {
            "GIT_INDEX_FILE": f"{folder}/index",
            "GIT_OBJECT_DIRECTORY": f"{folder}/objects",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # a file that was deleted
        return 0
