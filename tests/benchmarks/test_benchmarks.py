"""Every benchmark still runs, at its smallest; what it measures is looked at elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import cli_process

pytestmark = pytest.mark.benchmarks

ONE_RUN = ["noise=0.1", "strategy=joint", *cli_process.TINY]


def rows(name: str, words: list[str], place: Path) -> list[dict[str, Any]]:
    """What a benchmark writes."""
    done = subprocess.run(
        [sys.executable, cli_process.ROOT / "benchmarks" / f"{name}.py", *words, "--json", place],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(cli_process.ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(place.read_text())
    assert "torch" in found["machine"]
    return found["rows"]


def test_cost(tmp_path: Path) -> None:
    path = tmp_path / "cost.json"
    [row] = rows("cost", ["--tables", "table6"], path)
    assert row["runs"] == 72 and 0 < row["to each run alone"] < 1
    tflops = json.loads(path.read_text())["tflops"]
    for name, rate in tflops.items():
        hours = row["EFLOP"] * 1e18 / (rate * 1e12) / 3600
        assert row[f"hours, {name}"] == pytest.approx(hours)
    # twice as fast an update, half the hours; an H200 sustains less than its peak in bfloat16
    assert tflops["TF32, graph"] / tflops["float32"] == pytest.approx(186.7 / 48.3)
    assert 1 < tflops["float32"] < tflops["bfloat16, graph"] < 990


def test_batched_seeds(tmp_path: Path) -> None:
    words = ["--size", "32", "--seeds", "2", "--repeats", "1"]
    apart, stacked = rows("batched_seeds", words, tmp_path / "batched_seeds.json")
    assert apart["ratio"] == 1 and stacked["ratio"] > 0


def test_scaling(tmp_path: Path) -> None:
    words = ["--only", "batch", "--shrink", "2", "--repeats", "1"]
    [row] = rows("scaling", words, tmp_path / "scaling.json")
    assert row["exponent"] > 0


def test_sweep(tmp_path: Path) -> None:
    words = [*ONE_RUN, "--at-once", "1", "--smallest", "3"]
    shared, alone, beside, few, many, each = rows("sweep", words, tmp_path / "sweep.json")
    assert [row["runs"] for row in (shared, alone, beside, few, many, each)] == [1, 1, 1, 1, 3, 1]
    for row in (few, many):
        assert 0 < row["beyond the runs"] < row["seconds"] and row["of the processor"] > 0
    assert each["seconds"] == pytest.approx((many["seconds"] - few["seconds"]) / 2)
    assert shared["to its stages"] > 1 and alone["to alone"] == 1


def test_compared(tmp_path: Path) -> None:
    words = ["--profile", "demo", "--size", "32", "--rows", "U-SAID", "DDM", "--repeats", "1"]
    base, *others = rows("compared", words, tmp_path / "compared.json")
    assert base["row"] == "SR-ResNet" and base["× SR-ResNet"] == 1
    assert [row["row"] for row in others] == ["U-SAID", "DDM"]
    assert all(row["× SR-ResNet"] > 0 and row["parameters"] > 0 for row in others)
