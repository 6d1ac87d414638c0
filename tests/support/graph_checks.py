"""Stages trained by eager and by captured updates, compared bit for bit, on any device."""

import copy
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from support import tiny_runs
from torch import Tensor

from gradprom.runs import ranks
from gradprom.runs.run import Run
from gradprom.storage import preemption
from gradprom.storage.preemption import Interrupted
from gradprom.training.stage import Start

ROW = 5
"""Steps of a row of the history, whose last one is probed."""


@dataclass
class Found:
    """Three trainings of one stage: eager, captured, and captured but interrupted in the middle."""

    kinds: tuple[str, ...]
    """How each took its updates, as `Updates.kind`."""
    differences: list[str]
    """What the second and the third have left otherwise than the first, by name; empty: nothing."""


def compare(
    folder: Path, strategy: str, device: torch.device, steps: int, *overrides: str
) -> Found:
    """Train the coupled stage of a demo run, from fresh networks, on one batch an epoch."""
    eager, captured, interrupted = (
        trained(folder, strategy, device, steps, graph, stop, *overrides)
        for graph, stop in (("false", 0), ("true", 0), ("true", steps // 2))
    )
    kinds = tuple(each["updates"] for each in (eager, captured, interrupted))
    return Found(kinds, differences(eager, captured) + differences(eager, interrupted))


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of the weights and of the history's values that are not equal in every bit."""
    first, second = (
        _named({key: ended[key] for key in ("weights", "history")}) for ended in (one, other)
    )
    return [name for name in first | second if not _equal(first.get(name), second.get(name))]


def trained(
    folder: Path,
    strategy: str,
    device: torch.device,
    steps: int,
    graph: str,
    stop: int = 0,
    *overrides: str,
) -> dict[str, Any]:
    """What `engine.train` returns; asked to stop after step `stop`, it goes on from its checkpoint.

    `graph` is `trainer.graph`.
    """
    epochs = ("auxiliary.epochs=0", "trainer.warmup_epochs=0", f"trainer.coupled_epochs={steps}")
    options = ("lam=0.1", f"trainer.log_every={ROW}", f"trainer.graph={graph}")
    words = (*epochs, "dataset.train=8", "dataset.test=8", f"trainer.device={device.type}")
    run = tiny_runs.make(folder, *words, f"strategy={strategy}", *options, *overrides)
    stage, shelf, weights = run.method.stage(), _Shelf(), _fresh(run, device)
    calls = itertools.count(1)
    requested = preemption.requested
    preemption.requested = lambda: next(calls) == stop  # the engine asks once a step
    try:
        while True:
            try:
                observe = _nothing
                return ranks.train_stage(run, stage, weights, device, shelf, observe)  # type: ignore[arg-type]
            except Interrupted:
                assert shelf.content["step"] == stop
    finally:
        preemption.requested = requested


class _Shelf:
    """Stands for the stage's place in the store."""

    content: Any = None
    resumed = 0

    def load_checkpoint(self) -> Any:
        return copy.deepcopy(self.content)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        self.content = copy.deepcopy(state)

    def count_resume(self) -> int:
        self.resumed += 1
        return self.resumed


def _nothing(progress: Any) -> None:
    """Observes nothing."""


def _fresh(run: Run, device: torch.device) -> dict[str, Any]:
    """What the stage's parents leave before their first step."""
    artefacts = {}
    for parent in run.method.stage().parents:
        torch.manual_seed(0)
        artefacts[parent.id] = copy.deepcopy(parent.begin(Start({}, 1, device)).artefact())
    return artefacts


def _named(state: Any, name: str = "") -> dict[str, Any]:
    """All that a state holds, by dotted name."""
    if not isinstance(state, dict | list):
        return {name: state}
    parts = state.items() if isinstance(state, dict) else enumerate(state)
    named = [_named(part, f"{name}.{key}".strip(".")) for key, part in parts]
    return {key: value for each in named for key, value in each.items()}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)
