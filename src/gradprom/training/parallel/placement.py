"""Which rank of a run this process is, and which device it uses."""

import os
from dataclasses import dataclass

import torch

from gradprom.errors import RunError


@dataclass(frozen=True)
class Place:
    """Which rank of a run this process is."""

    rank: int
    ranks: int
    local: int
    """Its number among the ranks on this machine."""
    step: str
    """The Slurm step that started the ranks; empty if rank 0 starts the others itself."""

    @property
    def name(self) -> str:
        """Such as `rank 1 of 2`."""
        return f"rank {self.rank} of {self.ranks}"


def slurm_tasks() -> int:
    """How many tasks Slurm has started together with this process; 1 outside of Slurm."""
    environment = os.environ
    return int(environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS") or 1)


def find_place(devices: int) -> Place:
    """This process's place in a run on `devices` devices, from Slurm's environment variables.

    Raises
    ------
    RunError
        If Slurm has started several tasks, but not `devices`.
    """
    environment, tasks = os.environ, slurm_tasks()
    if tasks == 1:
        return Place(0, devices, 0, "")
    if tasks != devices:
        raise RunError(
            f"Slurm runs {tasks} tasks and trainer.devices={devices}; each task trains on one "
            f"device, so the two must be equal"
        )
    names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
    step = ".".join(environment.get(name, "0") for name in names)
    return Place(int(environment["SLURM_PROCID"]), tasks, int(environment["SLURM_LOCALID"]), step)


def take_device(place: Place, device: torch.device) -> None:
    """Select a rank's GPU; any number of ranks may share a CPU.

    Raises
    ------
    RunError
        If the machine has fewer devices than the ranks on it need.
    """
    if place.ranks == 1 or device.type == "cpu":
        return
    available = torch.cuda.device_count() if device.type == "cuda" else 1
    bound = place.step and available == 1  # Slurm shows each task only its own GPU
    needed = place.local + 1 if place.step else place.ranks
    if needed > available and not bound:
        raise RunError(
            f"trainer.devices={place.ranks} and this machine has {available} for "
            f"trainer.device={device.type}; choose at most {available}"
        )
    if device.type == "cuda":
        torch.cuda.set_device(0 if bound else place.local)
