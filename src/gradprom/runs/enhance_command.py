"""`gradprom enhance`: its arguments, its notes on standard error, and what it prints.

What needs torch is imported once the inputs have been read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gradprom.errors import ConfigError, DataError, in_lines

if TYPE_CHECKING:
    from gradprom.runs.record import Record
    from gradprom.runs.records import Study


def add_arguments(parser: argparse.ArgumentParser, run_help: str) -> None:
    """The command's arguments; `run_help` says how a run is named."""
    parser.add_argument("input", type=Path, help="an image or a stack, or a folder of them")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="a file of the input's kind (.png, .tif, .nii.gz, .dcm), or a folder",
    )
    parser.add_argument("--run", required=True, metavar="RUN", help=f"the weights' run: {run_help}")
    parser.add_argument(
        "--range",
        type=_numbers,
        default=[],
        metavar="BLACK,WHITE",
        help="values of black and white in images of more than 8 bits (default: those of the "
        "run's own data, or what the bits of all inputs can hold)",
    )
    parser.add_argument("--tile", type=int, default=512, help="pixels per side (default: 512)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))


def joined(texts: list[str]) -> list[str]:
    """`--range -160,240` in one word, for argparse takes the second for an option."""
    if "--range" not in texts[:-1]:
        return texts
    at = texts.index("--range")
    return [*texts[:at], f"--range={texts[at + 1]}", *texts[at + 2 :]]


def enhance(args: argparse.Namespace, study: Study, find_record: Callable[[], Record]) -> None:
    """Enhance a file or a folder.

    Parameters
    ----------
    find_record
        Looks for the record of the run, once the options are known to be right.
    """
    from gradprom.data import image_files, value_range

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
            + in_lines(work.unreadable)
        )


def _numbers(text: str) -> list[float]:
    """Numbers between commas, in brackets or not."""
    try:
        return [float(number) for number in text.strip("[]").split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} must be two numbers, BLACK,WHITE") from None
