"""Records that cannot be read are named and left out; the run is trained again, nothing is lost."""

import json
from pathlib import Path
from typing import Any

import pytest
import small_runs

from gradprom.sweeps import plan as plans
from gradprom.sweeps.execution import execute
from gradprom.sweeps.records import Study, open_share
from gradprom.sweeps.status import overview


def damage(text: str, kind: str) -> str:
    record = json.loads(text)
    return {
        "truncated": text[: len(text) // 2],
        "empty": "",
        "a list": "[1, 2]",
        "schema": json.dumps({**record, "schema": 7}),
        "no metrics": json.dumps({k: v for k, v in record.items() if k != "metrics"}),
        "another's": json.dumps({**record, "id": "0" * 12}),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("truncated", "truncated or no JSON"),
        ("empty", "truncated or no JSON"),
        ("a list", "truncated or no JSON"),
        ("schema", "written as schema 7, and this version reads 1"),
        ("no metrics", "lacks metrics"),
        ("another's", "is that of run 000000000000"),
    ],
)
def test_an_unreadable_record_is_named_and_its_run_trained_again(
    tmp_path: Path, kind: str, told: str
) -> None:
    run = small_runs.make(tmp_path, *small_runs.PHANTOM)
    first = execute(run)
    path = run.study.run(run.id) / "record.json"
    broken = damage(path.read_text(), kind)
    path.write_text(broken)

    records, problems = run.study.load()
    assert records == [] and problems == [
        f"{path}: {told}; the next sweep that needs it trains it again"
    ]
    assert told in overview(run.study)
    assert plans.make([run], retry_failed=False).summary() == "1 run: 1 new, 0 done"
    assert execute(run)["metrics"] == first["metrics"]
    [aside] = (tmp_path / "set-aside").iterdir()
    assert (aside / "record.json").read_text() == broken
    assert run.study.load()[1] == []


@pytest.mark.parametrize(
    ("record", "share"),
    [
        (None, None),
        ({"status": "started"}, None),
        ({"status": "finished", "training": {"cosine_diagnosis": 0.1}}, None),
        ({"status": "finished", "training": {"gate_a": 0.25, "gate_b": 0.75, "ratio_a": 9}}, 0.5),
    ],
)
def test_the_open_share_of_a_run(record: dict[str, Any] | None, share: float | None) -> None:
    assert open_share(record) == share


def test_a_study_without_records(tmp_path: Path) -> None:
    assert Study(tmp_path, "local").load() == ([], [])
