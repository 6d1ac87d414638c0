"""The benchmarks of data and evaluation still run; what they measure is no test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmarks

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def rows(name: str, path: Path, *words: str) -> list[dict[str, float]]:
    command = [sys.executable, BENCHMARKS / f"{name}.py", "--repeats=1", f"--json={path}", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
    return json.loads(path.read_text())["rows"]


def test_data(tmp_path: Path) -> None:
    pytest.importorskip("kornia")
    words = ("--sizes", "16", "--images", "8", "--profiles", "demo")
    found = rows("data", tmp_path / "data.json", *words)
    assert len(found) == 8 and all(row["images/s"] > 0 for row in found)
    [share] = json.loads((tmp_path / "data.json").read_text())["shares"]
    assert 0 < share["share"] < 1


def test_evaluation(tmp_path: Path) -> None:
    words = ("--profiles", "demo", "--size", "32", "--images", "2")
    [row] = rows("evaluation", tmp_path / "evaluation.json", *words)
    assert row["images"] == 2 and row["× forward"] > 0
