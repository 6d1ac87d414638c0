"""`gradprom enhance`: its option `--range`, its notes on standard error, and what it prints.

What needs torch is imported once the inputs have been read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from gradprom.errors import ConfigError, DataError

if TYPE_CHECKING:
    from gradprom.runs.record import Record
    from gradprom.runs.records import Study


def joined(texts: list[str]) -> list[str]:
    """`--range -160,240` in one word, for argparse takes the second for an option."""
    if "--range" not in texts[:-1]:
        return texts
    at = texts.index("--range")
    return [*texts[:at], f"--range={texts[at + 1]}", *texts[at + 2 :]]


def numbers(text: str) -> list[float]:
    """Numbers between commas, in brackets or not."""
    try:
        return [float(number) for number in text.strip("[]").split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} must be two numbers, BLACK,WHITE") from None


def enhance(args: argparse.Namespace, study: Study, find_record: Callable[[], Record]) -> None:
    """Enhance a file or a folder.

    Parameters
    ----------
    find_record
        Looks for the record of the run, once the options are known to be right.
    """
    from gradprom.data import image_files, value_range
    from gradprom.data.text_files import listed

    try:
        given = value_range.checked(args.range, "--range ")
    except ValueError as error:
        raise ConfigError(str(error)) from error
    record = find_record()
    work = image_files.assign(args.input, args.output)

    from gradprom.runs import enhancement

    values = image_files.value_range(work.extremes, given, enhancement.trained_range(record))
    enhancer = enhancement.Enhancer(study, record, args.tile, args.device)
    outside = image_files.clipped(work.extremes, values)
    for sentence in [*([outside] if outside else []), *work.skipped]:
        print(f"gradprom: note: {sentence}", file=sys.stderr)
    for line in enhancement.enhance_all(enhancer, work, values):
        print(line)
    if work.unreadable:
        raise DataError(
            f"{len(work.unreadable)} files could not be read, and the others are enhanced:"
            + listed(work.unreadable)
        )
