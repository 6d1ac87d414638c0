"""What of a folder of results nothing needs any more, and its removal; never a record.

Everything that is removed can be trained or decoded again: `gradprom rerun` trains a run whose
weights are gone.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gradprom.disk.needs import Needs, needs_of
from gradprom.disk.usage import size_of, size_text, studies
from gradprom.storage.files import writing
from gradprom.storage.lease import Applicant
from gradprom.storage.stage_names import END

KINDS = ("stages", "cache", "logs", "snapshots", "set-aside")
"""What is looked at by default: things that nothing needs."""
WEIGHTS = "weights"
"""The kind of the last weights of finished runs, which go only where they are named."""
ENDS = "ends"
"""The kind of the states from which longer trainings go on (`trainer.extend`), likewise."""
QUIET = 24 * 3600.0
"""Seconds without a write after which the logs of a command may go, and without a use snapshots."""
_REMOVED = ".removed-"


@dataclass(frozen=True)
class Item:
    """A folder or file that can go."""

    path: Path
    kind: str
    """One of `KINDS`, `WEIGHTS` or `ENDS`."""
    reason: str
    size: int
    """Bytes."""


@dataclass
class Cleaning:
    """What can go, and what stays and why."""

    items: list[Item] = field(default_factory=list)
    kept: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """Sizes of what stays, by its kind and the reason."""

    def add(
        self, path: Path, kind: str, reason: str, goes: bool, without: Path | None = None
    ) -> None:
        """Add what was found; `without` is a file in it that is counted apart."""
        size = size_of(path) - (size_of(without) if without else 0)
        if goes:
            self.items.append(Item(path, kind, reason, size))
        else:
            self.kept.setdefault((kind, reason), []).append(size)

    @property
    def size(self) -> int:
        """Bytes of what can go."""
        return sum(item.size for item in self.items)

    def text(self) -> str:
        """Lines for a terminal: what can go by kind and reason, then what stays."""
        groups: dict[tuple[str, str], list[int]] = {}
        for item in self.items:
            groups.setdefault((item.kind, item.reason), []).append(item.size)
        rows = [("can go", *row) for row in groups.items()]
        rows += [("stays", *row) for row in self.kept.items()]
        return "\n".join(
            f"{verdict:<7} {kind:<10}{len(sizes):>5}  {size_text(sum(sizes)):>9}  {reason}"
            for verdict, (kind, reason), sizes in rows
        )


def find(
    results: Path, kinds: Collection[str], weights_of: Collection[tuple[str, str]]
) -> Cleaning:
    """Look through a folder of results; nothing is changed.

    Parameters
    ----------
    results
        The folder of all studies.
    kinds
        Those of `KINDS` to look at, and `ENDS` where these can go too.
    weights_of
        Runs, as study and id, whose last weights can go too, unless another run has the same.
    """
    needs, cleaning = needs_of(results), Cleaning()
    if "stages" in kinds or ENDS in kinds or weights_of:
        _add_stages(cleaning, results, needs, kinds, set(weights_of))
    if "cache" in kinds:
        _add_cache(cleaning, results, needs)
    if "logs" in kinds:
        _add_logs(cleaning, results, needs)
    if "snapshots" in kinds:
        _add_snapshots(cleaning, results, needs)
    if "set-aside" in kinds:
        for path in _entries(results / "set-aside"):
            has_record = any(path.rglob("record.json"))
            reason = "records, which are never removed" if has_record else "stages set aside"
            cleaning.add(path, "set-aside", reason, goes=not has_record)
    return cleaning


def remove(items: list[Item]) -> tuple[int, list[str]]:
    """Remove things; what another process is at work on stays.

    Returns
    -------
    tuple
        The bytes that were freed, and a sentence for each thing that stays.
    """
    freed, problems = 0, []
    for item in items:
        with _alone(item) as free:
            if not free:
                problems.append(f"{item.path} stays: it is being trained")
                continue
            with writing(item.path):
                _remove(item.path)
            freed += item.size
    return freed, problems


def _add_stages(
    cleaning: Cleaning,
    results: Path,
    needs: Needs,
    kinds: Collection[str],
    weights_of: set[tuple[str, str]],
) -> None:
    for path in _entries(results / "stages"):
        owners, stage_id = needs.last.get(path.name, []), path.name.rpartition("-")[0]
        if stage_id in needs.unfinished:
            cleaning.add(path, "stages", "of runs that have not finished", goes=False)
        elif owners:
            asked = weights_of.issuperset(owners)
            end = None if asked else _add_end(cleaning, path, ENDS in kinds)
            reason = f"last weights of finished runs{', as asked for' if asked else ''}"
            cleaning.add(path, WEIGHTS, reason, goes=asked, without=end)
        elif "stages" not in kinds:
            continue
        elif needs.unknown:
            reason = f"perhaps needed: {needs.unknown[0]}"
            cleaning.add(path, "stages", reason, goes=False)
        elif path.name in needs.earlier:
            cleaning.add(path, "stages", "earlier stages of finished runs", goes=True)
        else:
            cleaning.add(path, "stages", "of no run that has a record or is planned", goes=True)


def _add_end(cleaning: Cleaning, stage: Path, goes: bool) -> Path | None:
    """The end that a stage has kept, added by itself; None where there is none."""
    end = stage / END
    if not end.exists():
        return None
    reason = "ends from which longer trainings go on"
    cleaning.add(end, ENDS, f"{reason}, as asked for" if goes else reason, goes)
    return end


def _add_cache(cleaning: Cleaning, results: Path, needs: Needs) -> None:
    """Decoded datasets, but for those of unfinished runs; ids that older code worked out."""
    identities = sorted(results.glob("cache/identities-*.json"), key=lambda p: p.stat().st_mtime)
    for path in identities[:-1]:
        cleaning.add(path, "cache", "run ids of other versions of the code", goes=True)
    for path in (path for path in _entries(results / "cache") if path.is_dir()):
        if needs.unknown or path.name.rpartition("-")[0] in needs.datasets:
            cleaning.add(path, "cache", "datasets of runs that have not finished", goes=False)
        else:
            cleaning.add(path, "cache", "decoded datasets, which no unfinished run has", goes=True)


def _add_logs(cleaning: Cleaning, results: Path, needs: Needs) -> None:
    for study in studies(results):
        for path in _entries(study.folder / "hydra"):
            if study.name in needs.waiting:
                cleaning.add(path, "logs", "of studies with runs that have not finished", False)
            elif time.time() - _last_write(path) < QUIET:
                cleaning.add(path, "logs", "written in the last 24 hours", goes=False)
            else:
                cleaning.add(path, "logs", "of studies whose runs have all finished", goes=True)


def _add_snapshots(cleaning: Cleaning, results: Path, needs: Needs) -> None:
    for path in _entries(results / "snapshots"):
        if needs.waiting:
            cleaning.add(path, "snapshots", "of studies with runs that have not finished", False)
        elif time.time() - path.stat().st_mtime < QUIET:
            cleaning.add(path, "snapshots", "used in the last 24 hours", goes=False)
        else:
            cleaning.add(path, "snapshots", "of code that no unfinished run has", goes=True)


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, leftovers of a removal that was interrupted among it."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _last_write(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


@contextlib.contextmanager
def _alone(item: Item) -> Iterator[bool]:
    """Hold the lease of a stage's folder, so that no process begins to train it meanwhile."""
    if item.kind not in ("stages", WEIGHTS, ENDS):
        yield True
        return
    lease = Applicant(item.path.parent if item.kind == ENDS else item.path).try_acquire()
    if lease is None:
        yield False
        return
    with lease.heartbeat():
        yield True


def _remove(path: Path) -> None:
    """Remove a file or a folder; a reader sees the whole folder or none."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    gone = path.with_name(f"{_REMOVED}{path.name}")
    os.rename(path, gone)
    shutil.rmtree(gone, ignore_errors=True)
