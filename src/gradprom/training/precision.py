"""How networks compute while they are trained: float32, TF32 or bfloat16, eager or compiled, in
which memory layout, and whether with equal bits each time.

Parameters, gradients, losses, a strategy's inner products and the optimizers' steps stay float32.
Evaluation is always in float32.
"""

import contextlib
import functools
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from gradprom.config import SERVED, Trainer
from gradprom.errors import RunError, first_line
from gradprom.training.workspace import fix_workspace

AMPERE = (8, 0)
"""The first CUDA compute capability whose matrix units support TF32 and bfloat16."""

NARROW = 16
"""Channels of a network's first convolution up to which a CPU computes it faster with a pixel's
channels together (`benchmarks/precision.py`)."""

_OWN_CACHE = "gradprom"
"""The folder within that of torch's compiler for code of this package."""

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


@contextlib.contextmanager
def deterministic(options: Trainer, device: torch.device) -> Iterator[None]:
    """With `trainer.deterministic`, equal bits each time: on CUDA, and on a CPU as always.

    An operation that could not keep to it raises RuntimeError, of those that a CPU knows of there
    too. MPS, which promises nothing, is left alone.
    """
    if not options.deterministic or device.type == "mps":
        yield
        return
    fix_workspace()
    cudnn: Any = torch.backends.cudnn
    settings: Any = torch.utils.deterministic
    before = torch.get_deterministic_debug_mode()
    benchmark, fill = cudnn.benchmark, settings.fill_uninitialized_memory
    # by this function, because the usual one imports torch's compiler, which takes seconds
    torch.set_deterministic_debug_mode("error")
    # the fastest of cuDNN's algorithms is another one each time
    cudnn.benchmark = False
    # NaN in memory that is not initialized would cost a pass over it, and nothing reads it
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        cudnn.benchmark, settings.fill_uninitialized_memory = benchmark, fill


@contextlib.contextmanager
def as_trained(options: Trainer, device: torch.device) -> Iterator[None]:
    """Compute as a training with these options does, apart from what `prepare` sets."""
    with tf32(options.precision == "tf32"), deterministic(options, device):
        yield


def is_channels_last(network: nn.Module, options: Trainer) -> bool:
    """Whether a network keeps a pixel's channels together in memory while it is trained.

    With `auto` where that was measured to be faster: on CUDA in TF32 and bfloat16, not in float32;
    on a CPU for networks that begin with at most `NARROW` channels.
    """
    if options.channels_last != "auto":
        return options.channels_last == "true"
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    if device.type != "cpu":
        return device.type == "cuda" and options.precision != "float32"
    convolutions = (m for m in network.modules() if isinstance(m, nn.Conv2d))
    first = next(convolutions, None)
    return first is not None and first.out_channels <= NARROW


def prepare(network: nn.Module, options: Trainer) -> None:
    """Set precision, memory layout and compilation of a network on its device.

    In place, so that the names in its state dict do not change. The network still takes and
    returns float32.
    """
    if is_channels_last(network, options):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.precision == "bf16":
        network.forward = functools.partial(_in_bf16, network.forward)
    if options.compile:
        _set_compiler(options)
        # earlier compilations count towards a limit, beyond which torch no longer compiles
        torch._dynamo.reset()
        network.compile()


def _set_compiler(options: Trainer) -> None:
    """Choose among the compiler's options those that this version of torch has."""
    from torch._functorch import config as functorch  # slow to import, needed to compile only
    from torch._inductor import config as inductor

    # some strategies go back through one graph twice: its buffers must outlive the first pass
    if hasattr(functorch, "donated_buffer"):
        functorch.donated_buffer = False
        _use_own_cache()
    if hasattr(inductor, "deterministic"):
        inductor.deterministic = options.deterministic


def _use_own_cache() -> None:
    """Keep compiled code apart from that of other programs.

    Code with donated buffers comes out of torch's cache for code without
    (docs/upstream/donated_buffers.py).
    """
    from torch._inductor.runtime.runtime_utils import cache_dir

    place = cache_dir()
    if os.path.basename(place) != _OWN_CACHE:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(place, _OWN_CACHE)


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
        # torch wraps the error, and may print its whole configuration
        reason = first_line(getattr(error, "inner_exception", error))[:MOST]
        remedy = ", or install a C++ compiler" if "c++" in reason.lower() else ""
        raise RunError(
            f"trainer.compile=true and torch cannot compile on this machine ({reason}); "
            f"use trainer.compile=false{remedy}"
        ) from error
