"""benchmarks/graph.py still runs, with its smallest networks; nothing is held to a time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmarks

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "graph.py"


def test_every_way_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    words = ["--repeats", "1", "--json", str(path)]
    subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=True)
    rows = json.loads(path.read_text())["rows"]
    ways = ["eager", "eager, probed", "graph", "graph, probed", "limit, graph"]
    assert [row["way"] for row in rows] == ways
    assert all(row["ms"] > 0 for row in rows) and rows[0]["eager ×"] == 1
