"""The contract suite of methods, over the three that come from outside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.proofs import on_path

pytestmark = pytest.mark.proofs

CASES = ("adversarial", "prior", "contrasts")
PLUGINS = Path(__file__).parent
SUITE = sorted((PLUGINS.parent / "contracts").glob("test_method*.py"))


def test_methods_from_outside_keep_the_contract(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-vv", "-p", "no:xdist", f"--basetemp={tmp_path}/t"]
    ended = subprocess.run(
        [*command, *map(str, SUITE)],
        env={**os.environ, "PYTHONPATH": on_path(PLUGINS)},
        capture_output=True,
        text=True,
        cwd=PLUGINS.parents[1],
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for case in CASES:
        assert f"test_what_is_read_is_declared[{case}] PASSED" in ended.stdout
        assert f"test_two_ranks_train_as_one[{case}] PASSED" in ended.stdout
