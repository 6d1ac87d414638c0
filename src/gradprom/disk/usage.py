"""What a folder of results takes on the disk."""

import os
from collections.abc import Iterator
from pathlib import Path

from gradprom.runs.records import Study
from gradprom.storage.stage_names import END

SHARED = ("stages", "cache", "snapshots", "leases", "set-aside")
"""Folders of results that all studies share."""
_PARTS = ("runs", "sweeps", "report", "hydra", "tune")
"""Folders of a study, the larger ones."""


def studies(results: Path) -> list[Study]:
    """The studies below a folder of results, tunings among them, by name."""
    folders = [path for path in _folders(results) if path.name not in SHARED]
    found = [Study(results, path.name) for path in folders if _is_study(path)]
    tunings = [
        Study(results, f"{study.name}/tune/{path.name}")
        for study in found
        for path in _folders(study.folder / "tune")
        if _is_study(path)
    ]
    return sorted([*found, *tunings], key=lambda study: study.name)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links count as themselves."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size if os.path.lexists(path) else 0
    return sum(_sizes(path))


def size_text(size: int) -> str:
    """Such as `12.3 MB`."""
    for unit, bytes_of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_of:
            return f"{size / bytes_of:.1f} {unit}"
    return f"{size} B"


def overview(results: Path) -> str:
    """Sizes of what the studies share, of each study, and of all else."""
    lines = []
    for name in SHARED:
        if (results / name).is_dir():
            count = len(list((results / name).iterdir()))
            ends = sum(size_of(path) for path in (results / name).glob(f"*/{END}"))
            of_ends = f", ends {size_text(ends)}" if ends else ""
            lines.append((name, size_of(results / name), f"{count} entries{of_ends}"))
    inner = 0
    for study in studies(results):
        parts = {part: size_of(study.folder / part) for part in _PARTS}
        runs = len(list(_folders(study.folder / "runs")))
        shown = [f"{part} {size_text(size)}" for part, size in parts.items() if size]
        texts = [f"{runs} run{'s' * (runs != 1)}", *shown]
        lines.append((f"study {study.name}", size_of(study.folder), ", ".join(texts)))
        inner += size_of(study.folder) if "/" in study.name else 0
    total = size_of(results)
    other = total - sum(size for _, size, _ in lines) + inner
    if other:
        lines.append(("other", other, ""))
    lines.append(("in all", total, str(results)))
    width = max(len(name) for name, *_ in lines)
    return "\n".join(
        f"{name:<{width}}  {size_text(size):>9}  {text}".rstrip() for name, size, text in lines
    )


def _is_study(folder: Path) -> bool:
    return any((folder / part).is_dir() for part in ("runs", "sweeps", "tune"))


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if path.is_dir())


def _sizes(folder: Path) -> Iterator[int]:
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:  # a temporary file of a process at work
                continue
