"""Exports of runs that were never trained: random weights in the files of an export."""

from pathlib import Path

import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from support import tiny_runs

from gradprom.methods.base import Method


def export(folder: Path, *overrides: str) -> tuple[Path, Method]:
    """Write an export; returns its folder, and the method with the same weights."""
    torch.manual_seed(0)
    run = tiny_runs.make(folder / "results", *tiny_runs.SMALL, *overrides)
    method = run.method
    method.networks = method.build_networks()
    names = method.describe().exported
    tensors = {}
    for name, network in method.networks.items():
        for key, value in network.eval().state_dict().items():
            if "running_" in key:
                value.uniform_(0.5, 1.5)  # a fresh network's are 0 and 1
            tensors[f"{names.get(name, name)}.{key}"] = value
    out = folder / "exported"
    out.mkdir(parents=True)
    save_file(tensors, out / "weights.safetensors", metadata={"run": run.id})
    (out / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(run.composed)))
    return out, method
