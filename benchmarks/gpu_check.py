"""What needs a GPU, in one command: are runs equal to the bit, and what do steps and sweeps cost?

Called by `scripts/gpu_check`, which says how. Steps run one after the other until the time is over;
each leaves its result as it ends, also when it fails. Exits with 1 if a step failed or found
different bits, with 2 where there is no GPU.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

import measuring
from gradprom.config import Trainer
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import load_state
from gradprom.training import precision

ROOT = Path(__file__).parents[1]
Row = dict[str, Any]

RUN = ("strategy=gradprom", "auxiliary=multitask", "supervision=unsupervised")
BESIDE = ("strategy=gradprom,joint,frozen", *RUN[1:])
SWEPT = ("strategy=gradprom,frozen,joint", "noise=0.05,0.1")
"""Six runs of the demo."""
SHORT = ("auxiliary.epochs=4", "trainer.warmup_epochs=3", "trainer.coupled_epochs=3")
TINY = (
    *("dataset.train=16", "dataset.test=8", "dataset.size=32", "backbone.channels=4"),
    *("backbone.blocks=1", "auxiliary.epochs=2", "trainer.warmup_epochs=2"),
    "trainer.coupled_epochs=2",
)
SIZES = {"demo": 64, "bench": 128, "paper": 256}
"""Pixels a side at which a profile's networks are measured."""
WAYS = ("limit", "joint", "frozen", "gradprom")


class Different(Exception):
    """Two runs that should be equal are not."""


@dataclass
class Check:
    """What the command line asks for, and how long there is for it."""

    device: str
    quick: bool
    ends: float
    """When the time is over, as `time.monotonic` counts."""
    place: Path
    """A folder for runs."""

    @property
    def words(self) -> list[str]:
        """Overrides of every run."""
        size = TINY if self.quick else SHORT
        return [*size, f"trainer.device={self.device}", "trainer.checkpoint_seconds=0"]

    @property
    def left(self) -> float:
        """Seconds."""
        return max(self.ends - time.monotonic(), 1.0)

    def command(self, *words: str | Path) -> None:
        """Run a Python command of this clone; raises CalledProcessError with what it wrote."""
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, timeout=self.left, **QUIETLY)

    def train(self, name: str, *words: str) -> "Trained":
        """Train in a folder of its own, by a command as a person types it."""
        words = (*words, "sweep.classical=[]")  # filters need no GPU
        self.command(ROOT / "run.py", *words, f"results={self.place / name}")
        return Trained(self.place / name)


QUIETLY: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}


@dataclass
class Trained:
    """A folder of results."""

    results: Path

    @property
    def records(self) -> list[Record]:
        """Of all its runs."""
        return Study(self.results, "local").records()

    def require_equal(self, other: "Trained") -> list[Row]:
        """A row for each run of `other`; raises Different unless these have equal ones."""
        theirs = other.records
        if not theirs:
            raise Different("no run to compare with has all its files")
        return [self._require_equal(record, other) for record in theirs]

    def _require_equal(self, theirs: Record, other: "Trained") -> Row:
        [own] = [record for record in self.records if record.id == theirs.id]
        folders = [trained.results / "local" / "runs" / own.id for trained in (self, other)]
        differing = []
        if own.metrics != theirs.metrics:
            differing.append("metrics")
        if len({(folder / "history.csv").read_bytes() for folder in folders}) > 1:
            differing.append("history")
        if not all(map(torch.equal, self._weights(own), other._weights(own))):
            differing.append("weights")
        if differing:
            raise Different(f"run {own.id} ({' '.join(own.overrides)}): {', '.join(differing)}")
        return {"run": own.choices["strategy"], "psnr": own.metrics["psnr"], "equal": "yes"}

    def _weights(self, record: Record) -> list[torch.Tensor]:
        [path] = (self.results / "stages").glob(f"*{record.training_id}*/artefact.pt")
        networks = load_state(path)["weights"]
        return [t.cpu() for name in sorted(networks) for t in networks[name].values()]


# are they equal to the bit?


