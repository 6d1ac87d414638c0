"""On paper: what the eight tables cost at the paper's settings, in arithmetic and in hours.

Operations are counted by torch on networks without memory (the device `meta`), a forward pass a
network; a step is then made of such passes, as its strategy makes them. Images an epoch are those
of the published datasets, whether they are on this machine or not.

Hours are those of one H200, by the time that `MEASURED` updates took there. What was measured is
GradProm's update of the paper's networks at 256² with diagnosis; the time of every other step is
extrapolated from it, in proportion to the operations.
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import measuring
from gradprom import config
from gradprom.config import Config
from gradprom.config.typed import image_size
from gradprom.degradations import scale_of
from gradprom.methods import recognition
from gradprom.sweeps.request import read_request, shell_composer
from gradprom.training.stage import Stage

IMAGES = {"isic2018": 2075, "covid_ct": 600, "lizard": 2880, "camus": 1600}
"""For training; of Lizard 180 images in 16 tiles, of CAMUS 400 patients in 4 frames."""
TABLES = [f"table{number}" for number in range(1, 9)]


MEASURED = {
    "float32": 186.7,
    "TF32": 107.5,
    "TF32, graph": 48.3,
    "bfloat16, graph": 37.3,
}
"""Milliseconds of an update of `REFERENCE` on an H200 with torch 2.11, pipelined: eager, or as one
CUDA graph, in TF32 then with channels last."""
REFERENCE = ("profile=paper", "size=256", "strategy=gradprom", "auxiliary=diagnosis")


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    args = parser.parse_args()
    config.register()
    rates = sustained()
    rows = [
        row("together" if len(tables) > 1 else tables[0], tables, rates)
        for tables in table_groups(args)
    ]
    tflops = {name: rate / 1e12 for name, rate in rates.items()}
    measuring.report("cost", rows, args, tflops=tflops)


def sustained() -> dict[str, float]:
    """Floating-point operations a second of the measured update, by how it was computed."""
    [run] = read_request([*REFERENCE, "pretrained=false"], shell_composer()).runs
    work = step(run.method.stage(), run.config)
    return {name: work / (1e-3 * milliseconds) for name, milliseconds in MEASURED.items()}


def table_groups(args: argparse.Namespace) -> list[list[str]]:
    """Each table by itself, and then all of them in one sweep."""
    return [[name] for name in args.tables] + [args.tables] * (len(args.tables) > 1)


def row(title: str, tables: list[str], rates: dict[str, float]) -> dict[str, Any]:
    """Runs, distinct stages, steps and operations of some tables."""
    overrides = [f"experiment={','.join(tables)}", "pretrained=false"]
    runs = read_request(overrides, shell_composer()).runs
    stages = {
        stage.id: (stage, run.config) for run in runs for stage in run.method.stage().lineage()
    }
    steps = {id: steps_of(stage, chosen) for id, (stage, chosen) in stages.items()}
    work = sum(steps[id] * step(stage, chosen) for id, (stage, chosen) in stages.items())
    alone = sum(steps[s.id] for run in runs for s in run.method.stage().lineage())
    return {
        "tables": title,
        "runs": len(runs),
        "stages": len(stages),
        "million steps": sum(steps.values()) / 1e6,
        "to each run alone": sum(steps.values()) / alone,
        "EFLOP": work / 1e18,
        **{f"hours, {name}": work / rate / 3600 for name, rate in rates.items()},
    }


def steps_of(stage: Stage, chosen: Config) -> int:
    """Batches that a stage trains on."""
    return stage.epochs * (IMAGES[chosen.dataset.name] // chosen.trainer.batch_size)


def step(stage: Stage, chosen: Config) -> float:
    """Floating-point operations of a step.

    A backward pass through a network is two forward passes, one for its input's gradient and one
    for its weights'; each gradient that is compared goes through the enhancer by itself.
    """
    kind, _, task = stage.name.partition(".")
    if kind in ("recognizer", "benchmark"):
        return 3 * passes(chosen, task or chosen.auxiliary.tasks[0])
    enhancer, strategy = passes(chosen, "enhancer"), chosen.strategy
    tasks = chosen.auxiliary.tasks if strategy.has_auxiliary and kind == "coupled" else []
    through = 1 + len(tasks) if strategy.compares and tasks else 1
    # frozen weights have no gradients; what is compared with comes from a clean image
    of_task = (3 if strategy.learns else 2) + (chosen.supervision == "unsupervised")
    return (1 + 2 * through) * enhancer + sum(of_task * passes(chosen, task) for task in tasks)


def passes(chosen: Config, network: str) -> float:
    """Operations of one forward pass of a batch through the enhancer, or a task's recognizer."""
    count, size, channels = (
        chosen.trainer.batch_size,
        image_size(chosen.dataset),
        chosen.facts.channels,
    )
    if network == "enhancer":
        backbone, scale = chosen.backbone, scale_of(chosen.degradation)
        build = functools.partial(
            config.component("backbone", backbone.name).build, backbone, channels, scale
        )
        return _counted(f"{backbone} {scale}", (count, channels, size // scale), build)
    build = functools.partial(recognition.build, chosen, network, fresh=False)
    return _counted(f"{chosen.auxiliary.backbone} {network}", (count, channels, size), build)


def _counted(name: str, shape: tuple[int, int, int], build: Callable[[], nn.Module]) -> float:
    count, channels, size = shape
    key = f"{name} {shape}"
    if key not in _COUNTS:
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            build().eval()(torch.empty(count, channels, size, size))
        _COUNTS[key] = float(counter.get_total_flops())
    return _COUNTS[key]


_COUNTS: dict[str, float] = {}


if __name__ == "__main__":
    main()
