"""The experiment of each method from outside, run once."""

from pathlib import Path

import pytest
from support.proofs import Swept, run


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """By method: where its experiment was run, once, and what was said."""
    done: dict[str, tuple[Path, str]] = {}

    def sweep(name: str) -> tuple[Path, str]:
        if name not in done:
            results = tmp_path_factory.mktemp(name)
            done[name] = results, run(results, "-m", f"experiment=proofs/{name}")
        return done[name]

    return sweep
