"""The benchmark of precisions at its smallest, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmarks

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "precision.py"


def test_it_measures_every_variant_against_the_first(tmp_path: Path) -> None:
    words = ["--profiles", "demo", "--size", "32", "--batch", "2", "--repeats", "1", "--no-compile"]
    command = [sys.executable, str(SCRIPT), *words, "--json", str(tmp_path / "told.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = json.loads((tmp_path / "told.json").read_text())["rows"]
    found = [(row["precision"], row["layout"]) for row in rows]
    layouts = ("contiguous", "channels last")
    assert found == [(kind, layout) for kind in ("float32", "bf16") for layout in layouts]
    assert rows[0]["ratio"] == 1 and rows[0]["ppm"] == 0
    # rounding of float32, of bfloat16: little of it shows where a network begins as the identity
    assert rows[1]["ppm"] < min(1, rows[2]["ppm"])
    assert "channels last" in done.stdout
