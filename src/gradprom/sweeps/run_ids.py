"""Which run some words of the command line lead to.

The answer needs every component's code, and so torch. It is kept in the cache under a digest of
that code and of the configuration files, so that a report asks for it once.
"""

import functools
import hashlib
import json
import subprocess
import sys
from pathlib import Path

from gradprom.config.folders import conf_folders, plugin_code
from gradprom.errors import ConfigError, RunError
from gradprom.experiments.expansion import Identity
from gradprom.experiments.overrides import OverrideList
from gradprom.identity import digest
from gradprom.storage.files import read_checked, write_checked

PLACES = ("study", "results", "data_root", "logger")
"""Keys that say where a run's files are and cannot change what it is."""
REFUSED = 3
"""Exit code of the other process for words that are not allowed; it prints the sentence."""


def is_place(word: str) -> bool:
    """Whether a word has no part in a run's identity."""
    key = word.split("=")[0]
    return key in PLACES or key.startswith("sweep.")


def known(asked: list[OverrideList], results: Path) -> list[Identity]:
    """The identities of some runs; those that are not in the cache are worked out beside it.

    Raises
    ------
    ConfigError
        For words that are not allowed.
    RunError
        If working them out failed for a reason that has nothing to do with them.
    """
    path = _path(results)
    kept = read_checked(path) or {}
    missing = [words for words in asked if digest(words) not in kept]
    if missing:
        kept |= _work_out(missing)
        write_checked(path, kept)
    return [Identity(*kept[digest(words)]) for words in asked]


def keep(found: list[tuple[OverrideList, Identity]], results: Path) -> None:
    """Put identities that were worked out in this process into the cache."""
    path = _path(results)
    kept = read_checked(path) or {}
    fresh = {digest(words): [identity.id, identity.problem] for words, identity in found}
    if not fresh.items() <= kept.items():
        write_checked(path, kept | fresh)


def _work_out(asked: list[OverrideList]) -> dict[str, list[str]]:
    """In another process, so that this one need not import torch."""
    command = [sys.executable, "-m", "gradprom.sweeps.identify"]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True)
    if done.returncode == REFUSED:
        raise ConfigError(done.stderr.strip())
    if done.returncode:
        raise RunError(f"the runs of the tables are not to be found: {done.stderr.strip()}")
    return {
        digest(words): found for words, found in zip(asked, json.loads(done.stdout), strict=True)
    }


@functools.cache
def _path(results: Path) -> Path:
    return results / "cache" / f"identities-{_code()[:12]}.json"


@functools.cache
def _code() -> str:
    """A digest of all that an identity follows from."""
    source = Path(__file__).parents[1]
    code = [p for p in sorted(source.rglob("*.py")) if p.parent.name not in ("reports", "figures")]
    conf = [path for folder in conf_folders() for path in sorted(folder.rglob("*.yaml"))]
    files = [*code, *plugin_code(), *conf]
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()
