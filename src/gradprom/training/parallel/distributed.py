"""Collective operations of the ranks of one run: averages, and statistics of a whole batch.

Several ranks train one stage data-parallel inside `group`; outside of it, and in a run on one
device, there is only rank 0 and everything here returns its argument.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gradprom.errors import RunError

TIMEOUT = timedelta(seconds=180)
"""How long a rank waits for the others in a step, in which rank 0 may be writing a checkpoint."""


class RankLost(RunError):
    """Another rank has ended or hangs; the run can continue from its last checkpoint."""


def rank() -> int:
    """This process's rank among those that train the stage, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """How many processes train the stage."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextlib.contextmanager
def group(store: dist.Store, rank: int, ranks: int, device: torch.device) -> Iterator[None]:
    """A process group for the block: NCCL between GPUs, gloo between CPU processes.

    Parameters
    ----------
    store
        The store through which the ranks find each other.
    rank, ranks
        This process's rank, and how many there are.
    device
        Where this rank trains.

    Raises
    ------
    RankLost
        If another rank does not arrive, ends, or does not answer for `TIMEOUT`.
    """
    # on a timeout the watchdog unblocks the host, which then reports the lost rank; by default it
    # would end the process silently
    os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2")
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    # torch names a group by how many the process has begun, until one has ended: one that did not
    # begin on a single rank would leave the ranks with two names, each waiting for the other
    dist.distributed_c10d._world.group_count = 0
    try:
        with _noticing_loss():
            dist.init_process_group(
                backend, store=store, rank=rank, world_size=ranks, timeout=TIMEOUT
            )
        yield
    except dist.DistError as error:  # from within torch's own layers
        raise _lost() from error
    finally:
        if dist.is_initialized():
            _leave()


def _leave() -> None:
    """Destroy the process group, gloo's part of it last.

    The end of gloo waits for its threads, which may need Python's lock to let go of a tensor. In
    torch 2.6 the group keeps the lock meanwhile, for ever; gloo by itself gives it up.
    """
    gloo = dist.distributed_c10d._get_default_group()._get_backend(torch.device("cpu"))
    dist.destroy_process_group()
    del gloo


def average(values: Tensor) -> Tensor:
    """The mean of floats of any shape over the ranks, bit-identical on each.

    Differentiable: gradients are averaged too, which gives the gradient of the mean loss.
    """
    return values if ranks() == 1 else _Average.apply(values)


def average_into(gradients: list[Tensor]) -> None:
    """Replace each gradient by its mean over the ranks, in one collective call."""
    if ranks() == 1:
        return
    row = average(torch.cat([gradient.flatten() for gradient in gradients]))
    pieces = row.split([gradient.numel() for gradient in gradients])
    for gradient, piece in zip(gradients, pieces, strict=True):
        gradient.copy_(piece.view_as(gradient))


def gathered(values: Tensor) -> Tensor:
    """The rows of all ranks below one another, [B, …] -> [ranks·B, …]; without gradients."""
    if ranks() == 1:
        return values
    rows = values.new_zeros(ranks(), *values.shape)
    rows[rank()] = values
    return (_all_reduced(rows) * ranks()).flatten(0, 1)


def average_rows(values: dict[str, list[float]]) -> dict[str, list[float]]:
    """The means over the ranks of numbers on the host.

    They are exchanged on the host and not on the devices, so that a lost rank is noticed here,
    before a wrong result is stored.
    """
    if ranks() == 1:
        return values
    means = iter(average(torch.tensor([v for row in values.values() for v in row]).double()))
    return {key: [float(next(means)) for _ in row] for key, row in values.items()}


def share(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    if ranks() == 1:
        return value
    objects = [value]
    with _noticing_loss():
        dist.broadcast_object_list(objects, src=0, device=torch.device("cpu"))
    return objects[0]


def synchronise(network: nn.Module, device: torch.device) -> None:
    """Make a network's BatchNorm layers use statistics over the ranks' whole batch.

    The ranks' shares must be of one size. Parameters and the names of states do not change.
    """
    if ranks() == 1:
        return
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return
    for module in network.modules():  # torch's SyncBatchNorm does not support CPUs
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.forward = partial(_batch_norm, module)  # type: ignore[method-assign]


def _batch_norm(module: Any, images: Tensor) -> Tensor:
    """BatchNorm over all ranks' images [B, C, …], as a single process would compute it."""
    if not module.training:
        return type(module).forward(module, images)
    images = images.to(module.weight.dtype)  # autocast gives bfloat16, too coarse for statistics
    dims, shape = [0, *range(2, images.dim())], [-1, *[1] * (images.dim() - 2)]
    mean = average(images.mean(dims))
    centred = images - mean.view(shape)
    variance = average(centred.square().mean(dims))
    _follow(module, mean.detach(), variance.detach(), images.numel() // len(mean) * ranks())
    scale = module.weight * (variance + module.eps).rsqrt()
    return centred * scale.view(shape) + module.bias.view(shape)


def _follow(module: Any, mean: Tensor, variance: Tensor, count: int) -> None:
    """Move the running statistics towards those of a batch of `count` values per channel."""
    module.num_batches_tracked += 1
    module.running_mean.lerp_(mean, module.momentum)
    module.running_var.lerp_(variance * (count / (count - 1)), module.momentum)


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _all_reduced(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return _all_reduced(gradient)


def _all_reduced(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    with _noticing_loss():
        dist.all_reduce(total)
    return total.div_(ranks())


@contextlib.contextmanager
def _noticing_loss() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo has no type of its own for a closed connection
        raise _lost() from error


def _lost() -> RankLost:
    return RankLost("another rank of this run has ended or is not heard of")
