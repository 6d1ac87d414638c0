"""Runs of methods from outside are exported and enhance pictures, where they can."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.proofs import PLUGINS, PROOFS, Swept, on_path, records, tool

from gradprom.metrics.registry import METRICS

pytestmark = pytest.mark.proofs


def test_exports_score_what_the_runs_scored(swept: Swept, tmp_path: Path) -> None:
    expected = {}
    for name in PROOFS:
        results, _ = swept(name)
        record = records(results)[0]
        expected[name] = record["metrics"]
        code, text = tool(results, "export", record["id"], "-o", str(tmp_path / name))
        assert code == 0, text
        card = (tmp_path / name / "README.md").read_text()
        assert record["title"] in card
        for score in record["scores"]:
            # a digit more than in tables
            assert f"{record['metrics'][score]:.{METRICS[score].digits + 1}f}" in card, score
    command = [sys.executable, str(PLUGINS / "rescore.py"), *(str(tmp_path / n) for n in PROOFS)]
    environment = {"PYTHONPATH": on_path(PLUGINS)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    for name, scores in json.loads(done.stdout.splitlines()[-1]).items():
        assert scores == pytest.approx(expected[name], rel=1e-9), name


@pytest.mark.parametrize(("name", "reason"), [("prior", "method=prior"), ("contrasts", "of 4")])
def test_what_cannot_enhance_a_picture_says_so(
    swept: Swept, tmp_path: Path, name: str, reason: str
) -> None:
    results, _ = swept(name)
    record = records(results)[0]
    picture = next(results.glob("local/runs/*/panels/00.png"))
    code, text = tool(
        results, "enhance", str(picture), "-o", str(tmp_path / "e.png"), "--run", record["id"]
    )
    assert code == 1 and reason in text
    assert len(text.strip().splitlines()) == 1 and not (tmp_path / "e.png").exists()


def test_a_generator_enhances_a_picture(swept: Swept, tmp_path: Path) -> None:
    results, _ = swept("adversarial")
    picture = next(results.glob("local/runs/*/panels/00.png"))
    target = tmp_path / "e.png"
    words = ("enhance", str(picture), "-o", str(target), "--run", records(results)[0]["id"])
    code, text = tool(results, *words)
    assert code == 0 and target.exists(), text
