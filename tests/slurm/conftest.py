"""A real Slurm on this machine, for all tests of the session."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "local_slurm"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "slurm" in item.path.parts:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session", autouse=True)
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    there = f"{os.environ['PATH']}:/usr/sbin"
    for program in ("slurmctld", "slurmd", "munged", "sbatch"):
        if shutil.which(program, path=there) is None:
            pytest.skip(
                f"there is no {program}; apt-get install slurmctld slurmd slurm-client munge"
            )
    folder = tmp_path_factory.mktemp("slurm") / "local"
    # a sweep of more than 12 jobs then needs a second array
    environment = {**os.environ, "SLURM_MAX_ARRAY": "12"}
    subprocess.run([SCRIPT, "start", folder], check=True, env=environment)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield
    subprocess.run([SCRIPT, "stop", folder], check=True)
