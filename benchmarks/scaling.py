"""How time grows: with image size, batch, parameters, runs of a sweep, and records of a study.

Each is measured at four sizes in turn, and a power law is fitted: `exponent` is the slope in
log-log, `r2` how much of the variance it explains. A step is coupled training of the demo's
networks with GradProm.
"""

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import made
import measuring
from gradprom import config
from gradprom.data.loader import test_batches
from gradprom.experiments.expansion import Identity, expanded
from gradprom.experiments.overrides import OverrideList
from gradprom.methods.task_driven import TaskDriven
from gradprom.reports.report import report
from gradprom.sweeps import plan as plans
from gradprom.sweeps import request as requests
from gradprom.sweeps import run_ids

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import fabricated  # type: ignore[import-not-found]  # noqa: E402  the tests' own

SIZES = {
    "pixels a side": (64, 96, 128, 160),
    "batch": (2, 4, 8, 16),
    "parameters": (8, 16, 24, 32),
    "runs planned": (50, 100, 200, 400),
    "records reported": (3, 6, 12, 24),
}
"""For parameters the enhancer's channels, for records the seeds of Table I; what is told and
fitted are parameters and records."""


def main() -> None:
    words = measuring.parser(__doc__, repeats=3)
    words.add_argument("--only", nargs="+", default=list(SIZES), choices=SIZES)
    words.add_argument("--shrink", type=int, default=1, help="divides all sizes, for a quick look")
    given = words.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for quantity in given.only:
            sizes = [size // given.shrink for size in SIZES[quantity]]
            found = MAKERS[quantity](sizes, given.device, Path(place))
            pieces = {str(size): piece for size, piece in found.items()}
            took = measuring.seconds(pieces, given.repeats, given.device)
            medians = [float(np.median(times)) for times in took.values()]
            rows.append({"quantity": quantity, **fitted(list(found), medians)})
    measuring.tell("scaling", rows, given)


def fitted(sizes: list[int], took: list[float]) -> dict[str, Any]:
    """The power law through some times, and the times."""
    x, y = np.log(sizes), np.log(took)
    exponent, offset = np.polyfit(x, y, 1)
    left = y - (exponent * x + offset)
    told = ", ".join(f"{n}: {t:.3g} s" for n, t in zip(sizes, took, strict=True))
    r2 = 1 - left.var() / y.var()
    return {"exponent": exponent, "r2": r2, "seconds": told}


def _steps(words: list[str], device: str) -> tuple[int, measuring.Piece]:
    """The enhancer's number of parameters, and a step of coupled training."""
    chosen = made.composed("strategy=gradprom", *words)
    size, count = chosen.dataset.size, chosen.trainer.batch_size
    training = made.coupled(TaskDriven(chosen), torch.device(device))
    images = made.images(count, size, chosen.facts, "train")
    [batch] = test_batches(images, "train", count, chosen.degradation, 0, device)
    parameters = sum(p.numel() for p in training.enhancer.parameters())
    return parameters, lambda: training.update(batch, probe=False)


def _sizes(sizes: list[int], device: str, place: Path) -> dict[int, measuring.Piece]:
    return {n: _steps([f"dataset.size={n}"], device)[1] for n in sizes}


def _batches(sizes: list[int], device: str, place: Path) -> dict[int, measuring.Piece]:
    return {n: _steps([f"trainer.batch_size={n}"], device)[1] for n in sizes}


def _parameters(sizes: list[int], device: str, place: Path) -> dict[int, measuring.Piece]:
    return dict(_steps([f"backbone.channels={n}"], device) for n in sizes)


def _planned(sizes: list[int], device: str, place: Path) -> dict[int, measuring.Piece]:
    def plan(runs: int) -> None:
        words = [f"seed=range({runs})", "strategy=gradprom", f"results={place}"]
        plans.make(requests.read(words, requests.shell_composer()).runs, retry_failed=False)

    config.register()
    return {n: partial(plan, n) for n in sizes}


def _reported(sizes: list[int], device: str, place: Path) -> dict[int, measuring.Piece]:
    return {32 * seeds: _report(seeds, place / str(seeds)) for seeds in sizes}


def _report(seeds: int, results: Path) -> measuring.Piece:
    """Table I from made-up records: 32 cells and as many seeds as told."""
    word = f"seed={','.join(map(str, range(seeds)))}"
    study = fabricated.make(results, ["table1"], word).study

    def identify(asked: list[OverrideList]) -> list[Identity]:
        found: list[Identity] = fabricated.identify(asked)
        run_ids.save(list(zip(asked, found, strict=True)), results)
        return found

    expanded(["table1"], [word], identify, study)

    def piece() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            report(study, ["table1"], [word])

    return piece


Maker = Callable[[list[int], str, Path], dict[int, measuring.Piece]]
MAKERS: dict[str, Maker] = {
    "pixels a side": _sizes,
    "batch": _batches,
    "parameters": _parameters,
    "runs planned": _planned,
    "records reported": _reported,
}


if __name__ == "__main__":
    main()
