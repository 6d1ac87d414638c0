"""What a run changes of its process is gone before the next run: compared with a new process."""

import gc
import json
import logging
import os
import random
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from hydra.core.hydra_config import HydraConfig

from gradprom.launch.processes import Pool
from gradprom.runs.records import Study

MIB = 2**20


def told() -> dict[str, Any]:
    """What a run could notice of its process, as JSON."""
    loggers = {
        name: [each.level, list(map(repr, each.handlers)), each.propagate, each.disabled]
        for name in ("", "gradprom", "changed")
        for each in [logging.getLogger(name)]
    }
    return {
        "random": [random.random(), np.random.rand()],
        "torch's random": torch.rand(1, device="cpu").item(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": sys.path.copy(),
        "streams": [type(stream).__name__ for stream in (sys.stdout, sys.stderr)],
        "warnings": [*map(str, warnings.filters), warnings.showwarning.__name__],
        "loggers": [loggers, logging.root.manager.disable, logging.raiseExceptions],
        "hydra": str(HydraConfig.instance().cfg),
        "numpy": np.geterr(),
        "threads": [torch.get_num_threads(), threading.active_count()],
        "types": [str(torch.get_default_dtype()), str(torch.get_default_device())],
        "gradients": [torch.is_grad_enabled(), torch.is_anomaly_enabled()],
        "deterministic": [
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.get_float32_matmul_precision(),
        ],
        "convolutions": [
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.allow_tf32,
        ],
        "autocast": [
            torch.is_autocast_enabled("cpu"),
            str(torch.get_autocast_dtype("cpu")),
            torch.is_autocast_cache_enabled(),
        ],
    }


def change() -> None:
    """Change all of it."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    os.environ["CHANGED"] = "1"
    os.environ.pop("HOME", None)
    os.chdir("/")
    sys.path.append("/nowhere")
    sys.stdout = sys.stderr = open(os.devnull, "w")
    warnings.simplefilter("error")
    warnings.showwarning = print  # type: ignore[assignment]
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("gradprom").setLevel(logging.ERROR)
    logging.getLogger("changed").disabled = True
    logging.disable(logging.CRITICAL)
    logging.raiseExceptions = False
    HydraConfig.instance().cfg = "another run's"  # type: ignore[assignment]
    np.seterr(all="raise")
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.set_anomaly_enabled(True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = not torch.backends.cudnn.allow_tf32
    torch.set_autocast_enabled("cpu", True)
    torch.set_autocast_dtype("cpu", torch.float16)
    torch.set_autocast_cache_enabled(False)


def run_all(launch: Any, arguments: list[Any], folder: Path) -> list[Exception | None]:
    """One after another, in one worker for as long as it stays."""
    pool = Pool(launch, [""])
    tasks = {f"{number:012d}": argument for number, argument in enumerate(arguments)}
    outcomes = pool.run(tasks, Study(folder, "mine"))
    pool.close()
    return list(outcomes.values())


def test_a_run_after_another_finds_a_new_process(tmp_path: Path) -> None:
    def launch(name: str) -> None:
        if name == "change":
            change()
        else:
            (tmp_path / name).write_text(json.dumps([os.getpid(), told()]))

    assert run_all(launch, ["alone"], tmp_path) == [None]
    assert run_all(launch, ["first", "change", "after"], tmp_path) == [None] * 3
    alone, first, after = (
        json.loads((tmp_path / name).read_text()) for name in ("alone", "first", "after")
    )
    assert first[0] == after[0] != alone[0], "the worker has stayed"
    assert after[1] == first[1]
    for _, state in (alone, after):
        del state["random"]  # Python and numpy seed every process anew
    assert after[1] == alone[1]


def test_all_that_is_told_is_changed(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""

    def launch(_: str) -> None:
        untouched = told()
        change()
        changed = told()
        same = [name for name, value in untouched.items() if changed[name] == value]
        os.write(writer, json.dumps(same).encode())

    reader, writer = os.pipe()
    assert run_all(launch, [""], tmp_path) == [None]
    assert json.loads(os.read(reader, 4096)) == []


def test_memory_and_files_of_runs_do_not_pile_up(tmp_path: Path) -> None:
    def launch(number: int) -> None:
        process = psutil.Process()
        held = [process.memory_info().rss // MIB, process.num_fds(), os.getpid()]
        (tmp_path / str(number)).write_text(json.dumps(held))
        cycle: list[Any] = [torch.ones(40 * MIB // 4), open("/dev/null")]  # noqa: SIM115
        cycle.append(cycle)
        logging.getLogger("run").addHandler(logging.FileHandler(tmp_path / "log"))

    gc.disable()  # only what comes after a run may collect it
    try:
        assert run_all(launch, list(range(8)), tmp_path) == [None] * 8
    finally:
        gc.enable()
    held = [json.loads((tmp_path / str(number)).read_text()) for number in range(8)]
    assert len({pid for _, _, pid in held}) == 1
    assert held[-1][0] - held[1][0] < 40
    assert held[-1][1] == held[1][1]


def test_a_worker_in_which_a_run_has_left_a_thread_takes_no_other(tmp_path: Path) -> None:
    def launch(name: str) -> None:
        (tmp_path / name).write_text(str(os.getpid()))
        if name == "first":
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()

    assert run_all(launch, ["first", "second"], tmp_path) == [None, None]
    assert (tmp_path / "first").read_text() != (tmp_path / "second").read_text()
