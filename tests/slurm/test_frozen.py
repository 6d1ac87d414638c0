"""A job that waited in the queue runs the code that was submitted."""

import os
import subprocess
import sys
from pathlib import Path

from slurm.cluster_runs import LAUNCHER, jobs, slurm, until
from support.cli_process import TINY, study
from support.repository import git, project_copy


def test_a_queued_job_runs_what_was_submitted(tmp_path: Path) -> None:
    tree, results = project_copy(tmp_path / "tree"), tmp_path / "results"
    launcher = [word for word in LAUNCHER if word != "snapshot=false"]
    words = ["method=classical", "method.filter=halved", "slurm.wait=false", *TINY]
    held = "+hydra.launcher.additional_parameters.hold=true"
    done = subprocess.run(
        [sys.executable, "run.py", *launcher, *words, held, f"results={results}"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # the filter is gone from the tree before the job begins
    git(tree, "checkout", "-q", ".")
    slurm("scontrol", "release", *[job.id for job in jobs(results).values()])
    until(lambda: not jobs(results))
    [record] = study(results).records()
    [folder] = (results / "snapshots").iterdir()
    assert (record.finished, record.git.snapshot) == (True, folder.name)
