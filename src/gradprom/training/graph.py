"""The updates of a stage: called one by one, or captured as CUDA graphs and replayed.

An update launches hundreds of kernels one after the other, and small images are computed faster
than that. A graph launches all of them at once, and computes the same bits: what was captured is
the training's own `update`. Each replay reads and writes the same places in memory. So batches are
copied into buffers; weights, statistics, moments and rates are changed in place; and the host's
part of an update, the schedules, follows after each replay.

There is a graph for plain updates and one for probed ones, each captured when it is first needed.
On a CPU the buffers are the same, and a call stands in for the replay.
"""

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from gradprom.config import Trainer
from gradprom.data.batch import Batch
from gradprom.errors import RunError, first_line
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import Optimizer
from gradprom.training.parallel import distributed
from gradprom.training.recorder import Caller, CudaRecorder, Logs, Recorder
from gradprom.training.stage import Training

log = logging.getLogger(__name__)

WARM_UPS = 3
"""Updates before a capture, in which libraries choose algorithms and allocate their memory."""


class OfNetworks(Training, Protocol):
    """A training whose networks and optimizers are known."""

    networks: Networks


class NotCapturable(Exception):
    """Why updates cannot be captured."""


class Updates:
    """The updates of a stage, captured where they can be; a call takes one.

    Parameters
    ----------
    stage
        Its name.
    training
        The stage in training, in the state in which it begins or continues.
    options
        `graph` says whether updates are captured.
    device
        Where it is trained.

    Raises
    ------
    RunError
        For `graph=true` and updates that cannot be captured; by a call, too.
    """

    def __init__(self, stage: str, training: Training, options: Trainer, device: torch.device):
        self.stage, self.training, self.required = stage, training, options.graph == "true"
        self._captured: Captured | None = None
        if self.required or (options.graph == "auto" and device.type == "cuda"):
            try:
                self._captured = Captured(_capturable(training, options, device), device)
            except NotCapturable as reason:
                self._give_up(reason)

    def __call__(self, batch: Batch, probe: bool) -> Logs:
        """Take one step; arguments and result are those of `Training.update`."""
        if self._captured is None:
            return self.training.update(batch, probe)
        is_first = self.kind == "eager"
        try:
            logs = self._captured.update(batch, probe)
        except NotCapturable as reason:
            self._give_up(reason)
            return self.training.update(batch, probe)
        if is_first and self.kind != "eager":
            log.info("stage %s: updates are %s", self.stage, self._captured.recorder.message)
        return logs

    @property
    def kind(self) -> str:
        """`graph`, replayed as CUDA graphs; `static`, in a graph's buffers on a CPU; or `eager`."""
        if self._captured is None or not self._captured.replays:
            return "eager"
        return self._captured.recorder.kind

    def _give_up(self, reason: NotCapturable) -> None:
        self._captured = None
        if self.required:
            raise RunError(
                f"trainer.graph=true and updates of stage {self.stage} cannot be captured "
                f"({reason}); use trainer.graph=auto"
            ) from reason
        log.info("stage %s: updates are not captured as a CUDA graph (%s)", self.stage, reason)


def _capturable(training: Training, options: Trainer, device: torch.device) -> OfNetworks:
    """The training, unless it is plain without a try that its updates cannot be captured."""
    if distributed.ranks() > 1:
        raise NotCapturable("several devices share each batch")
    if options.compile:
        raise NotCapturable("trainer.compile=true compiles the networks")
    if device.type not in ("cuda", "cpu"):
        raise NotCapturable(f"{device.type} has no CUDA graphs")
    if not isinstance(training, NetworkTraining):
        raise NotCapturable(f"{type(training).__name__} is no NetworkTraining")
    if training.reads_values:
        raise NotCapturable("they read values from the device")
    return training


