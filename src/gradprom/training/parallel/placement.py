"""Which rank of a run this process is, and which device is its own."""

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
    """Its number among those on this machine."""
    step: str
    """Slurm's step that started the ranks; nothing where rank 0 starts the others itself."""

    @property
    def name(self) -> str:
        """Such as `rank 1 of 2`."""
        return f"rank {self.rank} of {self.ranks}"


def find_place(devices: int) -> Place:
    """This process's place in a run on so many devices, as Slurm's variables tell it.

    Raises
    ------
    RunError
        If Slurm has started several tasks and another number than there are devices.
    """
    told = os.environ
    tasks = int(told.get("SLURM_STEP_NUM_TASKS") or told.get("SLURM_NTASKS") or 1)
    if tasks == 1:
        return Place(0, devices, 0, "")
    if tasks != devices:
        raise RunError(
            f"Slurm runs {tasks} tasks and trainer.devices={devices}; each task trains on one "
            f"device, so the two must be equal"
        )
    names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
    step = ".".join(told.get(name, "0") for name in names)
    return Place(int(told["SLURM_PROCID"]), tasks, int(told["SLURM_LOCALID"]), step)


def take_device(place: Place, device: torch.device) -> None:
    """Make a rank's GPU the current one; any number of ranks may share a CPU.

    Raises
    ------
    RunError
        If the machine has fewer devices than the ranks on it need.
    """
    if place.ranks == 1 or device.type == "cpu":
        return
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    bound = place.step and there == 1  # Slurm shows each task its own alone
    needed = place.local + 1 if place.step else place.ranks
    if needed > there and not bound:
        raise RunError(
            f"trainer.devices={place.ranks} and this machine has {there} for "
            f"trainer.device={device.type}; choose at most {there}"
        )
    if device.type == "cuda":
        torch.cuda.set_device(0 if bound else place.local)
