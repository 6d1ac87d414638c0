"""Recorders make a replay of a call: CUDA's as a graph, the stand-in on a CPU by calling again."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

Logs = dict[str, Tensor]


class Recorder(Protocol):
    """Makes a replay of a call."""

    kind: str
    """As `graph.Updates.kind`."""
    message: str

    def warming_up(self) -> contextlib.AbstractContextManager[None]:
        """A block for the calls before the one that is recorded; leaves random numbers alone."""

    def forbidding_waits(self) -> contextlib.AbstractContextManager[None]:
        """A block in which having the host wait for the device raises an error."""

    def record(self, call: Callable[[], Logs]) -> Callable[[], Logs]:
        """The replay of a call; each has tensors of its own."""


class Caller:
    """Stands in for a recorder on a CPU: calls again what it should record."""

    kind, message = "static", "called in the buffers of a CUDA graph"

    def warming_up(self) -> contextlib.AbstractContextManager[None]:
        return torch.random.fork_rng(devices=[])

    def forbidding_waits(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def record(self, call: Callable[[], Logs]) -> Callable[[], Logs]:
        return call


class CudaRecorder:
    """Captures CUDA graphs, which share their memory."""

    kind, message = "graph", "replayed as CUDA graphs"

    def __init__(self, device: torch.device):
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    @contextlib.contextmanager
    def warming_up(self) -> Iterator[None]:
        # on the stream of the capture: libraries keep a workspace for each
        index = torch.cuda.current_device() if self.device.index is None else self.device.index
        caller = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(caller)
        try:
            with torch.random.fork_rng(devices=[index]), torch.cuda.stream(self.stream):
                yield
        finally:
            caller.wait_stream(self.stream)

    @contextlib.contextmanager
    def forbidding_waits(self) -> Iterator[None]:
        # a capture that failed because of a wait would leave torch's random numbers unusable
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
            torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)

    def record(self, call: Callable[[], Logs]) -> Callable[[], Logs]:
        graph = torch.cuda.CUDAGraph()
        # the loader's thread pins memory meanwhile, which the mode `global` would not allow
        settings: dict[str, Any] = {"pool": self.pool, "capture_error_mode": "thread_local"}
        # torch's own block does not leave the stream if the capture fails
        with (
            torch.cuda.stream(self.stream),
            torch.cuda.graph(graph, stream=self.stream, **settings),
        ):
            logs = call()
            row = torch.stack([value.detach().float() for value in logs.values()])
        names = list(logs)

        def replay() -> Logs:
            graph.replay()
            # the next replay overwrites the row
            return dict(zip(names, row.clone().unbind(), strict=True))

        return replay
