"""What costs passes of its own is looked at seldom: 3 % of the time at most."""

from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_runs
from support.coupled_steps import batch, config, equal, training
from torch import Tensor

from gradprom.config import Trainer
from gradprom.data.loader import Batch
from gradprom.methods import task_driven
from gradprom.runs.history import read
from gradprom.storage.files import load_state
from gradprom.training import engine
from gradprom.training.stage import Stage
from gradprom.training.store import NoSlot


class Noting:
    """A training that notes at which steps it was asked to probe."""

    def __init__(self) -> None:
        self.steps, self.probed = 0, list[int]()

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """No step."""
        self.steps += 1
        self.probed += [self.steps] if probe else []
        return {"finite": torch.tensor(1.0)}

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    load_state_dict: Any = None
    artefact = state_dict


class Loader:
    """Gives no batches, ten steps an epoch."""

    steps_per_epoch, device = 10, torch.device("cpu")

    def batch(self, seed: int, step: int) -> None:
        """None."""


@pytest.mark.parametrize(
    ("log_every", "probe_every", "probed"),
    [
        (10, 1, [10, 20, 30, 40, 50]),
        (10, 40, [40, 50]),
        (10, 20, [20, 40, 50]),
        (1, 20, [20, 40, 50]),
        (7, 20, [21, 42, 50]),
        (30, 20, [30, 50]),
        (100, 20, [50]),
    ],
)
def test_probes_are_at_least_so_far_apart_and_at_the_end_of_rows(
    log_every: int, probe_every: int, probed: list[int]
) -> None:
    training = Noting()
    stage = Stage("coupled", 5, 0, {}, probe_every=probe_every)
    options = Trainer(log_every=log_every, checkpoint_seconds=1e9)
    arguments: Any = (stage, lambda steps: training, Loader(), NoSlot(), options)
    found = engine.train(*arguments, lambda progress: None)
    assert training.probed == probed
    rows = [row["step"] for row in found["history"]]
    assert rows == sorted({*range(log_every, 51, log_every), 50})  # as the user asked


@pytest.mark.parametrize(
    ("words", "every"),
    [
        ("strategy=gradprom", 1),
        ("strategy=gradprom strategy.granularity=layer", 1),
        ("strategy=pcgrad", 1),
        ("strategy=mainstream", 1),
        ("strategy=joint", 40),
        ("strategy=frozen", 40),
        ("strategy=random_gate", 40),
        ("strategy=gradprom strategy.gate_on=last", 40),
        ("strategy=joint auxiliary=multitask", 60),
    ],
)
def test_who_has_the_gradients_anyway_probes_at_every_row(
    tmp_path: Path, words: str, every: int
) -> None:
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, *words.split())
    *before, last = run.method.stage().lineage()
    assert last.probe_every == every and {stage.probe_every for stage in before} == {1}


def passes(words: str, probe: bool) -> int:
    """How often an update goes back through the enhancer's last layer."""
    trained, count = training(config(*words.split())), 0

    def seen(*_: object) -> None:
        nonlocal count
        count += 1

    trained.enhancer[-1].register_full_backward_hook(seen)
    trained.update(batch(0), probe=probe)
    return count


@pytest.mark.parametrize(
    ("words", "plain", "probed"),
    [
        ("strategy=mainstream auxiliary=none", 1, 1),
        ("strategy=gradprom", 2, 2),
        ("strategy=joint", 1, 3),
        ("strategy=joint auxiliary=multitask", 1, 4),
    ],
)
def test_passes_through_the_enhancer(words: str, plain: int, probed: int) -> None:
    assert (passes(words, False), passes(words, True)) == (plain, probed)


@pytest.mark.parametrize("strategy", ["joint", "frozen"])
def test_seldom_probes_change_nothing_but_how_many_there_are(
    tmp_path: Path, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics, weights and the rest of the history are those of a run that probes at every row."""
    sized = [word for word in tiny_runs.PHANTOM if "coupled_epochs" not in word]
    words = [*sized, f"strategy={strategy}", "trainer.log_every=2", "trainer.coupled_epochs=6"]
    told = {}
    for steps in (0.5, 4):
        monkeypatch.setattr(task_driven, "PROBE_STEPS", steps)
        run = tiny_runs.make(tmp_path / str(steps), *words)
        record = tiny_runs.train(tmp_path / str(steps), *words)
        [weights] = (tmp_path / str(steps) / "stages").glob(f"{record.training_id}*/artefact.pt")
        told[steps] = record.metrics, load_state(weights)["weights"], read(run.study.run(run.id))
    (metrics, often, rows), (metrics_too, seldom, fewer) = told[0.5], told[4]
    assert metrics == metrics_too
    for name in often:
        assert equal([*often[name].values()], [*seldom[name].values()])
    probed = [name for name in rows.columns if name.startswith(("cosine", "ratio", "clean"))]
    assert len(probed) == 3 and rows.columns == fewer.columns
    for name in rows.columns:
        cells = zip(rows.cells(name), fewer.cells(name), strict=True)
        assert all(b in ("", a) if name in probed else a == b for a, b in cells)
    coupled = [history.stages()["coupled"].cells(probed[0]) for history in (rows, fewer)]
    assert "" not in coupled[0] and [bool(cell) for cell in coupled[1]] == [False] * 3 + [True] + [
        *(False, True)
    ]
