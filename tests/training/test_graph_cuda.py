"""Updates replayed as CUDA graphs have the bits of eager ones, on a GPU."""

from pathlib import Path

import pytest
import torch
from support import graph_checks

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
STEPS = 36


@pytest.mark.parametrize("words", [(), ("trainer.precision=bf16",), ("auxiliary=multitask",)])
@pytest.mark.parametrize("strategy", ["gradprom", "joint", "frozen"])
def test_a_stage_ends_with_the_same_bits(
    strategy: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    """At the demo's size, plain and probed, and interrupted in the middle."""
    found = graph_checks.compare(tmp_path, strategy, torch.device("cuda"), STEPS, *words)
    assert found.kinds == ("eager", "graph", "graph") and found.differences == []


def test_a_strategy_that_keeps_a_state_is_not_captured(tmp_path: Path) -> None:
    eager, *tried = (
        graph_checks.trained(tmp_path, "random_gate", torch.device("cuda"), STEPS, graph)
        for graph in ("false", "auto")
    )
    assert [each["updates"] for each in (eager, *tried)] == ["eager", "eager"]
    assert graph_checks.differences(eager, tried[0]) == []
