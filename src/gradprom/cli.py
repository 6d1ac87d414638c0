"""The command line `gradprom`: everything but training, which is `run.py`.

Each command imports what it needs when it runs, so that `--help` and `status` answer at once.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradprom import streams
from gradprom.errors import ConfigError, DataError, GradpromError
from gradprom.settings import is_setting, results_and_study
from gradprom.startup import prepare

if TYPE_CHECKING:
    from gradprom.runs.records import Study

_EPILOG = "study=NAME and results=FOLDER select the records (default: local, results)."


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a user error is reported in one sentence, with exit code 1."""
    try:
        words = prepare(sys.argv[1:] if arguments is None else arguments)
        settings = [word for word in words if is_setting(word)]
        args = _parser().parse_args(_joined([word for word in words if word not in settings]))
        args.settings = settings
        args.command(args)
        sys.stdout.flush()
    except GradpromError as error:
        sys.exit(f"gradprom: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    lost = streams.failure()
    # a reader that has seen enough, such as `head`, is no failure
    if lost is not None and lost.errno != errno.EPIPE and args.command in _PRINTING:
        sys.exit(1)


def _joined(texts: list[str]) -> list[str]:
    """`--range -160,240` in one word, for argparse takes the second for an option."""
    if "--range" not in texts[:-1]:
        return texts
    at = texts.index("--range")
    return [*texts[:at], f"--range={texts[at + 1]}", *texts[at + 2 :]]


def _numbers(text: str) -> list[float]:
    """Numbers between commas, in brackets or not."""
    try:
        return [float(number) for number in text.strip("[]").split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} must be two numbers, BLACK,WHITE") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradprom",
        description="Everything but training; training is run.py.",
        epilog=_EPILOG,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="inspect a dataset", epilog=_EPILOG)
    checks = data.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("describe", _describe, "where to get a dataset, its layout, splits, and pitfalls"),
        ("check", _check, "read a dataset's folder, report problems and draw a sample of it"),
    ):
        looks = _command(checks, name, command, text)
        looks.add_argument(
            "overrides",
            nargs="*",
            metavar="key=value",
            help="such as dataset=covid_ct data_root=../data",
        )

    degraded = _command(
        checks, "degraded", _degraded, "PSNR and SSIM of the degraded inputs of some tables, as CSV"
    )
    degraded.add_argument(
        "words", nargs="+", metavar="TABLE|key=value", help="such as table1 data_root=../data"
    )

    status = _command(
        commands, "status", _status, "which runs are done, queued, running, failed, missing"
    )
    status.add_argument("--watch", action="store_true", help="update until all runs have ended")
    _command(commands, "cancel", _cancel, "cancel the Slurm jobs that have not started")
    report = _command(
        commands, "report", _report, "tables, claims, figures and a page from a study's records"
    )
    report.add_argument(
        "words",
        nargs="*",
        metavar="TABLE|key=value",
        help="such as table1 profile=demo; by default the tables of the study's sweeps; "
        "tune=NAME reports a tuning",
    )
    figure = _command(commands, "figure", _figure, "the paper's figures that need networks")
    figure.add_argument(
        "words", nargs="*", metavar="FIGURE|key=value", help="fig2, fig4, fig5, fig6, fig7"
    )

    enhance = _command(commands, "enhance", _enhance, "enhance an image, or a folder of images")
    enhance.add_argument("input", type=Path, help="an image or a stack, or a folder of them")
    enhance.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="a file of the input's kind (.png, .tif, .nii.gz, .dcm), or a folder",
    )
    enhance.add_argument("--run", required=True, metavar="RUN", help="the run with the weights")
    enhance.add_argument(
        "--range",
        type=_numbers,
        default=[],
        metavar="BLACK,WHITE",
        help="values of black and white in images of more than 8 bits (default: those of the "
        "run's own data, or what the bits of all inputs can hold)",
    )
    enhance.add_argument("--tile", type=int, default=512, help="pixels per side (default: 512)")
    enhance.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))

    compare = _command(
        commands, "compare", _compare, "compare two runs: configurations, paired scores"
    )
    compare.add_argument("runs", nargs=2, metavar="RUN")
    export = _command(
        commands, "export", _export, "export weights, configuration and a card of a run"
    )
    export.add_argument("run", metavar="RUN")
    export.add_argument("-o", "--output", type=Path, required=True, help="a new folder")
    for name, command, text in (
        ("forget", _forget, "move runs to results/set-aside"),
        ("rerun", _rerun, "forget runs and train them again"),
    ):
        forget = _command(commands, name, command, text)
        forget.add_argument("runs", nargs="+", metavar="RUN")
        forget.add_argument(
            "--stages",
            action="store_true",
            help="also earlier stages, which other runs may share",
        )
    return parser


