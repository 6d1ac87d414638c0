"""Slurm's tasks are the ranks; missing devices and those that cannot share a batch are refused."""

import os
from pathlib import Path

import pytest
import torch
from support import tiny_runs

from gradprom.config import Trainer
from gradprom.errors import ConfigError, RunError
from gradprom.training.parallel.placement import Place, find_place, take_device

CPU = torch.device("cpu")


def slurm(monkeypatch: pytest.MonkeyPatch, **told: str) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in told.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


def test_slurms_tasks_are_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(monkeypatch)
    assert find_place(4) == Place(0, 4, 0, "")
    slurm(monkeypatch, NTASKS="4", PROCID="3", LOCALID="1", JOB_ID="77", STEP_ID="2")
    assert find_place(4) == Place(3, 4, 1, "77.2.0")
    for devices in (1, 2):
        with pytest.raises(RunError, match=f"runs 4 tasks and trainer.devices={devices}; "):
            find_place(devices)
    # a step of one task in an allocation for four
    slurm(monkeypatch, NTASKS="4", STEP_NUM_TASKS="1", PROCID="0", LOCALID="0")
    assert find_place(1) == Place(0, 1, 0, "") and find_place(2) == Place(0, 2, 0, "")


def test_more_devices_than_there_are() -> None:
    with pytest.raises(RunError, match=r"^trainer.devices=512 and this machine has \d+ for "):
        take_device(Place(0, 512, 0, ""), torch.device("cuda"))
    with pytest.raises(RunError, match="this machine has 1 for trainer.device=mps"):
        take_device(Place(0, 2, 0, ""), torch.device("mps"))
    take_device(Place(0, 512, 0, ""), CPU)


def test_devices_that_cannot_share_a_batch(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trainer.devices=3 must divide trainer.batch_size=8"):
        Trainer(devices=3)
    with pytest.raises(ConfigError, match="trainer.devices=0 must be at least 1"):
        Trainer(devices=0)
    with pytest.raises(RunError, match="trainer.devices=2 cannot share a batch of all 5 training"):
        few = ("dataset.train=5", "dataset.test=8", "strategy=mainstream", *tiny_runs.SMALL)
        tiny_runs.train(tmp_path, *few, "trainer.devices=2")
