"""No step has the host wait for the device."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_runs
from support.coupled_steps import CPU, STRATEGIES
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gradprom.config import component
from gradprom.data.loader import Loader
from gradprom.methods import recognition
from gradprom.methods.task_driven import EnhancerTraining
from gradprom.training.stage import Start

# what the host waits for

WAITS = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "equal")


class NoWord(TorchDispatchMode):
    """Refuses what would have the host wait for a device: to read a value, or to learn a size."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        chosen = args[1] if func.overloadpacket is torch.ops.aten.index else []
        by_mask = any(index is not None and index.dtype == torch.bool for index in chosen)
        if func.overloadpacket.__name__ in WAITS or by_mask:
            raise AssertionError(f"the host asks for a value: {func}")
        return func(*args, **(kwargs or {}))


KINDS = [*STRATEGIES, *("project", "pcgrad", "gradprom strategy.gate=cosine")]
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
    kinds = KINDS + ["mgda"] * (len(tasks) == 1)
    for kind in kinds:
        made = tiny_runs.make(tmp_path, *common, *f"strategy={kind}".split()).config
        networks = {task: recognition.build(made, task, fresh=True) for task in tasks}
        build = component("backbone", made.backbone.name).build
        enhancer = build(made.backbone, made.facts.channels, 1)
        trained = EnhancerTraining(made, enhancer, networks, made.strategy, Start({}, 2, CPU))
        with NoWord():
            for step, probe in enumerate((False, True)):
                trained.update(loader.batch(0, step), probe)


@pytest.mark.parametrize(
    "asks", [lambda t: t.sum().item(), lambda t: bool(t[0]), lambda t: t[t > 0]]
)
def test_the_check_above_notices_what_asks(asks: Callable[[Tensor], Any]) -> None:
    with NoWord(), pytest.raises(AssertionError, match="the host asks for a value"):
        asks(torch.ones(2))
