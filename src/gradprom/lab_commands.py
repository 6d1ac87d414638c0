"""The commands of `gradprom` that look after a study: its code, its disk, its other machines.

docs/lab.md shows them as typed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradprom.errors import ConfigError
from gradprom.settings import results_and_study

if TYPE_CHECKING:
    from gradprom.runs.record import Record
    from gradprom.runs.records import Study

AddCommand = Callable[..., argparse.ArgumentParser]
"""Adds a command: the group, its name, its function and its help."""


def add_to(commands: Any, add_command: AddCommand, run: str) -> None:
    """Add the commands.

    Parameters
    ----------
    commands
        The group of the commands of `gradprom`.
    add_command
        Adds one of them.
    run
        The help of an argument that is a run.
    """
    checkout = add_command(
        commands, "checkout", _checkout, "put the code of a run, as it was, into a folder that runs"
    )
    checkout.add_argument("run", nargs="+", metavar="RUN", help=run)
    checkout.add_argument("-o", "--output", type=Path, required=True, help="a new folder")

    add_command(commands, "du", _du, "what studies, weights and caches take on the disk")
    clean = add_command(
        commands, "clean", _clean, "what nothing needs any more: say it, or remove it with --yes"
    )
    clean.add_argument(
        "words",
        nargs="*",
        metavar="KIND|WORD",
        help="stages, cache, logs, set-aside: look at these alone; ends: what trainer.extend has "
        "kept, too; weights: the last weights of finished runs, too, of those that further words "
        "select (see gradprom runs)",
    )
    clean.add_argument("--yes", action="store_true", help="remove it")
    merge = add_command(commands, "merge", _merge, "bring records of other machines into a study")
    merge.add_argument(
        "others",
        nargs="+",
        type=Path,
        metavar="OTHER_RESULTS",
        help="a folder of results, a study's folder, or a file of gradprom pack",
    )
    pack = add_command(commands, "pack", _pack, "write a study into one file, to be merged")
    pack.add_argument("-o", "--output", type=Path, required=True, help="a new .zip file")
    for command in (merge, pack):
        command.add_argument("--stages", action="store_true", help="trained stages, too")
    pack.add_argument("study", nargs="?", metavar="STUDY", help="as study=STUDY")
    work = add_command(
        commands,
        "work",
        _work,
        "train planned runs beside other processes, until none waits",
    )
    work.add_argument(
        "words",
        nargs="*",
        metavar="STUDY|key=value",
        help="as study=STUDY; where files are on this machine, and its device: data_root=… "
        "trainer.device=…",
    )
    paper = add_command(
        commands,
        "paper",
        _paper,
        "a LaTeX article whose numbers are those of the report",
    )
    paper.add_argument(
        "words",
        nargs="*",
        metavar="STUDY|TABLE|key=value",
        help="the study first, as study=STUDY; then as for gradprom report",
    )
    paper.add_argument("-o", "--output", type=Path, required=True, help="the article's folder")


def _study(args: argparse.Namespace, name: str | None = None) -> Study:
    """The study of the settings, or the one of a name."""
    from gradprom.runs.records import Study

    return Study(*results_and_study([*args.settings, *([f"study={name}"] if name else [])]))


def _found(study: Study, words: str) -> Record:
    """The record of the run that words select."""
    from gradprom.reports.finding.find import resolve

    return resolve(study, words)


def _checkout(args: argparse.Namespace) -> None:
    from gradprom.runs.checkout import checkout

    study = _study(args)
    record = _found(study, " ".join(args.run))
    command = checkout(study, record, args.output)
    print(f"{args.output}: {record.git.text()}\n{command}")


def _du(args: argparse.Namespace) -> None:
    from gradprom.disk.usage import overview

    print(overview(_study(args).results))


def _clean(args: argparse.Namespace) -> None:
    from gradprom.disk import clean
    from gradprom.disk.usage import size_text

    study = _study(args)
    kinds = [word for word in args.words if word in (*clean.KINDS, clean.WEIGHTS, clean.ENDS)]
    words = [word for word in args.words if word not in kinds]
    if words and clean.WEIGHTS not in kinds:
        raise ConfigError(
            f"{' '.join(words)} selects runs, whose weights go with `gradprom clean weights "
            f"{' '.join(words)}`; without runs, choose from {', '.join(clean.KINDS)}"
        )
    weights_of = _finished(study, words) if clean.WEIGHTS in kinds else []
    found = clean.find(study.results, kinds or clean.KINDS, weights_of)
    print(found.text() or f"{study.results}: nothing to clean")
    if args.yes:
        freed, problems = clean.remove(found.items)
        print("\n".join([*problems, f"{size_text(freed)} freed"]))
    elif found.items:
        print(f"{size_text(found.size)} can go; --yes removes it")


def _finished(study: Study, words: list[str]) -> list[tuple[str, str]]:
    """Study and id of the finished runs that words select; of all without words."""
    from gradprom.reports.finding.find import candidates, select

    runs = select(study, candidates(study, words), words)
    return [(study.name, run.id) for run in runs if run.record and run.record.finished]


def _merge(args: argparse.Namespace) -> None:
    from gradprom.runs.archive import unpacked
    from gradprom.runs.merging import merge, source_study

    study = _study(args)
    for path in args.others:
        with unpacked(path, study.results) if path.is_file() else nullcontext(path) as folder:
            merged = merge(study, source_study(folder, study.name), args.stages)
        print(f"{path}: {merged.text()}")


def _pack(args: argparse.Namespace) -> None:
    from gradprom.disk.usage import size_of, size_text
    from gradprom.runs.archive import pack

    study = _study(args, args.study)
    records, stages = pack(study, args.output, args.stages)
    counts = f"{records} record{'s' * (records != 1)}" + (f", {stages} stages" if stages else "")
    print(f"{args.output}: {counts} of study {study.name}, {size_text(size_of(args.output))}")


def _work(args: argparse.Namespace) -> None:
    from gradprom.launch.work import work

    names = [word for word in args.words if "=" not in word]
    if len(names) > 1:
        raise ConfigError(f"{' '.join(names)}: give one study, and key=value")
    places = [word for word in args.words if "=" in word]
    finished, others = work(_study(args, names[0] if names else None), places)
    print(f"{finished} finished, {others} stopped; no further run waits")
    if others:
        sys.exit(1)


def _paper(args: argparse.Namespace) -> None:
    from gradprom.reports import manuscript
    from gradprom.reports.report import report

    named = bool(args.words) and "=" not in args.words[0]
    study = _study(args, args.words[0] if named else None)
    words = args.words[named:]
    names = [word for word in words if "=" not in word]
    shown = report(study, names, [word for word in words if "=" in word])
    cells = manuscript.write(
        args.output, shown.tables, shown.pictures, study.results, [study.name, *words]
    )
    counts = f"{len(shown.tables)} tables, {len(cells)} cells, {len(shown.pictures)} figures"
    print(f"paper    {args.output}: {counts}; make compiles it")
