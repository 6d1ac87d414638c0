"""A finished sweep to compare with, and one small run."""

from pathlib import Path

import pytest
from support import cli_process, tiny_runs
from support.swept_runs import SHAPE

from gradprom.runs import run as runs


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first command of the README, in small, planned and then run."""
    results = tmp_path_factory.mktemp("swept")
    code, text = cli_process.run(results, *SHAPE, "sweep.dry_run=true")
    assert code == 0, text
    assert "6 runs: 6 new, 0 done" in text and "PSNR" not in text
    assert not cli_process.trained(results) and not cli_process.records(results)
    code, text = cli_process.run(results, *SHAPE)
    assert code == 0, text
    return results


@pytest.fixture
def run(tmp_path: Path) -> runs.Run:
    return tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, "strategy=mainstream")
