"""The data check: the content of a dataset's folder, and the problems in it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradprom.data import formats, value_range
from gradprom.data.base import Entry, Source
from gradprom.data.cache import file_hashes
from gradprom.errors import MOST_LINES, DataError, listed
from gradprom.storage.files import printable

_SHOWN = 3  # names of a list that a note shows
_LEVELS = 32  # of 255: images whose pixels have fewer show hardly anything
_REST = 0.001  # share of the pixels at either end that does not count as contrast


@dataclass
class Report:
    """The findings: `problems`, which must be fixed before a run, and `notes`."""

    dataset: str
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Images by split ("all" first) and class."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Smallest and largest width and height on disk, in pixels."""
    modes: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    mask_share: dict[str, float] = field(default_factory=dict)
    """Share of all mask pixels by mask class, in [0,1]."""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sheet: str = ""
    """Where the sample sheet is, or why there is none; empty: it was not requested."""

    def text(self) -> str:
        """The report in plain lines."""
        lines = [f"dataset {self.dataset}", *_table(self.counts)]
        lines += [f"{name} {low}–{high} px" for name, (low, high) in self.sizes.items()]
        for name, counter in (("modes", self.modes), ("formats", self.formats)):
            if counter:
                shown = ", ".join(f"{key} {count}" for key, count in counter.most_common())
                lines.append(f"{name} {shown}")
        if self.mask_share:
            shares = (f"{name} {share:.1%}" for name, share in self.mask_share.items())
            lines.append(f"mask pixels {', '.join(shares)}")
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"PROBLEM: {problem}" for problem in self.problems]
        lines += [self.sheet] if self.sheet else []
        count = len(self.problems) or "no"
        lines.append(f"{count} problem" if count == 1 else f"{count} problems")
        return printable("\n".join(lines))


def check(source: Source, cache: Path, sheet: Path | None = None) -> Report:
    """Read every file of a dataset once and report; a DataError becomes a problem.

    Parameters
    ----------
    source
        The dataset.
    cache
        The folder of cached file hashes.
    sheet
        The PNG file for a sample of the images, drawn if all files can be read.
    """
    report = Report(source.options.name)
    report.sheet = "no sample sheet: not all images can be read" if sheet else ""
    try:
        entries = source.index()
    except DataError as error:
        report.problems.append(str(error))
        return report
    report.notes += source.notes(entries)
    report.problems += source.problems(entries)
    try:
        splits = source.splits(entries)
    except DataError as error:
        report.problems.append(str(error))
        splits = {}
    _count(report, source, entries, splits)
    # an image that is cut into tiles has several entries but one file
    first: dict[Path, Entry] = {}
    for entry in entries:
        for path in entry.files[:1]:
            first.setdefault(path, entry)
    images = list(first.values())
    _files(report, images)
    readable = _values(report, source) and _contents(report, source, entries, splits)
    duplicates = _duplicates(source, images, cache)
    _overlaps(report, source, entries, splits, duplicates)
    if sheet and readable:
        from gradprom.data.contact_sheet import draw

        draw(source, entries, splits, sheet)
        report.sheet = f"sample sheet: {sheet}"
    return report


def _count(
    report: Report, source: Source, entries: list[Entry], splits: dict[str, list[str]]
) -> None:
    classes = source.facts.classes
    unnamed = "not labelled" if classes else "no classes"
    kind = {e.id: unnamed if e.label is None else classes[e.label] for e in entries}
    for part, ids in {"all": list(kind), **splits}.items():
        count = Counter(kind[id] for id in ids)
        order = [*classes, unnamed]
        report.counts[part] = {name: count[name] for name in order if count[name]}
    for part in splits if report.counts["all"].keys() - {unnamed} else ():
        if not report.counts[part].keys() - {unnamed}:
            report.notes.append(f"split={part} has no labelled image: it is of no use for labels")
    left_out = set(kind).difference(*splits.values()) if splits else set()
    if left_out:
        report.notes.append(
            f"{len(left_out)} images are in no split: {listed(sorted(left_out), _SHOWN)}"
        )


def _files(report: Report, images: list[Entry]) -> None:
    """Size, mode and format, from the header of each image file; other formats are skipped."""
    from PIL import Image

    known = {**Image.registered_extensions(), **dict.fromkeys((".dcm", ".dicom"), "DICOM")}
    sizes, misnamed = [], defaultdict(list)
    for entry in images:
        path = entry.files[0]
        try:
            header = formats.header(path)
        except ValueError:
            continue  # not an image format, or a broken file, which decoding reports
        sizes.append(header.size)
        report.modes[header.mode] += 1
        report.formats[header.format] += 1
        if header.format != "NIfTI" and known.get(path.suffix.lower()) != header.format:
            misnamed[path.suffix, header.format].append(entry.id)
    for axis, name in enumerate(("width", "height") if sizes else ()):
        report.sizes[name] = min(s[axis] for s in sizes), max(s[axis] for s in sizes)
    for (suffix, format), ids in sorted(misnamed.items()):
        report.notes.append(f"{len(ids)} {suffix} files are {format} inside: {listed(ids, _SHOWN)}")


