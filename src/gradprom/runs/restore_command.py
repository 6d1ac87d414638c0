"""`gradprom restore`: one image with a known problem, restored by a run's method.

What needs torch is imported once the options are known to be right.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gradprom.errors import ConfigError

if TYPE_CHECKING:
    from gradprom.runs.record import Record
    from gradprom.runs.records import Study

PROBLEMS = ("denoise", "deblur", "super_resolution", "completion")
FILTERS = ("bicubic", "gaussian")


def add_arguments(parser: argparse.ArgumentParser, run_help: str) -> None:
    """The command's arguments; `run_help` says how a run is named."""
    parser.add_argument("input", type=Path, help="a degraded image of 8 bits")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a PNG file")
    parser.add_argument("--prior", required=True, metavar="RUN", help=f"the prior: {run_help}")
    parser.add_argument("--problem", required=True, choices=PROBLEMS)
    parser.add_argument(
        "--noise", type=float, default=0.0, help="σ of the noise, from 0 to 1 (default: 0)"
    )
    parser.add_argument(
        "--sigma-blur", type=float, metavar="PIXELS", help="σ of the blur, for deblur"
    )
    parser.add_argument("--scale", type=int, default=2, help="for super_resolution (default: 2)")
    parser.add_argument(
        "--filter", default="bicubic", choices=FILTERS, help="before the down-sampling"
    )
    parser.add_argument(
        "--missing", type=Path, metavar="MASK", help="an image that is not black where pixels miss"
    )
    parser.add_argument("--step", type=float, help="of the solver (default: as the run was tested)")
    parser.add_argument("--iterations", type=int, help="at most (default: as the run was tested)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))


def restore(args: argparse.Namespace, study: Study, find_record: Callable[[], Record]) -> None:
    """Restore an image.

    Parameters
    ----------
    find_record
        Looks for the record of the run, once the options are known to be right.
    """
    overrides = problem(args)
    if args.output.suffix.lower() != ".png":
        raise ConfigError(f"--output {args.output}: the restored image is written as .png")
    record = find_record()

    from gradprom.runs import restoration

    solver = {"step": args.step, "iterations": args.iterations}
    prior = restoration.load_prior(study, record, overrides, solver, args.device)
    with _bar() as advance:
        size = restoration.restore_file(prior, args.input, args.missing, args.output, advance)
    print(f"{args.output}  {size[1]}×{size[0]} pixels")


def problem(args: argparse.Namespace) -> list[str]:
    """The degradation as overrides.

    Raises
    ------
    ConfigError
        For an option that the problem needs and that is missing, or that it does not have.
    """
    needed = {"deblur": ("sigma_blur",), "completion": ("missing",)}.get(args.problem, ())
    for name in ("sigma_blur", "missing"):
        flag = f"--{name.replace('_', '-')}"
        if name in needed and getattr(args, name) is None:
            raise ConfigError(f"--problem {args.problem} needs {flag}")
        if name not in needed and getattr(args, name) is not None:
            raise ConfigError(f"{flag} has no effect with --problem {args.problem}")
    if args.problem == "deblur":
        return ["degradation=deblur", f"degradation.blur.sigma={args.sigma_blur}", _noise(args)]
    if args.problem == "super_resolution":
        filter = f"degradation.parts.decimation.filter={args.filter}"
        return ["degradation=super_resolution", f"scale={args.scale}", filter, _noise(args)]
    if args.problem == "completion":
        if args.noise:
            raise ConfigError("--noise has no effect with --problem completion")
        return ["degradation=completion"]
    return ["degradation=gaussian", "degradation.clamp=false", _noise(args)]


def _noise(args: argparse.Namespace) -> str:
    return f"noise={args.noise}"


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error: a function of steps done and steps in all."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task("restoring")
        yield lambda done, total: progress.update(task, completed=done, total=total)
