"""How networks compute while they are trained: float32, TF32 or bfloat16, eager or compiled.

Parameters, gradients, losses, a strategy's inner products and the optimizers' steps stay float32.
Evaluation is always in float32.
"""

import contextlib
import functools
import random
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from gradprom.config import SERVED, Trainer
from gradprom.errors import RunError, first_line

AMPERE = (8, 0)
"""The first CUDA compute capability whose matrix units support TF32 and bfloat16."""

MOST = 200
"""Letters of torch's own message that are shown."""


def require_supported(options: Trainer, device: torch.device) -> None:
    """Check that a device supports `trainer.precision` and `trainer.compile`.

    Raises
    ------
    RunError
        If it does not.
    """
    precision, device_type = options.precision, device.type
    if device_type not in SERVED[precision]:
        raise RunError(
            f"trainer.precision={precision} needs {' or '.join(SERVED[precision])} and this "
            f"machine has {device_type}; use trainer.precision=float32"
        )
    reduced = precision != "float32"
    if device_type == "cuda" and reduced and torch.cuda.get_device_capability() < AMPERE:
        raise RunError(
            f"trainer.precision={precision} needs a GPU of compute capability 8.0 or more and this "
            f"machine's is lower; use trainer.precision=float32"
        )
    if options.compile:
        _require_compiler(device_type)


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid CUDA to round the factors of products and convolutions to TF32."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = allowed
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def prepare(network: nn.Module, options: Trainer) -> None:
    """Set precision, memory layout and compilation of a network on its device.

    In place, so that the names in its state dict do not change. The network still takes and
    returns float32.
    """
    if options.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.precision == "bf16":
        network.forward = functools.partial(_in_bf16, network.forward)
    if options.compile:
        from torch._functorch import config as functorch  # slow to import, needed to compile only

        # some strategies go back through one graph twice: its buffers must outlive the first pass
        functorch.donated_buffer = False
        # earlier compilations count towards a limit, beyond which torch no longer compiles
        torch._dynamo.reset()
        network.compile()


def _in_bf16(forward: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    # one region per pass: its cache of cast weights must not outlive a pass without gradients
    with torch.autocast(images.device.type, torch.bfloat16):
        return forward(images).float()


@functools.cache
def _require_compiler(device: str) -> None:
    """Compile one line: this fails if the compiler, headers or Triton are missing."""
    try:
        # of a random size, which is in no cache: a cached result would need no compiler
        torch.compile(torch.neg)(torch.ones(random.randrange(2, 10**6), device=device))
    except Exception as error:  # the type depends on what is missing
        reason = first_line(error)[:MOST]  # torch may print its whole configuration
        remedy = ", or install a C++ compiler" if "c++" in reason.lower() else ""
        raise RunError(
            f"trainer.compile=true and torch cannot compile on this machine ({reason}); "
            f"use trainer.compile=false{remedy}"
        ) from error
