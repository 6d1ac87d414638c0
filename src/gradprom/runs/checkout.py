"""The code of a run as a folder that runs: a clone at its commit, with what was not committed."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from gradprom.errors import RunError
from gradprom.runs import code
from gradprom.runs.provenance import CLONE
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import writing
from gradprom.storage.git import git, reason

PLACES = ("study", "results", "data_root", "dataset.root", "logger", "keep", "snapshot", "notify")
"""Keys that say where files are, which the folder's own command sets anew."""
# a commit that no branch of the clone has any more can be fetched, too
_ANY_COMMIT = "--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack"


def checkout(study: Study, record: Record, folder: Path) -> str:
    """Put the code of a run into a folder.

    Parameters
    ----------
    study
        The study of the run.
    record
        Its record.
    folder
        Where to; it must not exist or be empty.

    Returns
    -------
    str
        The command that trains the run there, with results of its own.

    Raises
    ------
    RunError
        If the folder is not empty, or the code is not known exactly.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} already exists and is not empty; choose another -o")
    diff = code.diff_of(study, record)
    commit = code.require_commit(CLONE, record.git)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        git(folder, "init", "--quiet")
        git(folder, "fetch", "--quiet", _ANY_COMMIT, str(CLONE.resolve()), commit)
        git(folder, "checkout", "--quiet", "--detach", commit)
        if diff:
            git(folder, "apply", "--whitespace=nowarn", "-", stdin=diff)
    except subprocess.CalledProcessError as error:
        raise RunError(f"{folder} is incomplete: {reason(error)}") from error
    return _command(record, folder)


def _command(record: Record, folder: Path) -> str:
    """What a person types to train the run in the folder."""
    words = [text for text in record.overrides if text.partition("=")[0] not in PLACES]
    if root := record.setting("dataset.root"):
        # Hydra's grammar reads other characters in quotes alone
        plain = re.fullmatch(r"[\w./-]+", root)
        quoted = root if plain else "'{}'".format(root.replace("'", r"\'"))
        words.append(f"dataset.root={quoted}")
    # an installation in place may lead Python to another clone's package
    path = f"PYTHONPATH={shlex.quote(os.path.abspath(folder / 'src'))}"
    return f"cd {shlex.quote(str(folder))} && {path} python run.py {shlex.join(words)}".rstrip()