def _command(
    group: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Callable[[argparse.Namespace], None],
    text: str,
) -> argparse.ArgumentParser:
    parser = group.add_parser(name, help=text, description=text, epilog=_EPILOG)
    parser.set_defaults(command=command)
    return parser


def _study(args: argparse.Namespace) -> Study:
    from gradprom.runs.records import Study

    return Study(*results_and_study(args.settings))


def _dataset(args: argparse.Namespace) -> tuple[Any, Any]:
    """The module of the chosen dataset, and its options."""
    from gradprom import config
    from gradprom.config.composing import compose

    node = compose([*args.overrides, *args.settings])
    options = config.options("dataset", node.dataset)
    return config.component("dataset", options.name), options


def _describe(args: argparse.Namespace) -> None:
    from gradprom.data.dataset_card import describe

    print(describe(*_dataset(args)))


def _check(args: argparse.Namespace) -> None:
    from gradprom.data.check import check

    dataset, options = _dataset(args)
    study = _study(args)
    sheet = study.results / "data" / f"{options.name}.png"
    report = check(dataset.build(options), study.cache, sheet)
    print(report.text())
    if report.problems:
        sys.exit(1)


def _status(args: argparse.Namespace) -> None:
    from gradprom.sweeps.status import overview, watch

    if args.watch:
        watch(_study(args))
    else:
        print(overview(_study(args)))


def _cancel(args: argparse.Namespace) -> None:
    from gradprom.sweeps.queue import cancel

    cancelled = cancel(_study(args))
    print(f"{len(cancelled)} queued run{'s' * (len(cancelled) != 1)} cancelled")


def _report(args: argparse.Namespace) -> None:
    names, overrides = _names_and_overrides(args.words)
    if tuned := [text for text in overrides if text.startswith("tune=")]:
        if len(args.words) > 1:
            raise ConfigError(f"{tuned[0]} can only be combined with study= and results=")
        from gradprom.tuning.report import report_all

        return report_all(_study(args), tuned[0].removeprefix("tune="))
    from gradprom.reports.report import report

    report(_study(args), names, overrides)


def _figure(args: argparse.Namespace) -> None:
    from gradprom.figures import draw_all

    draw_all(_study(args), *_names_and_overrides(args.words))


def _degraded(args: argparse.Namespace) -> None:
    from gradprom.sweeps.degraded_inputs import degraded_inputs

    names, overrides = _names_and_overrides([*args.words, *args.settings])
    print(degraded_inputs(names, overrides), end="")


def _names_and_overrides(texts: list[str]) -> tuple[list[str], list[str]]:
    """Names of tables or figures, and `key=value` overrides."""
    return [text for text in texts if "=" not in text], [text for text in texts if "=" in text]


def _enhance(args: argparse.Namespace) -> None:
    from gradprom.data import image_files, value_range
    from gradprom.data.text_files import listed

    try:
        given = value_range.checked(args.range, "--range ")
    except ValueError as error:
        raise ConfigError(str(error)) from error
    study = _study(args)
    record = study.resolve(args.run)
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


def _compare(args: argparse.Namespace) -> None:
    from gradprom.reports.compare import compare

    print(compare(_study(args), *args.runs).text())


def _export(args: argparse.Namespace) -> None:
    from gradprom.runs.export import export

    export(_study(args), args.run, args.output)
    print(f"{args.output}: weights.safetensors, config.yaml, README.md")


def _forget(args: argparse.Namespace) -> None:
    from gradprom.runs.forget import forget

    for source, target in forget(_study(args), args.runs, args.stages):
        print(f"moved {source}\n   to {target}")


def _rerun(args: argparse.Namespace) -> None:
    from gradprom import entry
    from gradprom.runs.restore import load_run

    study = _study(args)
    runs = [load_run(study, prefix) for prefix in args.runs]
    for run in runs:
        run.images()  # fails before anything is moved if the run cannot be trained again
    _forget(args)
    entry.run_here(runs, retry_failed=True)


_PRINTING = (_describe, _degraded, _status, _compare)
"""Commands whose only result is what they print."""

if __name__ == "__main__":
    main()
