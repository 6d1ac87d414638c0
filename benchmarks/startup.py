"""How long a user waits: for the first training step, a plan, a finished sweep, a report.

Each piece is a command in a process of its own, as it would be typed, on one thread; `import
torch` by itself is the floor under those that train or plan. Modules are read from bytecode, as
an installation leaves it: a first round, which is not counted, writes it. The first training step
is over when the run leaves its first word of where it stands. Records of finished runs are made
up; their ids, files and sizes are those of real ones.

What a run costs is the difference between a sweep of many runs and one of eight.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import yaml

import measuring
from gradprom.config import composing
from gradprom.config.composing import Composer
from gradprom.experiments import declared
from gradprom.runs.record import Record
from gradprom.runs.run import Run
from gradprom.sweeps import request, run_ids

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from support import records_factory  # type: ignore[import-not-found]  # noqa: E402

RUN = [sys.executable, str(ROOT / "run.py")]
GRADPROM = [sys.executable, "-m", "gradprom.cli"]
NOISE = ["0.05", "0.1", "0.2", "0.3"]
FEW = 8
SCORES = {"psnr": 28.1, "ssim": 0.75, "accuracy": 0.88, "degraded_psnr": 20.1, "degraded_ssim": 0.3}
IMAGES = 240
"""Rows of a demo run's scores."""
STEPS = 120
"""Rows of its history."""

Cost = tuple[float, float]
"""Seconds by the clock and of the processor."""


def main() -> None:
    """Time the pieces and tell."""
    parser = measuring.parser(__doc__, repeats=3)
    parser.add_argument("--runs", type=int, default=1000, help="runs of the long sweeps")
    parser.add_argument("--records", type=int, default=2000, help="records of the long report")
    parser.add_argument("--only", nargs="+", help="pieces to time, beside import torch")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        short, long = (_wanted(pieces, args.only) for pieces in (_short(place), _long(place, args)))
        times = _in_turn(short, args.repeats) | _once(long)
    measuring.report("startup", _rows(times, args.runs), args, cores=len(os.sched_getaffinity(0)))


