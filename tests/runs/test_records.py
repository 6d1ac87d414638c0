"""Records that cannot be read are named and left out; the run is trained again, nothing is lost."""

import errno
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import records_factory, tiny_runs
from support.first_version import YOUNG, first_version

from gradprom.runs.execution import execute
from gradprom.runs.record import ErrorInfo, FurtherTestSet, Record, Revision, read_record, value_of
from gradprom.runs.records import Study
from gradprom.runs.run_progress import RunProgress
from gradprom.storage.files import with_checksum, without_checksum
from gradprom.sweeps.plan import make_plan
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
        ("truncated", "truncated or not JSON"),
        ("empty", "truncated or not JSON"),
        ("a list", "truncated or not JSON"),
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
    assert make_plan([run], retry_failed=False).summary() == "1 run: 1 new, 0 done"
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


# the format

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
COMMITTED = sorted(REFERENCE.glob("runs/*/record.json"))


def written(folder: Path, **content: Any) -> Path:
    """A record of schema 1 with a few keys, and those that are given."""
    path = folder / "aaaaaaaaaaaa" / "record.json"
    path.parent.mkdir(parents=True)
    head = {"id": "aaaaaaaaaaaa", "status": "started", "config": {}, "dataset": {}}
    path.write_text(json.dumps(head | content))
    return path


def test_every_committed_record_is_written_as_it_was_read() -> None:
    assert COMMITTED
    for path in COMMITTED:
        content = without_checksum(json.loads(path.read_text()))
        assert content is not None
        record, problem = read_record(path)
        assert record is not None and problem == ""
        assert json.dumps(record.to_json()) == json.dumps(content)
        assert record.dataset.fingerprint == content["dataset"]["fingerprint"]
        assert [stage.seconds for stage in record.stages] == [
            stage["seconds"] for stage in content["stages"]
        ]


def test_keys_younger_than_a_record_have_their_values_and_are_not_written() -> None:
    record = Record.from_json(first_version(json.loads(COMMITTED[0].read_text())))
    assert record.schema == 1 and record.job is None and record.precision == "float32"
    assert (record.title, record.setup, record.reads, record.scores) == ("", {}, {}, [])
    assert record.dataset.notes == [] and record.evaluate_on == {} and record.files == {}
    assert record.error is None and record.reason == ""
    content = record.to_json()
    assert not YOUNG & set(content) and "notes" not in content["dataset"]


def test_keys_that_this_version_does_not_know_are_kept(tmp_path: Path) -> None:
    more = {
        "dataset": {"name": "phantom", "licence": "CC0"},
        "carbon": {"kg": 0.5},
        "git": {},
        "keys": ["a"],
        "unknown": 7,
        "stages": [{"name": "coupled", "joules": 12}],
        "evaluate_on": {"lizard": {"metrics": {}, "camera": "x"}},
    }
    path = written(tmp_path, **more)
    record, _ = read_record(path)
    assert record is not None and record.unknown["carbon"] == {"kg": 0.5}
    assert json.dumps(record.to_json()) == path.read_text()
    failed = replace(record, status="failed", error=ErrorInfo(type="NonFinite"))
    content = failed.to_json()
    assert content["error"]["type"] == "NonFinite" and content["status"] == "failed"
    assert {key: content[key] for key in more} == more


def test_a_record_is_written_with_the_keys_of_its_status_in_their_order(tmp_path: Path) -> None:
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM)
    execute(run)
    head = "schema id training_id seed choices overrides config dataset git packages host pid job"
    head += " device precision deterministic title setup reads scores started status"
    end = "metrics training stages interruptions duration peak_memory files checksum"
    path = run.study.run(run.id) / "record.json"
    text = path.read_text()
    content = json.loads(text)
    assert list(content) == f"{head} {end}".split()
    dataset = "name split counts fingerprint notes value_range"
    assert list(content["dataset"]) == dataset.split()
    stage = ["name", "id", "epochs", "steps", "seconds", "interruptions", "updates"]
    assert {tuple(entry) for entry in content["stages"]} == {tuple(stage)}
    record = run.study.record(run.id)
    assert record is not None
    run.study.write_record(record)
    assert path.read_text() == text

    fresh = replace(record, keys=None, metrics={}, training={}, stages=[], duration=None)
    fresh = replace(fresh, peak_memory=0, files={}, status="pruned", reason="behind")
    assert list(fresh.to_json()) == [*head.split(), "reason"]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"dataset": "phantom"}, "DatasetInfo"),
        ({"stages": 3}, "int"),
        ({"stages": ["coupled"]}, "StageInfo"),
        ({"evaluate_on": ["lizard"]}, ""),
        ({"git": []}, "Revision"),
    ],
)
def test_a_record_of_another_shape_is_a_problem(
    tmp_path: Path, content: dict[str, Any], part: str
) -> None:
    record, problem = read_record(written(tmp_path, **content))
    assert record is None and problem.startswith("is no record: ") and part in problem


def test_a_setting_is_found_by_its_dotted_key() -> None:
    record = records_factory.record(config={"trainer": {"lr": 0.1, "steps": None}, "seed": 3})
    assert record.setting("trainer.lr") == 0.1 and record.setting("seed") == 3
    assert record.setting("trainer.steps", 5) is None
    assert record.setting("trainer.lr.rate", 5) == 5 and record.setting("method.name") is None


# plans and progress


def test_plans_old_and_damaged(tmp_path: Path) -> None:
    study, runs = Study(tmp_path, "local"), [{"id": "a", "label": "seed=0"}]
    plans_of = {
        "old": json.dumps({"runs": runs}),
        "new": json.dumps(with_checksum({"runs": runs, "asked": ["seed=0"], "younger": 1})),
        "damaged": json.dumps({**with_checksum({"runs": runs}), "asked": ["seed=1"]}),
        "other": json.dumps({"runs": 7}),
        "list": "[]",
    }
    for number, (name, text) in enumerate(plans_of.items()):
        path = study.folder / "sweeps" / name / "plan.json"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        os.utime(path, (number, number))
    old, new = study.plans()
    assert [(run.id, run.label) for run in old.runs] == [("a", "seed=0")]
    assert (old.tables, old.experiments, old.asked) == ({}, [], [])
    assert new.asked == ["seed=0"] and new.unknown == {"younger": 1}


def test_progress_is_what_the_last_heartbeat_said(tmp_path: Path) -> None:
    study = Study(tmp_path, "local")
    assert study.progress("a") is None
    began = time.time()
    study.heartbeat("a", RunProgress(stage="coupled", step=3, row={"psnr": 20.0}))
    progress = study.progress("a")
    assert progress is not None and began <= progress.updated <= time.time()
    assert (progress.stage, progress.step, progress.row) == ("coupled", 3, {"psnr": 20.0})
    path = study.run("a") / "progress.json"
    path.write_text(path.read_text().replace('"step": 3', '"step": 4'))
    assert study.progress("a") is None


def test_a_run_is_set_aside_on_another_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where `results/local` is a link to scratch."""

    def other_disk(*_: Any) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    study = Study(tmp_path, "local")
    folder = study.run("0" * 12)
    (folder / "panels").mkdir(parents=True)
    (folder / "panels" / "00.png").write_bytes(b"1")
    monkeypatch.setattr(os, "rename", other_disk)
    target = study.set_aside(folder)
    assert target.parent == tmp_path / "set-aside" and not folder.exists()
    assert (target / "panels" / "00.png").read_bytes() == b"1"
