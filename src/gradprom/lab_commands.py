"""The commands of `gradprom` that look after a study: its code, its disk, its other machines.

docs/lab.md shows them as typed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def _study(args: argparse.Namespace) -> Study:
    from gradprom.runs.records import Study

    return Study(*results_and_study(args.settings))


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