class Place:
    """A folder of results of its own, and what is run there."""

    def __init__(self, folder: Path):
        self.folder = folder
        bytecode = {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "OMP_NUM_THREADS": "1"}
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self.environment = {**environment, **bytecode}

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Begin a command, whose output goes to a file."""
        with (self.folder / "output.txt").open("wb") as output:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )

    def cost(self, *command: str) -> Cost:
        """Of a command, to its end."""
        began = time.perf_counter()
        process = self.start(*command)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        if os.waitstatus_to_exitcode(status):
            sys.exit((self.folder / "output.txt").read_text())
        return wall, used.ru_utime + used.ru_stime

    def first_step(self, *overrides: str) -> Cost:
        """From a command to the end of its first training step, with the data in the cache."""
        for name in ("local", "stages", "leases"):
            shutil.rmtree(self.folder / "results" / name, ignore_errors=True)
        began = time.perf_counter()
        process = self.start(*RUN, *overrides, "trainer.log_every=1")
        while not list(self.folder.glob("results/local/runs/*/progress.json")):
            if process.poll() is not None:
                sys.exit((self.folder / "output.txt").read_text())
            time.sleep(0.005)
        wall, used = time.perf_counter() - began, psutil.Process(process.pid).cpu_times()
        process.kill()
        process.wait()
        return wall, used.user + used.system


def _short(place: Place) -> dict[str, Callable[[], Cost]]:
    records_factory.make(place.folder / "results", ["table1"])
    return {
        "import torch": lambda: place.cost(sys.executable, "-c", "import torch"),
        "gradprom status, 96 runs": lambda: place.cost(*GRADPROM, "status", "study=made"),
        "first step, one run": place.first_step,
        "first step, -m": lambda: place.first_step("-m", "noise=0.05,0.1"),
    }


def _long(place: Place, args: argparse.Namespace) -> dict[str, Callable[[], Cost]]:
    def plan(count: int) -> Cost:
        return place.cost(*RUN, "-m", *_sweep(count), "study=planned", "sweep.dry_run=true")

    def again(count: int) -> Cost:
        _finish(place.folder / "results", [*_sweep(count), "study=finished"])
        return place.cost(*RUN, "-m", *_sweep(count), "study=finished")

    demo = ("experiment=all", "profile=demo", "dataset=phantom", "sweep.dry_run=true")
    return {
        f"plan of {FEW}": lambda: plan(FEW),
        f"plan of {args.runs}": lambda: plan(args.runs),
        "plan of the eight tables": lambda: place.cost(*RUN, "-m", *demo),
        f"{FEW} done, typed again": lambda: again(FEW),
        f"{args.runs} done, typed again": lambda: again(args.runs),
        f"report of {args.records}": lambda: _report(place, args.records),
    }


def _wanted(
    pieces: dict[str, Callable[[], Cost]], only: list[str] | None
) -> dict[str, Callable[[], Cost]]:
    names = [name for name in pieces if only is None or name in ("import torch", *only)]
    return {name: pieces[name] for name in names}


def _sweep(count: int) -> list[str]:
    seeds = f"seed=range(0,{count // len(NOISE)})"
    return [seeds, f"noise={','.join(NOISE)}", "sweep.classical=[]"]


def _finish(results: Path, overrides: list[str]) -> None:
    """Leave what the runs of a sweep would leave, had they been trained."""
    composer = Composer(composing.compose)
    for run in request.read_request([*overrides, f"results={results}"], composer).runs:
        record = records_factory.finished(run.study, run.id, run.overrides, SCORES)
        dataset = replace(record.dataset, fingerprint=run.images().fingerprint)
        config = yaml.safe_load(run.yaml)
        changes = {"config": config, "choices": run.choices, "training_id": run.training_id}
        _leave(run, replace(record, dataset=dataset, **changes))


def _leave(run: Run, record: Record) -> None:
    folder = run.study.run(run.id)
    folder.mkdir(parents=True, exist_ok=True)
    names = list(SCORES)
    image = ",".join(str(SCORES[name]) for name in names)
    rows = [f"phantom-{number:05d},phantom-{number:05d},{image}" for number in range(IMAGES)]
    (folder / "scores.csv").write_text("\n".join([",".join(["id", "group", *names]), *rows]) + "\n")
    (folder / "history.csv").write_text(records_factory.history(run.id, STEPS))
    (folder / "config.yaml").write_text(run.yaml)
    run.study.write_record(record)


def _report(place: Place, count: int) -> Cost:
    """Of all tables, at as many seeds as it takes."""
    results = place.folder / "results"
    names = [experiment.name for experiment in declared.default()]

    def identify(runs: list[list[str]]) -> list[Any]:
        return run_ids.identities(runs, results)

    single = records_factory.make(results, names, "seed=0", name="one", identify=identify)
    seeds = "seed=" + ",".join(map(str, range(-(-count // len(single.records)))))
    reported = records_factory.make(
        results, names, seeds, rows=STEPS, name="reported", identify=identify
    )
    for record in reported.records.values():
        reported.study.write_record(record)  # with the checksums of its files
    return place.cost(*GRADPROM, "report", seeds, "study=reported")


def _in_turn(pieces: dict[str, Callable[[], Cost]], repeats: int) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {name: [] for name in pieces}
    for number in range(repeats + 1):
        for name, piece in pieces.items():
            cost = piece()
            if number > 0:
                costs[name].append(cost)
    return costs


def _once(pieces: dict[str, Callable[[], Cost]]) -> dict[str, list[Cost]]:
    return {name: [piece()] for name, piece in pieces.items()}


def _rows(measured: dict[str, list[Cost]], runs: int) -> list[dict[str, Any]]:
    columns = {
        name: [statistics.median(part) for part in zip(*costs, strict=True)]
        for name, costs in measured.items()
    }
    few = {f"plan of {runs}": f"plan of {FEW}"}
    few |= {f"{runs} done, typed again": f"{FEW} done, typed again"}
    floor = columns["import torch"][0]
    return [
        {
            "piece": name,
            "seconds": wall,
            "of the processor": cpu,
            "× import torch": wall / floor,
            "ms a run": 1000 * (wall - columns[few[name]][0]) / (runs - FEW)
            if few.get(name) in columns
            else None,
        }
        for name, (wall, cpu) in columns.items()
    ]


if __name__ == "__main__":
    main()
