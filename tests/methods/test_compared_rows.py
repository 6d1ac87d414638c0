"""Every compared row of Tables V to VIII learns: 200 steps on small images beat their input.

Its demo network, trained and scored as any run, so that it also needs nothing that torch does not
compute in a fixed order.
"""

from pathlib import Path

import pytest
from support import tiny_runs

from gradprom.experiments import declared

SIZE = (
    "dataset.size=32",
    "dataset.train=32",
    "dataset.test=8",
    "noise=0.2",
    "trainer.batch_size=4",
    "trainer.warmup_epochs=15",
    "trainer.coupled_epochs=10",
    "trainer.device=cpu",
    "auxiliary.epochs=1",
)
"""200 steps."""
COUNTED = ("warmup", "coupled", "diffusion", "sud")
"""Stages of the network that restores images."""
ROWS = {
    "plain": "strategy=mainstream auxiliary=none backbone=plain",
    "dncnn": "method=usaid strategy=frozen auxiliary=segmentation lam=0.00029 backbone=dncnn",
    "sadnet": "method=d2sm strategy=frozen auxiliary=diagnosis lam=1.0 backbone=sadnet"
    " method.queue=16",
    "winnet": "strategy=mainstream auxiliary=none backbone=winnet",
    "apdnet": "strategy=mainstream auxiliary=none backbone=apdnet method.loss=charbonnier",
    "nafnet": "strategy=mainstream auxiliary=none backbone=nafnet",
    "rlfn": "strategy=mainstream auxiliary=none backbone=rlfn method.loss=l1",
    "divanet": "strategy=mainstream auxiliary=none backbone=divanet method.loss=l1"
    " backbone.channels=8",
    "nrsf": "strategy=mainstream auxiliary=none backbone=nrsf",
    "ddm": "method=ddm method.steps=5",
    "sud": "method=sud",
}
"""The words of a row, by its network or its method."""
QUICK = ("plain", "dncnn", "ddm", "sud")
"""The others together take most of a minute on one core."""


def test_no_compared_row_is_missing() -> None:
    rows = [row for n in (5, 6, 7, 8) for each in declared.read(f"table{n}") for row in each.rows]
    ours = {"larger", None}  # the paper's own networks, which other tests train
    used = {row.overrides.get("backbone") for row in rows} - ours
    used |= {row.overrides.get("method") for row in rows} - {"usaid", "d2sm", None}
    assert used == set(ROWS)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[] if row in QUICK else pytest.mark.trainings) for row in ROWS],
)
def test_200_steps_beat_the_degraded_input(row: str, tmp_path: Path) -> None:
    record = tiny_runs.train(tmp_path, *SIZE, *ROWS[row].split())
    assert sum(stage.steps for stage in record.stages if stage.name in COUNTED) == 200
    assert record.metrics["psnr"] > record.metrics["degraded_psnr"] + 1
