"""Copies from the host to the device, without either waiting for the other."""

import torch
from torch import Tensor


def pin(tensor: Tensor, device: torch.device) -> Tensor:
    """A host tensor in pinned memory if the device is a GPU; otherwise as it is."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device; a pinned one is copied while the host continues."""
    return tensor.to(device, non_blocking=device.type == "cuda")
