"""Runs beside each other on one device end with the same bits, and stop and fail one by one."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from support import cli_process
from support.swept_runs import assert_same_results


def typed(results: Path, *words: str) -> subprocess.Popen[str]:
    """As a person types it: runs beside each other have processes of their own."""
    command = [sys.executable, str(cli_process.ROOT / "run.py"), "-m", "runs_per_device=2"]
    source = str(cli_process.ROOT / "src")
    return subprocess.Popen(
        [*command, *cli_process.TINY, *words, f"results={results}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=results,
        env={**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
    )


def test_runs_side_by_side_end_with_the_same_bits(tmp_path: Path, swept: Path) -> None:
    command = typed(tmp_path, "strategy=gradprom,joint", "noise=0.1")
    text, _ = command.communicate(timeout=300)
    assert command.returncode == 0, text
    assert "2 runs: 2 new, 0 done" in text
    assert re.search(r"^ ?gradprom +\d", text, re.MULTILINE)
    assert cli_process.stages(tmp_path) == {"recognizer.diagnosis": 1, "warmup": 1, "coupled": 2}
    assert_same_results(tmp_path, swept, "strategy=gradprom noise=0.1", "strategy=joint noise=0.1")
    assert len({record.pid for record in cli_process.records(tmp_path).values()}) == 2


def test_ctrl_c_asks_runs_side_by_side_for_a_checkpoint(tmp_path: Path) -> None:
    words = ["strategy=gradprom,joint", "noise=0.1", "trainer.coupled_epochs=100"]
    words += ["trainer.checkpoint_seconds=1000"]
    command = typed(tmp_path, *words)
    there = (cli_process.study(tmp_path).folder / "runs").glob
    while command.poll() is None:  # until both have begun, and one at least is in training
        if len(list(there("*/record.json"))) == 2 and list(there("*/progress.json")):
            break
        time.sleep(0.02)
    command.send_signal(signal.SIGINT)
    text, _ = command.communicate(timeout=300)
    assert command.returncode == 130, text
    assert "The same command goes on from the last checkpoint" in text and "Traceback" not in text
    records = cli_process.study(tmp_path).records()
    assert [record.status for record in records] == ["started", "started"]
    assert not any(psutil.pid_exists(record.pid) for record in records)
    assert list(tmp_path.glob("stages/*/checkpoint.pt"))

    code, text = cli_process.run(tmp_path, "-m", *words)
    assert code == 0 and "2 runs: 0 new, 0 done, 2 interrupted" in text
    undisturbed = tmp_path / "undisturbed"
    code, text = cli_process.run(undisturbed, "-m", *words)
    assert code == 0
    assert_same_results(tmp_path, undisturbed, *cli_process.records(undisturbed))


def test_one_that_fails_side_by_side_stops_no_other(tmp_path: Path) -> None:
    command = typed(tmp_path, "lam=1e38,0.0001", "strategy=joint")
    text, _ = command.communicate(timeout=300)
    assert command.returncode == 1 and "1 failed" in text and "Traceback" not in text
    assert sorted(r.status for r in cli_process.study(tmp_path).records()) == [
        "failed",
        "finished",
    ]
    [log] = tmp_path.glob("local/sweeps/*/output.log")
    assert "not finite at step 1 of stage coupled" in log.read_text()
