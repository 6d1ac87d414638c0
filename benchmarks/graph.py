"""Whole updates of GradProm, called one by one and replayed as CUDA graphs.

- `eager`, `graph`: `EnhancerTraining.update` on one batch, as the engine takes it; `probed` as at
  each `trainer.log_every`-th step;
- `limit, graph`: the passes that are needed and the optimizers' steps, in a graph too.

Updates follow each other as in training: the clock is looked at after so many that the host runs
ahead of the device. Networks, losses and limit are those of `step.py`. On a CPU a call stands in
for the replay, which shows that this script runs.

    python benchmarks/graph.py [--cases demo:64:float32 bench:128:tf32 …] [--device cuda]
                               [--repeats N]
"""

import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import measuring
from fixtures import composed
from gradprom.config import Config
from gradprom.strategies import GradProm
from gradprom.training import precision
from gradprom.training.graph import WARM_UPS, Updates
from gradprom.training.recorder import Caller, CudaRecorder, Recorder
from step import LAM, Networks

FOLLOWING = 20
"""Updates between two looks at the clock."""
CASES = {
    "cpu": ["demo:32:float32"],
    "cuda": ["demo:64:float32", "bench:128:tf32", "bench:128:bf16", "paper:256:tf32"],
}
"""Profile, side of the images in pixels, precision."""
EAGER = "eager"


def main() -> None:
    """Measure what the words ask for."""
    parser = measuring.parser(__doc__, repeats=5)
    parser.add_argument("--cases", nargs="+", help="profile:size:precision")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for case in args.cases or CASES[args.device]:
        rows += measured(case, args.device, args.repeats)
        print(case, "done", flush=True)
    measuring.report("graph", rows, args)


def measured(case: str, device: str, repeats: int) -> list[dict[str, Any]]:
    """A row for each way."""
    profile, size, kind = case.split(":")
    words = f"profile={profile}", f"dataset.size={size}", f"trainer.precision={kind}"
    settings = composed(*words, f"trainer.device={device}")
    with precision.as_trained(settings.trainer, torch.device(device)):
        ways = _ways(settings, device)
        pieces = {name: _following(way) for name, way in ways.items()}
        times = measuring.seconds(pieces, repeats, device, settings.trainer)
    return [
        {
            "case": case,
            "way": name,
            "ms": 1000 * statistics.median(times[name]) / FOLLOWING,
            "eager ×": measuring.ratio(times[EAGER], times[name]),
            "× limit, graph": measuring.ratio(times[name], times["limit, graph"]),
            "rounds": repeats,
        }
        for name in ways
    ]


def _ways(settings: Config, device: str) -> dict[str, Callable[[], object]]:
    """Each with networks of its own."""
    place = torch.device(device)
    ways: dict[str, Callable[[], object]] = {}
    for name, graph in ((EAGER, "false"), ("graph", "true")):
        networks = Networks(settings, device, GradProm(lam=LAM))
        options = replace(settings.trainer, graph=graph)
        update = Updates(name, networks.training, options, place)
        for probe in (False, True):
            ways[f"{name}, probed" if probe else name] = _taking(update, networks, probe)
    recorder: Recorder = CudaRecorder(place) if device == "cuda" else Caller()
    ways["limit, graph"] = _recorded_limit(Networks(settings, device, GradProm(lam=LAM)), recorder)
    return ways


def _taking(update: Updates, networks: Networks, probe: bool) -> Callable[[], object]:
    return lambda: update(networks.batch, probe)


def _recorded_limit(networks: Networks, recorder: Recorder) -> Callable[[], object]:
    def limit() -> dict[str, Tensor]:
        networks.limit_updated()
        return {"none": networks.batch.target.mean()}

    with recorder.warming_up():
        for _ in range(WARM_UPS):
            limit()
    networks.clear()
    return recorder.record(limit)


def _following(way: Callable[[], object]) -> Callable[[], None]:
    def piece() -> None:
        for _ in range(FOLLOWING):
            way()

    return piece


if __name__ == "__main__":
    main()
