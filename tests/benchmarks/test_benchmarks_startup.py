"""Two pieces, once: what is measured is there; nothing is asked of the time it takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmarks

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "startup.py"


def test_pieces_are_timed(tmp_path: Path) -> None:
    path = tmp_path / "startup.json"
    words = ["--repeats", "1", "--only", "gradprom status, 96 runs", "plan of 8"]
    done = subprocess.run([sys.executable, SCRIPT, *words, "--json", path], capture_output=True)
    assert done.returncode == 0, done.stderr
    rows = {row["piece"]: row for row in json.loads(path.read_text())["rows"]}
    assert list(rows) == ["import torch", "gradprom status, 96 runs", "plan of 8"]
    assert all(row["seconds"] > 0 and row["of the processor"] > 0 for row in rows.values())
