"""scripts/gpu_check: the same code at tiny sizes on a CPU, and what it says without a GPU."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_runs

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).resolve().parents[2]
STEPS = ["twice", "beside", "killed", "graph", "networks", "determinism", "steps", "sweep"]


def check(folder: Path, *words: str) -> tuple[int, str, list[dict[str, Any]]]:
    """Exit code, output and results."""
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        [ROOT / "scripts" / "gpu_check", folder, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    path = folder / "results.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return done.returncode, done.stdout, [json.loads(line) for line in lines]


def test_every_step_leaves_its_result(tmp_path: Path) -> None:
    code, text, results = check(tmp_path, "--device", "cpu", "--quick", "--minutes", "60")
    assert code == 0, text
    assert [found["step"] for found in results] == STEPS
    rows = {found["step"]: found["rows"] for found in results}
    for name in ("twice", "beside", "killed", "networks"):
        assert rows[name] and all(row["equal"] == "yes" for row in rows[name]), name
    assert [row["at a time"] for row in rows["sweep"]] == [1, 3]
    assert {row["runs"] for row in rows["sweep"]} == {6}
    assert all(row["ms"] > 0 for row in rows["steps"] + rows["determinism"])
    table = (tmp_path / "table.md").read_text()
    assert all(f"**{name}**" in table for name in STEPS) and "| gradprom |" in table


def test_when_the_time_is_over_each_step_says_so(tmp_path: Path) -> None:
    code, text, results = check(tmp_path, "--device", "cpu", "--quick", "--minutes", "0")
    assert code == 1 and [found["step"] for found in results] == STEPS
    assert {found["error"] for found in results} == {"TimeoutError: no time was left"}, text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_sentence(tmp_path: Path) -> None:
    code, text, results = check(tmp_path / "results")
    assert code == 2 and len(text.splitlines()) == 1 and "this machine has no GPU" in text
    assert results == [] and not (tmp_path / "results").exists()


def test_different_runs_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In weights or history alone."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import gpu_check  # type: ignore[import-not-found]

    record = tiny_runs.train(tmp_path / "one", *tiny_runs.PHANTOM)
    one = gpu_check.Trained(tmp_path / "one")

    def copy(name: str) -> Any:
        shutil.copytree(tmp_path / "one", tmp_path / name)
        return gpu_check.Trained(tmp_path / name)

    assert [row["equal"] for row in one.require_equal(copy("same"))] == ["yes"]
    [path] = copy("weights").results.glob(f"stages/*{record.training_id}*/artefact.pt")
    content = loaded(path)
    next(iter(content["weights"]["enhancer"].values())).add_(1e-6)
    monkeypatch.setattr(gpu_check, "load_state", lambda p: content if p == path else loaded(p))
    with pytest.raises(gpu_check.Different, match="weights$"):
        one.require_equal(gpu_check.Trained(tmp_path / "weights"))
    history = copy("history").results / "local" / "runs" / record.id / "history.csv"
    history.write_text(history.read_text().replace(",1,", ",2,", 1))
    with pytest.raises(gpu_check.Different):
        one.require_equal(gpu_check.Trained(tmp_path / "history"))


def loaded(path: Path) -> Any:
    """A file of the store."""
    from gradprom.storage.files import load_state

    return load_state(path)