def twice(check: Check) -> list[Row]:
    """The same run, by itself, twice."""
    first = check.train("first", *RUN, *check.words)
    return first.require_equal(check.train("second", *RUN, *check.words))


def beside(check: Check) -> list[Row]:
    """Three runs at the same time on the device, and one of them by itself."""
    side_by_side = check.train("beside", "-m", *BESIDE, "runs_per_device=3", *check.words)
    return side_by_side.require_equal(check.train("alone", *RUN, *check.words))


def killed(check: Check) -> list[Row]:
    """A run that is killed in its coupled training and taken up again, and one that is not."""
    words = [*RUN, *check.words, "trainer.log_every=1", "trainer.coupled_epochs=12"]
    whole = check.train("whole", *words)
    [last] = {record.training_id for record in whole.records}
    command = [sys.executable, str(ROOT / "run.py"), *words, f"results={check.place / 'killed'}"]
    process = subprocess.Popen(command, cwd=ROOT, **QUIETLY)
    while process.poll() is None and not list(
        check.place.glob(f"killed/stages/*{last}*/check*.pt")
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    resumed = check.train("killed", *words)
    if not resumed.records[0].interruptions:
        raise TimeoutError("the run ended before it could be killed")
    return whole.require_equal(resumed)


def graph(check: Check) -> list[Row]:
    """Updates captured as a CUDA graph, and eager ones."""
    if "graph" not in {field.name for field in fields(Trainer)}:
        return [{"graph": "this version captures none"}]
    eager = check.train("eager", "-m", *BESIDE, *check.words, "trainer.graph=false")
    return eager.require_equal(
        check.train("graph", "-m", *BESIDE, *check.words, "trainer.graph=true")
    )


def networks(check: Check) -> list[Row]:
    """Three updates of each profile's networks in each precision, twice."""
    import step

    rows = []
    for profile, size in sizes(check).items():
        for kind in precisions(check):
            settings = step.settings_of(profile, size, "multitask", kind)
            states = [_updated(step, settings, check.device) for _ in range(2)]
            if not all(map(torch.equal, *states)):
                raise Different(f"three updates of {profile} at {size}² in {kind}")
            rows.append({"networks": f"{profile} {size}²", "precision": kind, "equal": "yes"})
    return rows


def _updated(step: Any, settings: Any, device: str) -> list[torch.Tensor]:
    coupled = step.Networks(settings, device, step.COMPARED["gradprom"])
    with precision.as_trained(settings.trainer, torch.device(device)):
        for number in range(3):
            coupled.training.update(coupled.batch, probe=number == 2)
    networks = coupled.training.networks.networks.values()
    return [tensor.cpu() for network in networks for tensor in network.state_dict().values()]


# what do they cost?


def determinism(check: Check) -> list[Row]:
    """An update held to equal bits, relative to one that is not."""
    import step

    rows = []
    for profile, size in sizes(check).items():
        for kind in precisions(check):
            settings = step.settings_of(profile, size, "multitask", kind)
            coupled = step.Networks(settings, check.device, step.COMPARED["gradprom"])
            free = replace(settings.trainer, deterministic=False)
            ways = {"held": settings.trainer, "free": free}
            pieces = {
                name: _within(coupled, options, check.device) for name, options in ways.items()
            }
            times = measuring.seconds(pieces, repeats(check), check.device, free)
            rows.append(
                {
                    "networks": f"{profile} {size}²",
                    "precision": kind,
                    "ms": 1e3 * sorted(times["held"])[len(times["held"]) // 2],
                    "× free": measuring.ratio(times["held"], times["free"]),
                }
            )
    return rows


def _within(coupled: Any, options: Trainer, device: str) -> Callable[[], None]:
    def update() -> None:
        with precision.as_trained(options, torch.device(device)):
            coupled.update()

    return update


def steps(check: Check) -> list[Row]:
    """The ways of `step.py` for each profile and precision."""
    rows = []
    for profile, size in sizes(check).items():
        path = check.place / f"{profile}.json"
        words = ["--profiles", profile, "--sizes", str(size), "--setups", "supervised"]
        words += ["--precisions", *precisions(check), "--ways", *WAYS, "--json", str(path)]
        words += ["--device", check.device, "--repeats", str(repeats(check))]
        check.command(ROOT / "benchmarks" / "step.py", *words)
        rows += json.loads(path.read_text(encoding="utf-8"))["rows"]
    shown = ("case", "way", "ms", "× limit", "MiB × plain")
    return [{name: row[name] for name in shown} for row in rows]


def sweep(check: Check) -> list[Row]:
    """Six runs of the demo by the clock, one at a time and three at a time."""
    size = [*TINY] if check.quick else []
    rows = []
    for at_once in (1, 3):
        began = time.monotonic()
        words = ["-m", *SWEPT, *size, f"trainer.device={check.device}"]
        trained = check.train(f"sweep{at_once}", *words, f"runs_per_device={at_once}")
        seconds = time.monotonic() - began
        stages = {stage.id: stage.seconds for r in trained.records for stage in r.stages}
        rows.append(
            {
                "at a time": at_once,
                "runs": len(trained.records),
                "seconds": seconds,
                "in stages": sum(stages.values()),
            }
        )
    return rows


STEPS: dict[str, Callable[[Check], list[Row]]] = {
    "twice": twice,
    "beside": beside,
    "killed": killed,
    "graph": graph,
    "networks": networks,
    "determinism": determinism,
    "steps": steps,
    "sweep": sweep,
}
"""In their order: first what must hold."""


def sizes(check: Check) -> dict[str, int]:
    """Pixels a side, by profile."""
    return {"demo": 32} if check.quick else SIZES


def precisions(check: Check) -> list[str]:
    """Those that are checked and measured."""
    return ["float32"] if check.device == "cpu" else ["float32", "tf32", "bf16"]


def repeats(check: Check) -> int:
    """Rounds of a measurement."""
    return 1 if check.quick else 5


def main() -> int:
    """Run the steps; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="at tiny sizes")
    parser.add_argument("--minutes", type=float, default=9, help="after which nothing is begun")
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("gpu_check: this machine has no GPU; --device cpu --quick tries the code without one")
        return 2
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    results = args.folder / "results.jsonl"
    results.write_text("", encoding="utf-8")
    ends, failed = time.monotonic() + 60 * args.minutes, False
    with tempfile.TemporaryDirectory() as place:
        for name in args.steps:
            work = Path(place) / name
            work.mkdir()
            result = _result(name, Check(args.device, args.quick, ends, work))
            failed |= "error" in result
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            _write_table(args.folder, args.device)
            print(f"{name}: {result.get('error', 'done')} ({result['seconds']:.0f} s)", flush=True)
    return int(failed)


def _result(name: str, check: Check) -> Row:
    """What a step found, or why it did not."""
    began = time.monotonic()
    result: Row = {"step": name, "about": STEPS[name].__doc__}
    try:
        if began >= check.ends:
            raise TimeoutError("no time was left")
        result["rows"] = STEPS[name](check)
    except subprocess.CalledProcessError as error:
        result["error"] = "\n".join(error.stdout.strip().splitlines()[-5:])
    except Exception as error:  # whatever it is, the other steps are worth their time
        result["error"] = f"{type(error).__name__}: {error}"
    return result | {"seconds": time.monotonic() - began}


def _write_table(folder: Path, device: str) -> None:
    """All results so far as Markdown."""
    lines = [measuring.machine(device), ""]
    for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines():
        result = json.loads(line)
        lines += [f"**{result['step']}**: {result['about']}", ""]
        lines += [f"    {result['error']}"] if "error" in result else _markdown(result["rows"])
        lines += [""]
    (folder / "table.md").write_text("\n".join(lines), encoding="utf-8")


def _markdown(rows: list[Row]) -> Iterator[str]:
    yield f"| {' | '.join(rows[0])} |"
    yield "|" + "---|" * len(rows[0])
    for row in rows:
        cells = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values())
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
