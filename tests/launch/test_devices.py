"""How runs share GPUs, with pretended ones."""

from pathlib import Path

import pytest
import torch

from gradprom.launch import devices
from gradprom.launch.packs import Pack
from gradprom.launch.submission import Packing
from gradprom.runs.records import Study

CASES = [
    (None, 4, ["0", "1", "2", "3"]),
    ("2,3", 2, ["2", "3"]),
    ("GPU-1f, GPU-2e", 2, ["GPU-1f", "GPU-2e"]),
    ("1,-1,2", 1, ["1"]),  # CUDA ignores what follows an invalid number
    ("MIG-a,MIG-b", 1, ["MIG-a", "MIG-b"]),  # CUDA counts one
    ("", 0, []),
    (None, 0, []),
]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs, the fifth and the sixth of a machine."""
    monkeypatch.setenv(devices.VISIBLE, "4,5")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(("visible", "count", "names"), CASES)
def test_a_users_own_choice_of_gpus_is_kept(
    visible: str | None, count: int, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(devices.VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(devices.VISIBLE, visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert devices.gpus() == names


def test_places_are_spread_over_gpus_first() -> None:
    assert devices.places(["0", "1"], 1, 2) == ["0", "1", "0", "1"]
    assert devices.places(["a", "b", "c", "d", "e"], 2, 1) == ["a,b", "c,d"]
    assert devices.places([], 1, 3) == ["", "", ""]
    assert devices.places(["0"], 2, 1) == [""]  # the run says that a GPU is missing


@pytest.mark.parametrize(
    ("packing", "pending", "text", "at_once"),
    [
        (Packing(1, 2), 100, "2 GPUs, 4 runs at a time", 4),
        (Packing(1, 2), 3, "2 GPUs, 3 runs at a time", 3),
        (Packing(1, 1, devices=2), 9, "2 GPUs, 1 run at a time", 1),
        (Packing(1, 2, device="cpu"), 9, "the CPU, 2 runs at a time", 2),
    ],
)
def test_a_plan_says_on_what_it_runs(
    pretend: None, packing: Packing, pending: int, text: str, at_once: int
) -> None:
    assert packing.describe(pending) == (text, at_once)


def test_a_slurm_job_shares_its_gpus_among_its_runs(
    pretend: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_NTASKS", raising=False)
    pack = Pack(print, [], [], Study(tmp_path, "mine"), 2, 1, on_gpu=True, grace=10)
    assert pack._places() == ["4", "5", "4", "5"]
    monkeypatch.setenv("SLURM_NTASKS", "2")  # each task is a rank, and takes its own GPU
    assert pack._places() == ["", ""]
