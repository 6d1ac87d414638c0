"""Records of other machines, brought into a study with all that belongs to them.

A record is copied with its folder as it is, so that it goes on saying where it was trained. Of a
run that both have, equal results are kept once; of unequal ones both are kept:

    results/<study>/runs/<id>/                  the results that were here first
    results/<study>/variants/<id>/<digest>/     those that came, which the record names
"""

import math
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from gradprom.errors import RunError
from gradprom.identity import digest
from gradprom.runs.record import Record, damage
from gradprom.runs.records import Study
from gradprom.storage.files import writing
from gradprom.storage.lease import Applicant
from gradprom.storage.stage_names import stage_name

_BESIDE = ("code/*.diff", "splits/*.json", "data/*.json")
"""Files of a study that its records refer to, each named after its content."""
_ONLY_TRAINING = (".*", "progress.json", "rendezvous*", "lease-*", "checkpoint.pt", "resumed-*")
_MAX_SCORES = 3


@dataclass
class Merged:
    """What became of the records of one study."""

    counts: Counter[str] = field(default_factory=Counter)
    """Of runs, by what became of them."""
    notes: list[str] = field(default_factory=list)
    """A sentence for each run that is not simply there now."""

    def text(self) -> str:
        """Such as `3 added, 1 here already`, with the notes below."""
        counts = ", ".join(f"{n} {outcome}" for outcome, n in self.counts.items())
        return "\n".join([counts or "no records", *self.notes])


def source_study(folder: Path, name: str) -> Study:
    """The study that a folder is or holds.

    Parameters
    ----------
    folder
        A study, or a folder of results.
    name
        Of the study that is meant if there are several.

    Raises
    ------
    RunError
        If there is none, or none of the several has that name.
    """
    if (folder / "runs").is_dir():
        return Study(folder.parent, folder.name)
    found = sorted(path.parent for path in folder.glob("*/runs") if path.is_dir())
    if len(found) == 1:
        return Study(folder, found[0].name)
    if any(path.name == name for path in found):
        return Study(folder, name)
    if not found:
        raise RunError(f"{folder} is no study and holds none: there is no runs folder in it")
    names = ", ".join(path.name for path in found)
    raise RunError(f"{folder} holds the studies {names}; give one of their folders")


def merge(study: Study, other: Study, stages: bool = False) -> Merged:
    """Bring the records of another study into a study.

    Runs that have not ended there are left out. Of runs that have not finished here, what was here
    is set aside if they have finished there.

    Parameters
    ----------
    study
        The study that receives them.
    other
        The study that they are copied from, of any folder of results.
    stages
        Also the trained stages of its finished runs.
    """
    if study.folder.resolve() == other.folder.resolve():
        raise RunError(f"{other.folder} is the study {study.name} itself")
    records, problems = other.load()
    merged = Merged(notes=[f"left out: {problem}" for problem in problems])
    merged.counts.update({"damaged": len(problems)} if problems else {})
    for record in records:
        outcome, note = bring_run(study, other, record)
        merged.counts[outcome] += 1
        merged.notes += [note] if note else []
        if stages and record.finished:
            _copy_stages(study, other, record)
    for path in (path for kind in _BESIDE for path in other.folder.glob(kind)):
        _copy(path, study.folder / path.relative_to(other.folder))
    for path in other.folder.glob("sweeps/*/plan.json"):
        _copy(path.parent, study.folder / "sweeps" / path.parent.name)
    return merged


def same_results(first: Record, second: Record) -> bool:
    """Whether two records of a run have equal scores of each image, on equal data."""
    return _results(first) == _results(second)


def difference(first: Record, second: Record) -> str:
    """The first few scores in which two records differ, such as `psnr 27.31 and 27.3`."""
    pairs = {name: (first.metrics.get(name), second.metrics.get(name)) for name in first.metrics}
    differing = [f"{name} {a!r} and {b!r}" for name, (a, b) in pairs.items() if a != b]
    if first.fingerprints() != second.fingerprints():
        differing.insert(0, "other data")
    return ", ".join(differing[:_MAX_SCORES]) or "scores of single images"


def _results(record: Record) -> str:
    scores = {name: sum_ for name, sum_ in record.files.items() if name.startswith("scores")}
    numbers = {
        name: str(value) if not math.isfinite(value) else value
        for name, value in record.metrics.items()
    }
    return digest([record.status, numbers, record.fingerprints(), scores])


def bring_run(study: Study, other: Study, record: Record) -> tuple[str, str]:
    """Copy one run of another study; what became of it, and a sentence if there is one to say."""
    if record.status == "started":
        return "not ended there", ""
    lease = Applicant(study.leases(record.id)).try_acquire()
    if lease is None:
        return "being trained here", f"{record.id}: left out, because it is being trained here"
    with lease.heartbeat():
        ours, source = study.record(record.id), other.run(record.id)
        if ours is not None and damage(study.run(record.id), ours):
            ours = None
        if ours is not None and ours.finished:
            if not record.finished or same_results(ours, record):
                return "here already", ""
            return _add_variant(study, ours, record, source)
        if ours is not None and not record.finished:
            return "here already", ""
        if study.run(record.id).exists():
            study.set_aside(study.run(record.id))
        _copy(source, study.run(record.id))
        return "added", ""


def _add_variant(study: Study, ours: Record, record: Record, source: Path) -> tuple[str, str]:
    name = _results(record)
    if name in ours.variants:
        return "here already", ""
    _copy(source, study.variant(record.id, name))
    study.write_record(replace(ours, variants=[*ours.variants, name]))
    both = f"{record.id}: both results are kept, {difference(ours, record)}"
    return "with other results", f"{both}; those that came are in {study.variant(record.id, name)}"


def _copy_stages(study: Study, other: Study, record: Record) -> None:
    for stage in record.stages:
        name = stage_name(stage.id, record.dataset.fingerprint)
        source = other.stages / name
        if (source / "artefact.pt").exists() and not (study.stages / name / "artefact.pt").exists():
            for path in _files(source):
                _copy(path, study.stages / name / path.name)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder to where nothing is yet; a reader sees the whole or nothing."""
    if target.exists():
        return
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, draft, ignore=shutil.ignore_patterns(*_ONLY_TRAINING))
        else:
            shutil.copyfile(source, draft)
        os.rename(draft, target)


def _files(folder: Path) -> Iterator[Path]:
    """Files of a finished stage, without those that only its training needed."""
    ignored = shutil.ignore_patterns(*_ONLY_TRAINING)
    names = os.listdir(folder)
    yield from (folder / name for name in set(names) - ignored(str(folder), names))
