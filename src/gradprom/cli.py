"""The command line `gradprom`: everything but training, which is `run.py`.

Each command imports what it needs when it runs, so that `--help` and `status` answer at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradprom.errors import ConfigError, GradpromError

if TYPE_CHECKING:
    from gradprom.runs.records import Study

SETTINGS = {"study": "local", "results": "results"}
"""The settings of every command, given as `key=value`, with their defaults."""
_EPILOG = "study=NAME and results=FOLDER select the records (default: local, results)."


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a user error is reported in one sentence, with exit code 1."""
    texts = sys.argv[1:] if arguments is None else arguments
    settings = [text for text in texts if text.split("=")[0] in SETTINGS and "=" in text]
    args = _parser().parse_args([text for text in texts if text not in settings])
    args.settings = settings
    try:
        args.command(args)
    except GradpromError as error:
        sys.exit(f"gradprom: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


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
    enhance.add_argument("input", type=Path, help="an image, or a folder that contains only images")
    enhance.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="a .png file, or a folder; transparency is not changed",
    )
    enhance.add_argument("--run", required=True, metavar="RUN", help="the run with the weights")
    enhance.add_argument("--tile", type=int, default=512, help="pixels per side (default: 512)")
    enhance.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))

    compare = _command(
        commands, "compare", _compare, "compare two runs: configurations, paired scores"
    )
    compare.add_argument("runs", nargs=2, metavar="RUN")
    rounding = _command(
        commands,
        "rounding",
        _rounding,
        "train a run again in the other memory layout: what rounding alone changes",
    )
    rounding.add_argument("run", metavar="RUN")
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

    values = SETTINGS | dict(text.split("=", 1) for text in args.settings)
    return Study(Path(values["results"]), values["study"])


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
    from gradprom.data import image_files

    targets = image_files.assign(args.input, args.output)
    study = _study(args)
    record = study.resolve(args.run)

    import torch

    from gradprom.runs import inference, restore
    from gradprom.training.engine import choose_device

    run = restore.load_run(study, record.id)
    torch.set_num_threads(run.config.trainer.threads)
    device, channels = choose_device(args.device), run.config.facts.channels
    inference.require_pictures(run.config.facts, record.id)
    scale = run.config.degradation.scale
    method = restore.restored_method(run, record, device)
    for source, target in targets.items():
        picture = image_files.read(source)
        planes = picture.planes()
        enhanced = inference.enhance(method.enhance, planes, channels, args.tile, device, scale)
        replaced = "  (replaced)" if target.exists() else ""
        shown = picture.showing(enhanced)
        image_files.write(target, shown)
        print(f"{target}  {shown.kind()}{replaced}")


def _compare(args: argparse.Namespace) -> None:
    from gradprom.reports.compare import compare

    print(compare(_study(args), *args.runs).text())


def _rounding(args: argparse.Namespace) -> None:
    from gradprom.reports.rounding import measure

    print(measure(_study(args), args.run).text())


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


if __name__ == "__main__":
    main()
