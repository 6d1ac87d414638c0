"""The command line `gradprom`: everything around training, which is `run.py`.

Each command imports what it needs when it runs, so that `--help` and `status` answer at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gradprom.errors import ConfigError, GradpromError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gradprom.sweeps.records import Study

SETTINGS = {"study": "local", "results": "results"}
"""What every command takes as `key=value`, with its default."""
_EPILOG = "study=NAME and results=FOLDER say whose records are meant (default: local, results)."


def main(arguments: list[str] | None = None) -> None:
    """Run one command; an error that a person can put right is one sentence and exit code 1."""
    given = sys.argv[1:] if arguments is None else arguments
    settings = [text for text in given if text.split("=")[0] in SETTINGS and "=" in text]
    args = _parser().parse_args([text for text in given if text not in settings])
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
        description="Everything around training; training itself is run.py.",
        epilog=_EPILOG,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="look at a dataset", epilog=_EPILOG)
    checks = data.add_subparsers(required=True, metavar="COMMAND")
    check = _command(checks, "check", _check, "what a dataset's folder holds, and what is wrong")
    check.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="such as dataset=covid_ct data_root=../data",
    )

    _command(commands, "status", _status, "what is done, running, failed, missing")
    _command(commands, "report", _report, "the table of a study's records")

    enhance = _command(commands, "enhance", _enhance, "enhance a picture, or a folder of pictures")
    enhance.add_argument("input", type=Path, help="a picture, or a folder that holds nothing else")
    enhance.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="a .png file, or a folder; transparency is kept as it is",
    )
    enhance.add_argument("--run", required=True, metavar="RUN", help="whose weights")
    enhance.add_argument("--tile", type=int, default=512, help="pixels a side (default: 512)")
    enhance.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))

    compare = _command(commands, "compare", _compare, "two runs: configurations, paired scores")
    compare.add_argument("runs", nargs=2, metavar="RUN")
    export = _command(commands, "export", _export, "weights, configuration and a card of a run")
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
            help="also the stages before the last, which other runs may share",
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
    from gradprom.sweeps.records import Study

    given = SETTINGS | dict(text.split("=", 1) for text in args.settings)
    return Study(Path(given["results"]), given["study"])


def compose(overrides: list[str]) -> DictConfig:
    """What `run.py` would compose from the same words.

    Raises
    ------
    ConfigError
        With Hydra's own message, or if the folder `conf` is not there.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    import gradprom
    from gradprom import config

    conf = Path(gradprom.__file__).parents[2] / "conf"
    if not conf.is_dir():
        raise ConfigError(f"there is no {conf}: install from a clone, with `pip install -e .`")
    config.register()
    try:
        with hydra.initialize_config_dir(str(conf), version_base="1.3"):
            return hydra.compose("config", overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error)) from error


def _check(args: argparse.Namespace) -> None:
    from gradprom import config
    from gradprom.data.check import check

    node = compose([*args.overrides, *args.settings])
    options = config.options("dataset", node.dataset)
    source = config.component("dataset", options.name).build(options)
    report = check(source, _study(args).cache)
    print(report.text())
    if report.problems:
        sys.exit(1)


def _status(args: argparse.Namespace) -> None:
    from gradprom.sweeps.status import overview

    print(overview(_study(args)))


def _report(args: argparse.Namespace) -> None:
    from gradprom.reports.summary import report

    report(_study(args))


def _enhance(args: argparse.Namespace) -> None:
    from gradprom import pictures

    targets = pictures.assign(args.input, args.output)
    study = _study(args)
    record = study.resolve(args.run)

    import torch

    from gradprom import inference
    from gradprom.sweeps import stored
    from gradprom.training.engine import choose_device

    run = stored.load_run(study, record["id"])
    torch.set_num_threads(run.config.trainer.threads)
    device, channels = choose_device(args.device), run.config.facts.channels
    method = stored.restored_method(run, record, device)
    for source, target in targets.items():
        picture = pictures.read(source)
        enhanced = inference.enhance(method.enhance, picture.planes(), channels, args.tile, device)
        replaced = "  (replaced)" if target.exists() else ""
        pictures.write(target, picture.showing(enhanced))
        print(f"{target}  {picture.kind()}{replaced}")


def _compare(args: argparse.Namespace) -> None:
    from gradprom.sweeps.compare import compare

    print(compare(_study(args), *args.runs).text())


def _export(args: argparse.Namespace) -> None:
    from gradprom.sweeps.export import export

    export(_study(args), args.run, args.output)
    print(f"{args.output}: weights.safetensors, config.yaml, README.md")


def _forget(args: argparse.Namespace) -> None:
    from gradprom.sweeps.forget import forget

    for source, target in forget(_study(args), args.runs, args.stages):
        print(f"moved {source}\n   to {target}")


def _rerun(args: argparse.Namespace) -> None:
    from gradprom import entry
    from gradprom.sweeps.stored import load_run

    study = _study(args)
    runs = [load_run(study, prefix) for prefix in args.runs]
    for run in runs:
        run.images()  # what cannot be trained again stays where it is
    _forget(args)
    entry.here(runs, retry_failed=True)


if __name__ == "__main__":
    main()
