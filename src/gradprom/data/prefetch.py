"""Prefetching: the host's part of the next steps is prepared during the current step."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

DEPTH = 2
"""Number of steps prepared in advance."""

Item = TypeVar("Item")


class Prefetcher(Generic[Item]):
    """Calls a loader's `make(seed, step)` in a thread before the step needs it.

    Taking steps in another order gives the same results, only later.
    """

    def __init__(self, device: torch.device) -> None:
        self.waiting: dict[tuple[int, int], Future[Item]] = {}
        self.thread = ThreadPoolExecutor(1, initializer=_take, initargs=(_number(device),))

    def take(self, make: Callable[[int, int], Item], seed: int, step: int) -> Item:
        """The result of `make`, always the same function, for a step; raises what it raises."""
        steps = [(seed, step + further) for further in range(DEPTH + 1)]
        for skipped in self.waiting.keys() - set(steps):
            self.waiting.pop(skipped).cancel()
        for key in steps:
            if key not in self.waiting:
                self.waiting[key] = self.thread.submit(make, *key)
        return self.waiting.pop(steps[0]).result()


def _number(device: torch.device) -> int | None:
    """The GPU that this thread works on."""
    return torch.cuda.current_device() if device.type == "cuda" else None


def _take(number: int | None) -> None:
    # otherwise a new thread would pin memory for the first GPU, and use some of its memory
    if number is not None:
        torch.cuda.set_device(number)
