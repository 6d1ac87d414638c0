"""Records that cannot be read are named and left out; the run is trained again, nothing is lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import records_factory, tiny_runs

from gradprom.runs.execution import execute
from gradprom.runs.record import FurtherTestSet, Record, Revision, value_of
from gradprom.runs.records import Study
from gradprom.storage.files import with_checksum
from gradprom.sweeps import plan as plans
from gradprom.sweeps.status import overview


def damage(text: str, kind: str) -> str:
    record = json.loads(text)
    del record["checksum"]

    def sealed(**changes: Any) -> str:
        return json.dumps(with_checksum({**record, **changes}))

    return {
        "truncated": text[: len(text) // 2],
        "empty": "",
        "a list": "[1, 2]",
        "schema": sealed(schema=7),
        "no metrics": json.dumps(with_checksum({k: record[k] for k in record if k != "metrics"})),
        "another's": sealed(id="0" * 12),
        "no checksum": json.dumps(record),
        "a digit": text.replace('"seed": 0', '"seed": 1', 1),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("truncated", "truncated or no JSON"),
        ("empty", "truncated or no JSON"),
        ("a list", "truncated or no JSON"),
        ("schema", "written as schema 7, and this version reads 1 and 2"),
        ("no metrics", "lacks metrics"),
        ("another's", "is that of run 000000000000"),
        ("no checksum", "does not fit its checksum"),
        ("a digit", "does not fit its checksum"),
    ],
)
def test_an_unreadable_record_is_named_and_its_run_trained_again(
    tmp_path: Path, kind: str, told: str
) -> None:
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM)
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
    assert execute(run).metrics == first.metrics
    [aside] = (tmp_path / "set-aside").iterdir()
    assert (aside / "record.json").read_text() == broken
    assert run.study.load()[1] == []


@pytest.mark.parametrize(
    ("record", "share"),
    [
        (None, None),
        (records_factory.record(status="started"), None),
        (records_factory.record(training={"cosine_diagnosis": 0.1}), None),
        (records_factory.record(training={"gate_a": 0.25, "gate_b": 0.75, "ratio_a": 9}), 0.5),
    ],
)
def test_the_share_of_open_gates_of_a_run(record: Record | None, share: float | None) -> None:
    assert value_of(record, "gate") == share


@pytest.mark.parametrize(
    ("metric", "test_set", "value"),
    [
        ("psnr", "", 25.5),
        ("psnr", "lizard", 20.25),
        ("ssim", "lizard", None),
        ("psnr", "camus", None),
        ("ratio", "lizard", 0.02),
        ("miou", "", None),
    ],
)
def test_a_value_of_a_run_is_a_score_or_what_its_training_told(
    metric: str, test_set: str, value: float | None
) -> None:
    record = records_factory.record(
        metrics={"psnr": 25.5, "ssim": 0.8},
        evaluate_on={"lizard": FurtherTestSet(metrics={"psnr": 20.25})},
        training={"ratio_a": 0.01, "ratio_b": 0.03},
    )
    assert value_of(record, metric, test_set) == value


@pytest.mark.parametrize(
    ("commit", "dirty", "text"),
    [
        ("0123456789", False, "0123456"),
        ("0123456789", True, "0123456 with uncommitted changes"),
        (None, None, "no git"),
    ],
)
def test_the_revision_of_a_run(commit: str | None, dirty: bool | None, text: str) -> None:
    assert Revision(revision=commit, dirty=dirty).text(digits=7) == text


def test_a_study_without_records(tmp_path: Path) -> None:
    assert Study(tmp_path, "local").load() == ([], [])
