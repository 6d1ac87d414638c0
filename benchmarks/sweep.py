"""A sweep that shares its stages against running each of its runs alone, and runs side by side.

Three ways to train the same runs, each from nothing, each timed by the clock from the command to
its end: one sweep; each run by a command of its own that finds nothing there; one sweep with two
runs at a time. The metrics of all three must be equal.

And what a sweep takes beyond its runs' own seconds, from two sweeps of runs so small that little
else remains. The first row of each has its start, its plan and its table too; what a further run
takes is their difference. Seconds of the processor tell it where other processes use the machine.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --part overhead --smallest 30
    python benchmarks/sweep.py experiment=table1 profile=bench data_root=/path/to/data noise=0.1
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measuring
from gradprom import config
from gradprom.runs.records import Study
from gradprom.sweeps.request import read_request, shell_composer

ROOT = Path(__file__).parents[1]
PART = ("experiment=table1", "profile=demo", "dataset=phantom", "noise=0.1", "seed=0")
"""A column of Table I for one seed: 8 of its 96 runs."""
SMALLEST = (
    "dataset.train=16",
    "dataset.test=8",
    "strategy=mainstream",
    "trainer.warmup_epochs=1",
    "trainer.coupled_epochs=1",
)
"""Four steps of the demo's enhancer."""


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("--at-once", type=int, default=2, help="runs side by side")
    parser.add_argument("--smallest", type=int, default=100, help="runs of the smallest size, >= 3")
    parser.add_argument("--part", choices=PARTS, help="one of the two measurements alone")
    parser.add_argument("words", nargs="*", default=PART, help="what is swept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        parts = [args.part] if args.part else list(PARTS)
        rows = [row for part in parts for row in PARTS[part](args, Path(place))]
        swept = SMALLEST if args.part == "overhead" else args.words
        measuring.report("sweep", rows, args, sweep=" ".join(swept))


def measured(args: argparse.Namespace, place: Path) -> list[dict[str, Any]]:
    """A row for each way to train the runs."""
    swept = [*args.words, f"trainer.device={args.device}", "sweep.classical=[]"]
    shared, stages, scores = run("shared stages", ["-m", *swept], place / "shared")
    alone = 0.0
    separate_scores: dict[str, Any] = {}
    request = read_request([*swept, f"results={place / 'alone'}"], shell_composer())
    lineages = [swept_run.method.stage().lineage() for swept_run in request.runs]
    epochs = {stage.id: stage.epochs for lineage in lineages for stage in lineage}
    total_epochs = sum(stage.epochs for lineage in lineages for stage in lineage)
    for number, job in enumerate(request.jobs.values()):
        overrides = [override for override in job if not override.startswith("results=")]
        elapsed, _, score = run(f"alone, {number + 1}", overrides, place / f"alone-{number}")
        alone += elapsed
        separate_scores |= score
    at_once = [*swept, f"runs_per_device={args.at_once}"]
    beside, _, third = run("side by side", ["-m", *at_once], place / "beside")
    assert scores == separate_scores == third, "the three ways must end with the same metrics"
    rows = {"shared": shared, "each run alone": alone, f"{args.at_once} at a time": beside}
    return [
        {
            "way": way,
            "runs": len(scores),
            "epochs": total_epochs if way == "each run alone" else sum(epochs.values()),
            "seconds": elapsed,
            "to its stages": elapsed / stages if way == "shared" else None,
            "to alone": elapsed / alone,
            "runs an hour": 3600 * len(scores) / elapsed,
        }
        for way, elapsed in rows.items()
    ]


def overhead(args: argparse.Namespace, place: Path) -> list[dict[str, Any]]:
    """Seconds of sweeps of the smallest runs, a third of them and all, and of each further run."""
    few, many = (smallest(count, args, place) for count in (args.smallest // 3, args.smallest))
    further = many["runs"] - few["runs"]
    names = ("seconds", "of the processor", "of the runs")
    each = {name: (many[name] - few[name]) / further for name in names}
    last: dict[str, Any] = {"way": "each further run", "runs": 1, **each}
    return [
        {**row, "beyond the runs": row["seconds"] - row["of the runs"]} for row in (few, many, last)
    ]


def smallest(count: int, args: argparse.Namespace, place: Path) -> dict[str, Any]:
    """One sweep of so many of the smallest runs, from nothing."""
    seeds, results = f"seed=range(0,{count})", place / f"smallest-{count}"
    words = ["-m", *SMALLEST, seeds, f"trainer.device={args.device}", "sweep.classical=[]"]
    before = processor_seconds()
    elapsed, _, scores = run(f"{count} of the smallest runs", words, results)
    return {
        "way": "the smallest runs",
        "runs": len(scores),
        "seconds": elapsed,
        "of the processor": processor_seconds() - before,
        "of the runs": sum(r.duration or 0.0 for r in Study(results, "local").records()),
    }


def processor_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(title: str, overrides: list[str], results: Path) -> tuple[float, float, dict[str, Any]]:
    """Seconds by the clock, seconds of the stages that were trained, metrics by run."""
    print(title, flush=True)
    began = time.monotonic()
    subprocess.run(
        [sys.executable, ROOT / "run.py", *overrides, f"results={results}"],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    elapsed = time.monotonic() - began
    records = Study(results, "local").records()
    stages = {stage.id: stage.seconds for record in records for stage in record.stages}
    return elapsed, sum(stages.values()), {record.id: record.metrics for record in records}


PARTS = {"ways": measured, "overhead": overhead}
"""The two measurements."""

if __name__ == "__main__":
    config.register()
    main()