class Captured:
    """A training whose updates are replayed, from buffers that each batch is copied into."""

    def __init__(self, training: OfNetworks, device: torch.device):
        self.training, self.device = training, device
        self.recorder: Recorder = CudaRecorder(device) if device.type == "cuda" else Caller()
        self.optimizers = list(training.networks.optimizers.values())
        self.batch: Batch | None = None
        """The buffers."""
        self.replays: dict[bool, tuple[Callable[[], Logs], list[Optimizer]]] = {}
        """For plain and for probed updates: the replay, and the optimizers that it steps."""

    def update(self, batch: Batch, probe: bool) -> Logs:
        """Take one step; a batch of another size than the first one's by a call.

        Raises
        ------
        NotCapturable
            Before anything has changed.
        """
        if self.batch is None:
            self.batch = _buffers(batch)
        tensors, buffers = _tensors(batch), _tensors(self.batch)
        if _shapes(tensors) != _shapes(buffers):
            return self.training.update(batch, probe)
        for name, buffer in buffers.items():
            buffer.copy_(tensors[name])
        if probe not in self.replays:
            self.replays[probe] = self._capture(probe)
        replay, stepped = self.replays[probe]
        logs = replay()
        for optimizer in stepped:
            optimizer.advance()
        return logs

    def _capture(self, probe: bool) -> tuple[Callable[[], Logs], list[Optimizer]]:
        state = copy.deepcopy(self.training.state_dict())
        try:
            with self.recorder.warming_up():
                stepped = self._warm_up(probe)
            places = _places(self.training.state_dict(), self.device)
            self._restore(state)
            _require_equal(places, _places(self.training.state_dict(), self.device), "a resume")
            replay = self.recorder.record(lambda: self._update(probe))
        except Exception as error:  # whichever the update, the libraries or CUDA raise
            self._restore(state)
            # an error that ends a capture is followed by one of its end, which says nothing
            raise NotCapturable(first_line(error.__context__ or error)) from error
        return replay, stepped

    def _warm_up(self, probe: bool) -> list[Optimizer]:
        """The optimizers that an update steps; raises NotCapturable for one that leaves a trace."""
        for _ in range(WARM_UPS - 1):
            self._update(probe)
        counts = [optimizer.steps for optimizer in self.optimizers]
        places = _places(self.training.state_dict(), self.device)
        with self.recorder.forbidding_waits():
            self._update(probe)
        _require_equal(places, _places(self.training.state_dict(), self.device), "an update")
        if any(optimizer.gradients() for optimizer in self.optimizers):
            raise NotCapturable("an update leaves gradients to the next one")
        taken = [optimizer.steps - n for optimizer, n in zip(self.optimizers, counts, strict=True)]
        if max(taken, default=0) > 1:
            raise NotCapturable("an update steps one optimizer more than once")
        return [optimizer for optimizer, n in zip(self.optimizers, taken, strict=True) if n]

    def _update(self, probe: bool) -> Logs:
        """An update from the buffers that leaves the schedules alone."""
        assert self.batch is not None
        for optimizer in self.optimizers:
            optimizer.holds_schedule = True
        try:
            return self.training.update(self.batch, probe)
        finally:
            for optimizer in self.optimizers:
                optimizer.holds_schedule = False

    def _restore(self, state: dict[str, Any]) -> None:
        self.training.load_state_dict(state)
        for network in self.training.networks.networks.values():
            network.zero_grad()


def _tensors(batch: Batch) -> dict[str, Tensor]:
    """All tensors of a batch by names of their own."""
    drawn = {} if batch.observation is None else batch.observation.parameters
    return {
        "input": batch.input,
        "target": batch.target,
        **{f"annotations.{name}": value for name, value in batch.annotations.items()},
        **{f"observation.{name}": value for name, value in drawn.items()},
    }


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


def _buffers(batch: Batch) -> Batch:
    """A copy of a batch, without ids: those of the first batch would be wrong for all others."""
    observation = batch.observation
    if observation is not None:
        drawn = {name: value.clone() for name, value in observation.parameters.items()}
        observation = replace(observation, parameters=drawn)
    annotations = {name: value.clone() for name, value in batch.annotations.items()}
    return Batch([], batch.input.clone(), batch.target.clone(), annotations, observation)


def _places(state: Any, device: torch.device, name: str = "") -> dict[str, Any]:
    """By dotted name, what a state holds: a tensor on the device, or the value of anything else."""
    if isinstance(state, Tensor):
        return {name: state if state.device.type == device.type else state.tolist()}
    if isinstance(state, Mapping):
        parts: Sequence[tuple[Any, Any]] = list(state.items())
    elif isinstance(state, list | tuple):
        parts = list(enumerate(state))
    else:
        return {name: state}
    named = [_places(part, device, f"{name}.{key}" if name else str(key)) for key, part in parts]
    return {key: place for each in named for key, place in each.items()}


def _require_equal(before: dict[str, Any], after: dict[str, Any], what: str) -> None:
    """Raise NotCapturable if what a state holds has moved on the device, or changed elsewhere."""
    for name in before | after:
        one, other = before.get(name), after.get(name)
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            # both are held, so that no new tensor can lie where an old one was
            alike = one.data_ptr() == other.data_ptr() and one.shape == other.shape
        else:
            alike = type(one) is type(other) and one == other
        if not alike:
            raise NotCapturable(f"{what} moves {name}, or changes it on the host")
