"""A git repository of a test's own."""

import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def git(folder: Path, *words: str) -> str:
    """What a command of git prints."""
    me = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    command = ["git", "-C", str(folder), *me, *words]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def commit_all(folder: Path) -> str:
    """Commit everything in a folder, which becomes a repository; returns the commit."""
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "all")
    return git(folder, "rev-parse", "HEAD")


def project_copy(folder: Path) -> Path:
    """A clone of this project's code, all of it committed, with a filter `halved` that is not."""
    for name in ("src", "conf", "experiments"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
    shutil.copy(PROJECT / "run.py", folder)
    (folder / ".gitignore").write_text("__pycache__/\n/results/\n")
    commit_all(folder)
    own = '\n\ndef _halved(image, sigma):\n    return image / 2\n\n\nFILTERS["halved"] = _halved\n'
    filters = folder / "src" / "gradprom" / "methods" / "classical.py"
    filters.write_text(filters.read_text() + own)
    return folder
