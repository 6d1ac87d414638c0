"""How networks compute while they are trained: float32, TF32 or bfloat16, eager or compiled.

Parameters, gradients, losses, what a strategy compares and the optimizers' steps stay float32.
What is evaluated is computed in float32, however it was trained.
"""

import contextlib
import functools
import random
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from gradprom.config import SERVED, Trainer
from gradprom.errors import RunError

AMPERE = (8, 0)
"""The first compute capability of CUDA whose matrix units know TF32 and bfloat16."""


def require(options: Trainer, device: torch.device) -> None:
    """Raises RunError where a device does not serve `trainer.precision` or `trainer.compile`."""
    wanted, there = options.precision, device.type
    if there not in SERVED[wanted]:
        raise RunError(
            f"trainer.precision={wanted} needs {' or '.join(SERVED[wanted])} and this machine "
            f"has {there}; use trainer.precision=float32"
        )
    if there == "cuda" and wanted != "float32" and torch.cuda.get_device_capability() < AMPERE:
        raise RunError(
            f"trainer.precision={wanted} needs a GPU of compute capability 8.0 or more and this "
            f"one's is lower; use trainer.precision=float32"
        )
    if options.compile:
        _require_compiler(there)


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether CUDA may round factors of products and convolutions to TF32, while the block runs."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = allowed
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def prepare(network: nn.Module, options: Trainer) -> None:
    """Have a network on its device compute as the trainer's options say.

    It happens in place, so that the names of its states stay. It takes and gives float32.
    """
    if options.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.precision == "bf16":
        network.forward = functools.partial(_in_bf16, network.forward)
    if options.compile:
        from torch._functorch import config as functorch  # which torch imports to compile

        # several strategies go back through one graph twice, whose buffers must outlive the first
        functorch.donated_buffer = False
        # what was compiled for earlier stages counts against a limit, past which nothing is
        torch._dynamo.reset()
        network.compile()


def _in_bf16(forward: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    # one region for each pass: its cache of cast weights must not outlive a pass without gradients
    with torch.autocast(images.device.type, torch.bfloat16):
        return forward(images).float()


@functools.cache
def _require_compiler(device: str) -> None:
    """Compile one line: that tells of a missing compiler, of headers and of Triton alike."""
    try:
        # of a size that no cache holds: what is found there needs no compiler
        torch.compile(torch.neg)(torch.ones(random.randrange(2, 10**6), device=device))
    except Exception as error:  # each has another type
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RunError(
            f"trainer.compile=true and torch cannot compile on this machine ({reason}); "
            f"use trainer.compile=false, or install a C++ compiler"
        ) from error
