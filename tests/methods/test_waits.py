"""No step has the host wait for the device."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_runs
from support.coupled_steps import CPU, STRATEGIES
from support.device_waits import NoWaiting
from torch import Tensor

from gradprom.config import component
from gradprom.config.components import component_names
from gradprom.data.loader import Loader
from gradprom.methods import recognition
from gradprom.methods.coupled_training import EnhancerTraining
from gradprom.strategies import LossStrategy
from gradprom.training.stage import Start

KINDS = [*STRATEGIES, *("project", "pcgrad", "gradprom strategy.gate=cosine")]
KINDS += ["uncertainty", "dwa strategy.window=1"]
TWO = ["mgda", "pcd", "dualproj", "bisector", "cagrad", "aligned"]
KINDS += ["gradprom strategy.granularity=layer", "gradprom strategy.gate_on=last"]


@pytest.mark.parametrize("supervision", ["supervised", "unsupervised"])
@pytest.mark.parametrize("auxiliary", ["diagnosis", "segmentation", "multitask"])
def test_no_step_asks_the_device_for_a_value(
    supervision: str, auxiliary: str, tmp_path: Path
) -> None:
    """From the batch to the logs, whatever the gates do; the engine reads in bulk."""
    common = [*tiny_runs.PHANTOM, f"supervision={supervision}", f"auxiliary={auxiliary}"]
    run = tiny_runs.make(tmp_path, *common)
    tasks = list(run.config.auxiliary.tasks)
    batches = replace(run.method.stage().batches, size=8)
    loader = Loader(run.images(), "train", batches, CPU)
    kinds = KINDS + TWO * (len(tasks) == 1)
    for kind in kinds:
        made = tiny_runs.make(tmp_path, *common, *f"strategy={kind}".split()).config
        networks = {task: recognition.build(made, task, fresh=True) for task in tasks}
        build = component("backbone", made.backbone.name).build
        enhancer = build(made.backbone, made.facts.channels, 1)
        trained = EnhancerTraining(made, enhancer, networks, made.strategy, Start({}, 2, CPU))
        with NoWaiting():
            for step, probe in enumerate((False, True)):
                trained.update(loader.batch(0, step), probe)


WAITING = {"torchjd"}
"""Strategies that decide on the host."""


@pytest.mark.parametrize("name", sorted(component_names("strategy")))
def test_strategies_that_wait_are_known(name: str) -> None:
    strategy, gram = component("strategy", name).Options(), torch.tensor([[2.0, -1.0], [-1.0, 1.0]])
    losses = (torch.ones(2),) if isinstance(strategy, LossStrategy) else ()
    with NoWaiting():
        for _ in range(2):
            if name in WAITING:
                with pytest.raises(AssertionError, match="the host asks for a value"):
                    strategy.weights(gram, *losses)
            else:
                strategy.weights(gram, *losses)


@pytest.mark.parametrize(
    "asks", [lambda t: t.sum().item(), lambda t: bool(t[0]), lambda t: t[t > 0]]
)
def test_the_check_above_notices_what_asks(asks: Callable[[Tensor], Any]) -> None:
    with NoWaiting(), pytest.raises(AssertionError, match="the host asks for a value"):
        asks(torch.ones(2))
