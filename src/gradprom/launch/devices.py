"""Which GPUs this process may use, and how the runs of a sweep share them."""

import os

import torch

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""CUDA's variable: the GPUs that a process sees, by number, UUID or MIG name."""


def gpus() -> list[str]:
    """The GPUs of this process, each as `VISIBLE` takes it; empty where there are none."""
    given = os.environ.get(VISIBLE)
    names = None if given is None else [name.strip() for name in given.split(",")]
    if names and all(name.startswith("MIG-") for name in names):
        return names  # CUDA counts one part of a divided GPU per process
    count = torch.cuda.device_count()
    # CUDA ignores what follows an invalid name
    return [str(number) for number in range(count)] if names is None else names[:count]


def places(names: list[str], devices: int, runs_per_device: int) -> list[str]:
    """Where runs can be at work at the same time: for each of them the value of `VISIBLE`.

    Parameters
    ----------
    names
        The GPUs; if there are none, runs see what this process sees, and a value is empty.
    devices
        How many GPUs a run takes.
    runs_per_device
        How many runs share a GPU at the same time.

    Returns
    -------
    list
        The first places are on different GPUs.
    """
    groups = [
        ",".join(names[first : first + devices])
        for first in range(0, len(names) - devices + 1, devices)
    ]
    return (groups or [""]) * runs_per_device


def describe(names: list[str], at_once: int) -> str:
    """Such as `2 GPUs, 4 runs at a time`."""
    where = f"{len(names)} GPU{'s' * (len(names) != 1)}" if names else "the CPU"
    return f"{where}, {at_once} run{'s' * (at_once != 1)} at a time"
