"""benchmarks/step.py still runs, with its smallest networks; nothing is held to a time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmarks

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "step.py"


def test_every_way_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "step.json"
    words = ["--sizes", "32", "--repeats", "1", "--json", str(path)]
    done = subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, check=True
    )
    rows = json.loads(path.read_text())["rows"]
    ways = {row["way"] for row in rows if row["case"] == "demo 32 supervised"}
    assert {"joint", "frozen", "gradprom", "gradprom, cosine", "gradprom, layer"} <= ways
    assert {"joint, plain", "beginner", "TorchJD", "limit, compared"} <= ways
    cases = {row["case"] for row in rows}
    assert cases == {f"demo 32 {s}" for s in ("supervised", "unsupervised", "multitask")}
    assert all(row["ms"] > 0 for row in rows) and "gradprom" in done.stdout
