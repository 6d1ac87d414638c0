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

import fixtures
import measuring
from gradprom import config
from gradprom.config.typed import image_size
from gradprom.data.loader import test_batches
from gradprom.experiments.expansion import Identity, expanded
from gradprom.experiments.overrides import OverrideList
from gradprom.methods.task_driven import TaskDriven
from gradprom.reports.report import report
from gradprom.sweeps import run_ids
from gradprom.sweeps.plan import make_plan
from gradprom.sweeps.request import read_request, shell_composer

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from support import records_factory  # type: ignore[import-not-found]  # noqa: E402

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
    parser = measuring.parser(__doc__, repeats=3)
    parser.add_argument("--only", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--shrink", type=int, default=1, help="divides all sizes, for a quick look")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for quantity in args.only:
            sizes = [size // args.shrink for size in SIZES[quantity]]
            measurements = MAKERS[quantity](sizes, args.device, Path(place))
            pieces = {str(size): piece for size, piece in measurements.items()}
            timings = measuring.seconds(pieces, args.repeats, args.device)
            medians = [float(np.median(times)) for times in timings.values()]
            rows.append({"quantity": quantity, **fitted(list(measurements), medians)})
    measuring.report("scaling", rows, args)


def fitted(sizes: list[int], times: list[float]) -> dict[str, Any]:
    """The power law through some times, and the times."""
    x, y = np.log(sizes), np.log(times)
    exponent, offset = np.polyfit(x, y, 1)
    residuals = y - (exponent * x + offset)
    text = ", ".join(f"{n}: {t:.3g} s" for n, t in zip(sizes, times, strict=True))
    r2 = 1 - residuals.var() / y.var()
    return {"exponent": exponent, "r2": r2, "seconds": text}


def _steps(overrides: list[str], device: str) -> tuple[int, measuring.Piece]:
    """The enhancer's number of parameters, and a step of coupled training."""
    chosen = fixtures.composed("strategy=gradprom", *overrides)
    size, count = image_size(chosen.dataset), chosen.trainer.batch_size
    training = fixtures.coupled(TaskDriven(chosen), torch.device(device))
    images = fixtures.images(count, size, chosen.facts, "train")
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
        overrides = [f"seed=range({runs})", "strategy=gradprom", f"results={place}"]
        make_plan(read_request(overrides, shell_composer()).runs, retry_failed=False)

    config.register()
    return {n: partial(plan, n) for n in sizes}


def _reported(sizes: list[int], device: str, place: Path) -> dict[int, measuring.Piece]:
    return {32 * seeds: _report(seeds, place / str(seeds)) for seeds in sizes}


def _report(seeds: int, results: Path) -> measuring.Piece:
    """Table I from made-up records: 32 cells and `seeds` seeds."""
    override = f"seed={','.join(map(str, range(seeds)))}"
    study = records_factory.make(results, ["table1"], override).study

    def identify(runs: list[OverrideList]) -> list[Identity]:
        identities: list[Identity] = records_factory.identify(runs)
        run_ids.save(list(zip(runs, identities, strict=True)), results)
        return identities

    expanded(["table1"], [override], identify, study)

    def piece() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            report(study, ["table1"], [override])

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