def _values(report: Report, source: Source) -> bool:
    """Report the range of values; whether it is known."""
    try:
        values = source.value_range()
    except DataError as error:
        report.problems.append(str(error))
        return False
    if values is not None:
        extremes = source.extremes().text()
        report.notes.append(f"{extremes}, read as black to white from {value_range.text(values)}")
    return True


def _contents(
    report: Report, source: Source, entries: list[Entry], splits: dict[str, list[str]]
) -> bool:
    """Decode everything; report unreadable files, and images and masks that tell nothing.

    Returns
    -------
    bool
        Whether all files can be read.
    """
    classes = source.facts.mask_classes
    part_of = {id: part for part, ids in splits.items() for id in ids}
    pixels = {part: np.zeros(256, dtype=np.int64) for part in ("", *splits)}
    unreadable, unnamed = [], []
    levels = np.zeros(256, dtype=np.int64)
    for entry in entries:
        try:
            sample = source.decode(entry)
        except (OSError, ValueError) as error:
            unreadable.append(str(error))
            continue
        levels += np.bincount(sample["target"].ravel(), minlength=256)
        mask = sample.get("mask")
        if mask is not None:
            values = np.bincount(mask.ravel(), minlength=256)
            pixels[part_of.get(entry.id, "")] += values
            unknown = [int(v) for v in np.flatnonzero(values) if v >= len(classes)]
            if unknown:
                allowed = f"0..{len(classes) - 1}"
                unnamed.append(f"{entry.id}: mask values {unknown}, expected {allowed}")
    report.problems += [
        # the tiles of one image have one message
        *_first([*dict.fromkeys(unreadable)], "files that cannot be read"),
        *_first(unnamed, "masks of other values"),
    ]
    report.problems += [
        f"all mask pixels of split={part} are {classes[int(counts.argmax())]}"
        for part, counts in pixels.items()
        if part and np.count_nonzero(counts[: len(classes)]) == 1 == np.count_nonzero(counts)
    ]
    report.problems += _contrast(levels)
    total = sum(pixels.values(), np.zeros(256, dtype=np.int64))
    if total.any():
        report.mask_share = {n: float(total[i] / total.sum()) for i, n in enumerate(classes)}
    return not unreadable


def _contrast(levels: NDArray[np.int64]) -> list[str]:
    """A problem of images that are nearly of one grey: of another range, or masks by mistake."""
    if not levels.any():
        return []
    below = np.cumsum(levels) / levels.sum()
    low, high = (int(np.searchsorted(below, share)) for share in (_REST, 1 - _REST))
    if high - low >= _LEVELS:
        return []
    return [
        f"{1 - 2 * _REST:.1%} of all pixels have the levels {low} to {high} of 0 to 255: is the "
        f"range right, and are these the images?"
    ]


def _first(problems: list[str], kind: str) -> list[str]:
    """The first problems of a kind, and how many more there are."""
    more = len(problems) - MOST_LINES
    return [*problems[:MOST_LINES], *([f"… and {more} more {kind}"] if more > 0 else [])]


def _duplicates(source: Source, images: list[Entry], cache: Path) -> list[list[str]]:
    """Ids of images whose files have the same content."""
    hashes = file_hashes([entry.files[0] for entry in images], cache, source)
    equal: dict[str, list[str]] = defaultdict(list)
    for entry in images:
        if hashes[entry.files[0]]:
            equal[hashes[entry.files[0]]].append(entry.id)
    return [ids for ids in equal.values() if len(ids) > 1]


def _overlaps(
    report: Report,
    source: Source,
    entries: list[Entry],
    splits: dict[str, list[str]],
    duplicates: list[list[str]],
) -> None:
    equal = [f"files of the same content: {listed(ids, MOST_LINES)}" for ids in duplicates]
    report.notes += _first(equal, "contents of several files")
    group = {entry.id: entry.group for entry in entries}
    by_design = source.divides_groups()
    for (name, first), (other_name, second) in combinations(splits.items(), 2):
        between = f"in both {name} and {other_name}"
        both = sorted(set(first) & set(second))
        if both:
            report.problems.append(f"{len(both)} images are {between}: {listed(both, MOST_LINES)}")
        twins = [ids for ids in duplicates if set(ids) & set(first) and set(ids) & set(second)]
        if twins:
            names = listed([" = ".join(ids) for ids in twins], MOST_LINES)
            report.problems.append(f"{len(twins)} images are under two names {between}: {names}")
        groups = sorted({group[id] for id in first} & {group[id] for id in second})
        if groups:
            why = " (as this split is defined)" if by_design else ""
            names = listed(groups, _SHOWN if by_design else MOST_LINES)
            finding = f"{len(groups)} groups (patients) are {between}{why}: {names}"
            (report.notes if by_design else report.problems).append(finding)


def _table(counts: dict[str, dict[str, int]]) -> list[str]:
    return [
        f"{part}: {sum(count.values())} images ("
        + ", ".join(f"{name} {number}" for name, number in count.items())
        + ")"
        for part, count in counts.items()
    ]
