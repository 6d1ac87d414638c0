"""The folders of the datasets in `support.dataset_cases`."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.dataset_cases import ALL


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A dataset's folder, made once; what changes files works on a copy."""

    @functools.cache
    def make(name: str) -> Path:
        case = ALL[name]
        if case.needs:
            pytest.importorskip(case.needs)
        return case.make(tmp_path_factory.mktemp(name)) if case.make else Path("nowhere")

    return make


@pytest.fixture
def copied(made: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(made(name), tmp_path / "copy" / made(name).name))
