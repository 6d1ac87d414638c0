"""From the host to the device, without either waiting for the other."""

from __future__ import annotations

import torch
from torch import Tensor


def pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host's, where a GPU can fetch it by itself; as it is for other devices."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device; a pinned one is fetched while the host goes on."""
    return tensor.to(device, non_blocking=device.type == "cuda")
