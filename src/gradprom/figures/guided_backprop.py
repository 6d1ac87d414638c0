"""Guided backpropagation (Springenberg et al. 2015): which pixels contribute to an output."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


class _Guided(torch.autograd.Function):
    """The identity, whose gradient passes where it and the rectifier's input are positive."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, outputs: Tensor) -> Tensor:
        context.save_for_backward(inputs)
        return outputs.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (inputs,) = context.saved_tensors
        [gradient] = gradients
        return gradient * (inputs > 0) * (gradient > 0), None


@contextlib.contextmanager
def rectified(network: nn.Module) -> Iterator[None]:
    """Apply the guided rule to all ReLU and PReLU modules of a network in the block."""

    # an in-place ReLU has overwritten its input, but the output is positive where the input was
    def guide(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return _Guided.apply(inputs[0], output)

    rectifiers = [m for m in network.modules() if isinstance(m, nn.ReLU | nn.PReLU)]
    handles = [module.register_forward_hook(guide) for module in rectifiers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def guided_gradient(
    network: nn.Module, images: Tensor, score: Callable[[Tensor], Tensor]
) -> Tensor:
    """The guided gradient [B, C, H, W] of `score(network(images))`, a scalar, to the images.

    The network is put into evaluation mode.
    """
    images = images.detach().clone().requires_grad_(True)
    with rectified(network.eval()), torch.enable_grad():
        [gradient] = torch.autograd.grad(score(network(images)), images)
    return gradient


def enhanced(output: Tensor) -> Tensor:
    """The sum of an enhancer's output [B, C, H, W]."""
    return output.sum()


def predicted(logits: Tensor) -> Tensor:
    """The sum of the largest logits of each image; logits [B, classes]."""
    return logits.max(dim=1).values.sum()


def segmented(logits: Tensor) -> Tensor:
    """The logits of foreground classes where they win; logits [B, classes, H, W], 0 background.

    Where the background wins everywhere: every pixel's best foreground logit.
    """
    best = logits[:, 1:].max(dim=1).values
    wins = best > logits[:, 0]
    return (best * wins).sum() if wins.any() else best.sum()
