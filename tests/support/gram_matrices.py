"""Gradients of a few losses, and their inner products."""

import torch


def jacobian(losses: int, seed: int, size: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(losses, size, dtype=torch.float64, generator=generator)


def grams(losses: int, layers: int) -> torch.Tensor:
    stack = torch.stack([jacobian(losses, seed) for seed in range(layers)])
    return stack @ stack.mT


def gram_of(*rows: list[float]) -> torch.Tensor:
    stack = torch.tensor(rows, dtype=torch.float64)
    return stack @ stack.mT
