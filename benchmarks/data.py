"""Images per second of the loader beside others', and its share of a training step's time.

Training batches of 8 images with masks, flipped, rotated, cropped, resized and with Gaussian noise:

- `gradprom`: decoded once, augmented and degraded a batch at a time;
- `torch, N workers`: a DataLoader that reads PNG files of just that size with Pillow, and
  torchvision's transforms;
- `kornia`: its batched augmentation of the same images in memory.

Seconds are the clock's, for workers are other processes. `× gradprom` is a way's time by ours.

Then the share that `Loader.batch` has in the time of a coupled step of GradProm with diagnosis, at
the sizes of the profiles, in the process's own time.

    python benchmarks/data.py [--sizes 64 128 256] [--profiles demo bench paper]
"""

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import data_ways
import fixtures
import measuring
from data_ways import BATCH
from gradprom.config.typed import image_size
from gradprom.data.base import Facts
from gradprom.data.loader import Loader
from gradprom.methods.task_driven import TaskDriven


def main() -> None:
    parser = measuring.parser(__doc__, repeats=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 128, 256])
    parser.add_argument("--images", type=int, default=64, help="images in an epoch")
    parser.add_argument("--profiles", nargs="*", default=["demo", "bench"])
    args = parser.parse_args()
    if importlib.util.find_spec("kornia") is None:
        sys.exit("kornia is not installed: pip install 'gradprom[bench]'")
    throughput = [
        row for size in args.sizes for channels in (1, 3) for row in rates(size, channels, args)
    ]
    shares = [share(profile, args) for profile in args.profiles]
    measuring.report("data", throughput, args, shares=shares)
    for row in shares:
        print(f"{row['profile']}, {row['size']}²: data {row['data ms']:.1f} ms of a step's "
              f"{row['step ms']:.0f} ms, {row['share']:.2%}")  # fmt: skip


def rates(size: int, channels: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Images per second of each way."""
    facts = Facts(channels, ("a", "b"), ("a", "b", "c"))
    images = fixtures.images(args.images, size, facts, "train")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data_ways.save(images, folder)
        plain, parallel = (data_ways.files(images, folder, workers) for workers in (0, 2))
        loader = data_ways.Ours(images, args.device)
        kornia = data_ways.Kornia(images, args.device)
        timings = clocked(
            {
                "gradprom": lambda: exhaust(loader.epoch()),
                "torch, 0 workers": lambda: exhaust(plain),
                "torch, 2 workers": lambda: exhaust(parallel),
                "kornia": lambda: exhaust(kornia.epoch()),
            },
            args.repeats,
            args.device,
        )
    return [
        {
            "size": size,
            "channels": channels,
            "way": name,
            "images/s": args.images // BATCH * BATCH / statistics.median(times),
            "× gradprom": measuring.ratio(times, timings["gradprom"]),
        }
        for name, times in timings.items()
    ]


def clocked(
    pieces: dict[str, Callable[[], None]], repeats: int, device: str
) -> dict[str, list[float]]:
    """As `measuring.seconds`, by the clock."""
    times: dict[str, list[float]] = {name: [] for name in pieces}
    for number in range(repeats + 1):
        for name, piece in pieces.items():
            began = time.perf_counter()
            piece()
            if device == "cuda":
                torch.cuda.synchronize()
            if number > 0:
                times[name].append(time.perf_counter() - began)
    return times


def exhaust(batches: Any) -> None:
    """Take all batches and keep none."""
    deque(batches, maxlen=0)


def share(profile: str, args: argparse.Namespace) -> dict[str, Any]:
    """What data takes of a step's time."""
    config = fixtures.composed(f"profile={profile}")
    device = torch.device(args.device)
    images = fixtures.images(args.images, image_size(config.dataset), config.facts, "train")
    method = TaskDriven(config)
    batches = replace(method.stage().batches, size=BATCH)
    loader = Loader(images, "train", batches, device)
    training = fixtures.coupled(method, device)
    steps = iter(range(10**6))
    times = measuring.seconds(
        {
            "data": lambda: loader.batch(0, next(steps)),
            "step": lambda: training.update(loader.batch(0, next(steps)), probe=False),
        },
        args.repeats,
        args.device,
    )
    return {
        "profile": profile,
        "size": image_size(config.dataset),
        "data ms": 1e3 * statistics.median(times["data"]),
        "step ms": 1e3 * statistics.median(times["step"]),
        "share": measuring.ratio(times["data"], times["step"]),
    }


if __name__ == "__main__":
    main()
