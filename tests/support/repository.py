"""A git repository of a test's own."""

import subprocess
from pathlib import Path


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
