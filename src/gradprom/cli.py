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

from gradprom import lab_commands, streams
from gradprom.errors import ConfigError, GradpromError
from gradprom.runs import enhance_command, restore_command
from gradprom.settings import is_setting, results_and_studies, results_and_study
from gradprom.startup import prepare

if TYPE_CHECKING:
    from gradprom.runs.record import Record
    from gradprom.runs.records import Study

_RUN = "an id, its beginning, or quoted words such as 'gradprom 0.1 seed=0' (see gradprom runs)"
_EPILOG = "study=NAME and results=FOLDER select the records (default: local, results)."


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a user error is reported in one sentence, with exit code 1."""
    try:
        prepared = prepare(sys.argv[1:] if arguments is None else arguments)
        settings = [text for text in prepared if is_setting(text)]
        args = _parser().parse_args(
            enhance_command.joined([text for text in prepared if text not in settings])
        )
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
    runs = _command(
        commands, "runs", _runs, "list runs: id, what tells them apart, scores, age, state"
    )
    runs.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="list only runs that all words select: overrides such as strategy=gradprom noise=0.1, "
        "bare values such as gradprom 0.1, states such as failed, or the beginning of an id",
    )
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
    figure = _command(commands, "figure", _figure, "the papers' figures that need networks")
    figure.add_argument(
        "words",
        nargs="*",
        metavar="FIGURE|key=value",
        help="fig2, fig4, fig5, fig6, fig7, task_gan/images, …/roc, …/labels, "
        "regularizing_gradients/fig1, …/fig2",
    )

    enhance = _command(commands, "enhance", _enhance, "enhance an image, or a folder of images")
    enhance_command.add_arguments(enhance, _RUN)

    restore = _command(
        commands, "restore", _restore, "restore an image whose problem is known, by a run's prior"
    )
    restore_command.add_arguments(restore, _RUN)

    compare = _command(
        commands, "compare", _compare, "compare two runs: configurations, paired scores"
    )
    compare.add_argument("runs", nargs=2, metavar="RUN", help=_RUN)
    rounding = _command(
        commands,
        "rounding",
        _rounding,
        "train a run again in the other memory layout: what rounding alone changes",
    )
    rounding.add_argument("run", metavar="RUN", help=_RUN)
    export = _command(
        commands, "export", _export, "export weights, configuration and a card of a run"
    )
    export.add_argument("run", nargs="+", metavar="RUN", help=_RUN)
    export.add_argument("-o", "--output", type=Path, required=True, help="a new folder")
    for name, command, text in (
        ("forget", _forget, "move runs to results/set-aside"),
        ("rerun", _rerun, "forget runs and train them again"),
    ):
        forget = _command(commands, name, command, text)
        forget.add_argument("runs", nargs="+", metavar="RUN", help=_RUN)
        forget.add_argument(
            "--stages",
            action="store_true",
            help="also earlier stages, which other runs may share",
        )
    lab_commands.add_to(commands, _command, _RUN)
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


def _runs(args: argparse.Namespace) -> None:
    from gradprom.reports.finding.listing import listing

    print(listing(_study(args), args.words))


def _found(study: Study, words: str) -> Record:
    """The record of the run that words select."""
    from gradprom.reports.finding.find import resolve

    return resolve(study, words)


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
    from gradprom.runs.joined import joined

    report(joined(*results_and_studies(args.settings)), names, overrides)


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
    study = _study(args)
    enhance_command.enhance(args, study, find_record=lambda: _found(study, args.run))


def _restore(args: argparse.Namespace) -> None:
    study = _study(args)
    restore_command.restore(args, study, find_record=lambda: _found(study, args.prior))


def _compare(args: argparse.Namespace) -> None:
    from gradprom.reports.compare import compare

    study = _study(args)
    print(compare(study, *(_found(study, words).id for words in args.runs)).text())


def _rounding(args: argparse.Namespace) -> None:
    from gradprom.reports.rounding import measure

    study = _study(args)
    print(measure(study, _found(study, args.run).id).text())


def _export(args: argparse.Namespace) -> None:
    from gradprom.runs.export import export

    study = _study(args)
    export(study, _found(study, " ".join(args.run)).id, args.output)
    print(f"{args.output}: weights.safetensors, config.yaml, README.md")


def _forget(args: argparse.Namespace) -> None:
    from gradprom.runs.forget import forget

    study = _study(args)
    ids = [_found(study, words).id for words in args.runs]
    for source, target in forget(study, ids, args.stages):
        print(f"moved {source}\n   to {target}")


def _rerun(args: argparse.Namespace) -> None:
    from gradprom import entry
    from gradprom.runs.restore import load_run

    study = _study(args)
    args.runs = [_found(study, words).id for words in args.runs]
    runs = [load_run(study, run_id) for run_id in args.runs]
    for run in runs:
        run.images()  # fails before anything is moved if the run cannot be trained again
    _forget(args)
    entry.run_here(runs, retry_failed=True)


_PRINTING = (_describe, _degraded, _status, _runs, _compare)
"""Commands whose only result is what they print."""

if __name__ == "__main__":
    main()
