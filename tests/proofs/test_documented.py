"""The examples of docs and README, on the path as a plug-in, keep the contracts of their kinds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import documented
from support.proofs import on_path

pytestmark = pytest.mark.proofs

CONTRACTS = Path(__file__).parents[1] / "contracts"
EXAMPLES = {
    "strategy": ("capped", "eager"),
    "dataset": ("contrasts",),
    "backbone": ("three_layers",),
    "degradation": ("stripes",),
    "task": ("large",),
    "recognizer": ("tiny",),
    "method": ("absolute",),
    "metric": ("extremes",),
}
"""By kind; a page with a new example adds it here."""


def test_every_example_keeps_the_contract_of_its_kind(tmp_path: Path) -> None:
    names = documented.plugin(tmp_path / "plugin")
    assert sorted(names) == sorted(name for kind in EXAMPLES.values() for name in kind)
    tested = [name for kind, names in EXAMPLES.items() for name in names if kind != "metric"]
    command = [sys.executable, "-m", "pytest", "-vv", "-p", "no:xdist", f"--basetemp={tmp_path}/t"]
    done = subprocess.run(
        [*command, "-k", " or ".join(tested), str(CONTRACTS)],
        env={**os.environ, "PYTHONPATH": on_path(tmp_path / "plugin")},
        capture_output=True,
        text=True,
        cwd=CONTRACTS.parents[1],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in tested:
        passed = re.findall(rf"\[(?:.*-)?{name}(?:-.*)?\] PASSED", done.stdout)
        assert len(passed) >= 4, f"{name}: {len(passed)} tests"
