"""The history of a run: what is written can be read, as text, as numbers and by stage."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gradprom.runs import history
from gradprom.runs.history import History

ROWS: list[dict[str, Any]] = [
    {"stage": "warmup", "epoch": 1, "step": 10, "loss_main": 0.1 + 0.2, "psnr": 20.0},
    {"stage": "warmup", "epoch": 2, "step": 20, "loss_main": 1e-17, "psnr": math.nan},
    {"stage": 'cou"pled, 2', "epoch": 1, "step": 10, "loss_main": math.inf, "gate_mask": 0.0},
    {"stage": 'cou"pled, 2', "epoch": 1, "step": 20, "loss_main": -1 / 3, "gate_mask": 1.0},
]


@pytest.fixture
def logged(tmp_path: Path) -> History:
    history.write(tmp_path, ROWS)
    return history.read(tmp_path)


def test_the_file_is_the_one_that_pandas_would_write(tmp_path: Path) -> None:
    history.write(tmp_path, ROWS)
    assert (tmp_path / "history.csv").read_text() == pd.DataFrame(ROWS).to_csv(index=False)


def test_numbers_come_back_to_the_bit(logged: History) -> None:
    for name in ("loss_main", "psnr", "gate_mask"):
        expected = [row.get(name, math.nan) for row in ROWS]
        assert np.array_equal(logged.values(name), expected, equal_nan=True)
    assert logged.cells("psnr") == ["20.0", "", "", ""]
    assert logged.columns == ("stage", "epoch", "step", "loss_main", "psnr", "gate_mask")


def test_stages_in_the_order_of_training(logged: History) -> None:
    stages = logged.stages()
    assert list(stages) == ["warmup", 'cou"pled, 2']
    assert [stage.cells("step") for stage in stages.values()] == [["10", "20"], ["10", "20"]]
    assert logged.last_stage().values("gate_mask").tolist() == [0.0, 1.0]


def test_a_column_that_no_row_has(logged: History) -> None:
    assert np.isnan(logged.values("cosine_mask")).tolist() == [True] * 4


@pytest.mark.parametrize("text", [None, "", "stage,epoch,step\n"])
def test_nothing_to_read(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "history.csv").write_text(text)
    empty = history.read(tmp_path)
    assert empty.stages() == {} and not empty.last_stage().rows
    assert empty.values("loss_main").shape == (0,)
    assert empty.columns == (("stage", "epoch", "step") if text else ())


def test_neither_torch_nor_pandas_is_imported() -> None:
    code = "import sys; import gradprom.runs.history; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas"} & set(done.stdout.split())


def test_of_two_stages_of_one_name_the_second_is_the_last(tmp_path: Path) -> None:
    steps = [("warmup", 10), ("chain", 10), ("chain", 20), ("chain", 10), ("chain", 20)]
    rows = [{"stage": name, "epoch": 1, "step": n, "row": i} for i, (name, n) in enumerate(steps)]
    history.write(tmp_path, rows)
    assert history.read(tmp_path).last_stage().values("row").tolist() == [3, 4]


@pytest.mark.parametrize("content", [None, "", "\n", "stage,epoch,step\n"])
def test_a_run_of_no_steps_has_a_history_of_no_rows(tmp_path: Path, content: str | None) -> None:
    if content is None:
        history.write(tmp_path, [])
    else:
        (tmp_path / "history.csv").write_text(content)
    logged = history.read(tmp_path)
    for part in (logged, logged.last_stage()):
        assert list(part.rows) == [] and part.cells("stage") == part.cells("step") == []
        assert len(part.values("loss_main")) == 0
    assert logged.stages() == {}
