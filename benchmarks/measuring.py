"""What the benchmarks share: pieces timed in turn in one run, a table of them, and JSON.

Seconds differ between machines and days; what a benchmark tells are ratios of pieces that ran in
turn, round after round, in one process.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import torch

from gradprom.config import Trainer
from gradprom.training import precision

MEASURED = Path(__file__).parent / "measured"
"""Where the figures go, unless `--json` says otherwise."""

Piece = Callable[[], object]


def parser(description: str | None, repeats: int | None = None) -> argparse.ArgumentParser:
    """The words that every benchmark takes; those that time rounds have `--repeats`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    if repeats is not None:
        parser.add_argument("--repeats", type=int, default=repeats, help="rounds that are counted")
    parser.add_argument("--json", type=Path, help="where the figures go")
    torch.set_num_threads(1)
    return parser


def seconds(
    pieces: Mapping[str, Piece], repeats: int, device: str, options: Trainer | None = None
) -> dict[str, list[float]]:
    """How long each piece takes, `repeats` times, in turn, after a round that is not counted.

    On the CPU it is the process's own time, which other processes do not lengthen; on a GPU the
    clock's, from an idle device to an idle device. Computed as training with these options does, by
    default in float32.
    """
    times: dict[str, list[float]] = {name: [] for name in pieces}
    with precision.as_trained(options or Trainer(), torch.device(device)):
        for number in range(repeats + 1):
            for name, piece in pieces.items():
                began = _clock(device)
                piece()
                ended = _clock(device)
                if number > 0:
                    times[name].append(ended - began)
    return times


def ratio(times: Sequence[float], base: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(times, base, strict=True))


def peak_memory(piece: Piece, device: str) -> int:
    """Bytes that a piece takes at its peak, beyond what is held before it begins.

    On the CPU it runs in a process forked for it, whose resident memory is looked at.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        piece()
        return torch.cuda.max_memory_allocated() - held
    forks = multiprocessing.get_context("fork")
    receiver, sender = forks.Pipe(duplex=False)
    process = forks.Process(target=_resident_peak, args=(piece, sender))
    process.start()
    peak: int = receiver.recv()
    process.join()
    return peak


def report(name: str, rows: list[dict[str, Any]], args: argparse.Namespace, **more: Any) -> None:
    """Print the rows as a table and write them, with the machine, as JSON."""
    where = machine(args.device)
    print(f"\n{name}: {where}")
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    path = args.json or MEASURED / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": where, **more, "rows": rows}, indent=1) + "\n")
    print(f"written to {path}")


def machine(device: str) -> str:
    """The machine in words."""
    memory = psutil.virtual_memory().total / 2**30
    text = f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, torch {torch.__version__}"
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}; {text}"
    return f"{text}, {torch.get_num_threads()} thread"


def _clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _resident_peak(piece: Piece, sender: Any) -> None:
    # what the parent has freed and the allocator kept would hide what the piece takes
    ctypes.CDLL(None).malloc_trim(0)
    held = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
    piece()
    sender.send(_status("VmHWM") - held)


def _status(key: str) -> int:
    """A line of the process's status in bytes."""
    match = re.search(
        rf"^{key}:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="utf-8"), re.M
    )
    assert match is not None
    return 1024 * int(match[1])


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
    return match[1] if match else platform.machine()
