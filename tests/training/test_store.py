"""Each stage is trained once, whoever asks, whoever dies, whatever is damaged."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from support.counted_stage import FINGERPRINT, STAGE, STEPS, count, expected, notes, start_processes

from gradprom.storage import lease as leases
from gradprom.storage.files import write_json
from gradprom.training import store as store_module
from gradprom.training.stage import Stage
from gradprom.training.store import Slot, StageStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageStore:
    monkeypatch.setattr(store_module, "POLL", 0.01)
    return StageStore(tmp_path / "stages", FINGERPRINT)


def refuse(slot: Slot) -> dict[str, Any]:
    raise AssertionError("trained again")


def test_of_several_processes_one_trains_and_all_get_the_same(tmp_path: Path) -> None:
    processes = start_processes(tmp_path, 4, pause=0.01)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert [step for _, step in notes(tmp_path)] == list(range(STEPS))
    assert len({pid for pid, _ in notes(tmp_path)}) == 1
    for i in range(4):
        assert torch.equal(torch.load(tmp_path / f"result-{i}"), expected(tmp_path))


def test_a_finished_stage_is_taken_and_its_checkpoint_is_gone(
    store: StageStore, tmp_path: Path
) -> None:
    assert not store.has(STAGE) and store.find(STAGE) is None
    made = store.obtain(STAGE, lambda slot: count(slot, tmp_path / "notes"))
    assert store.has(STAGE)
    found = store.obtain(STAGE, refuse)
    assert torch.equal(made["weights"], found["weights"])
    kept = {path.name for path in store.folder(STAGE).iterdir()}
    assert {"artefact.pt", "stage.json"} <= kept and "checkpoint.pt" not in kept


def test_drafts_of_killed_writers_are_swept_away(store: StageStore, tmp_path: Path) -> None:
    store.folder(STAGE).mkdir(parents=True)
    draft = store.folder(STAGE) / ".checkpoint.pt.0a1b2c3d"
    draft.write_bytes(b"half a checkpoint")
    store.obtain(STAGE, lambda slot: count(slot, tmp_path / "notes"))
    assert not draft.exists()


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b + b"x"])
def test_a_damaged_artefact_is_named_set_aside_and_made_again(
    store: StageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    made = store.obtain(STAGE, lambda slot: count(slot, tmp_path / "notes"))
    path = store.folder(STAGE) / "artefact.pt"
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    assert store.find(STAGE) is None
    with caplog.at_level(logging.WARNING):
        again = store.obtain(STAGE, lambda slot: count(slot, tmp_path / "notes"))
    assert str(path) in caplog.text and "set aside" in caplog.text
    assert path.with_suffix(".damaged").read_bytes() == damaged
    assert torch.equal(made["weights"], again["weights"])
    assert len(notes(tmp_path)) == 2 * STEPS
    store.obtain(STAGE, refuse)


def test_a_damaged_checkpoint_costs_time_and_nothing_else(
    store: StageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Killed(Exception):
        pass

    def half(slot: Slot) -> dict[str, Any]:
        slot.save_checkpoint({"step": 10, "weights": torch.zeros(3)})
        raise Killed

    with pytest.raises(Killed):
        store.obtain(STAGE, half)
    path = store.folder(STAGE) / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        made = store.obtain(STAGE, lambda slot: count(slot, tmp_path / "notes"))
    assert str(path) in caplog.text
    assert len(notes(tmp_path)) == STEPS
    assert torch.equal(made["weights"], expected(tmp_path))


def test_several_that_find_a_damaged_artefact_make_it_once(tmp_path: Path) -> None:
    store = StageStore(tmp_path / "stages", FINGERPRINT)
    store.folder(STAGE).mkdir(parents=True)
    (store.folder(STAGE) / "artefact.pt").write_bytes(b"damaged")
    processes = start_processes(tmp_path, 4, pause=0.005)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(notes(tmp_path)) == STEPS


def test_other_content_or_another_stage_is_another_place(tmp_path: Path) -> None:
    whole, part = (StageStore(tmp_path, name * 8) for name in ("whole", "part"))
    other = Stage("warmup", epochs=2, seed=0, reads={"lr": 0.2})
    made = {
        name: store.obtain(stage, lambda slot, n=name: {"name": n})
        for name, (store, stage) in {
            "whole": (whole, STAGE),
            "part": (part, STAGE),
            "other": (whole, other),
        }.items()
    }
    assert [made[name]["name"] for name in made] == list(made)
    assert len(list(tmp_path.iterdir())) == 3
    assert whole.folder(STAGE) == whole.folder_by_id(STAGE.id)


def test_a_training_that_fails_lets_go_and_keeps_its_checkpoint(store: StageStore) -> None:
    def fail(slot: Slot) -> dict[str, Any]:
        slot.save_checkpoint({"step": 7})
        raise FloatingPointError("diverged")

    with pytest.raises(FloatingPointError):
        store.obtain(STAGE, fail)
    seen = []
    store.obtain(STAGE, lambda slot: seen.append(slot.load_checkpoint()) or {"done": True})
    assert seen == [{"step": 7}]


def test_who_was_followed_waits_for_the_follower_and_keeps_its_hands_off(
    store: StageStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A laptop that slept through the night, say, while another machine took over."""
    followers: list[leases.Lease] = []

    def train(slot: Slot) -> dict[str, Any]:
        assert not followers, "trained again"
        lease = slot.lease
        write_json(lease.path, {**lease.holder, "host": "elsewhere"})
        with monkeypatch.context() as patch:
            patch.setattr(leases, "STALE", -1.0)
            follower = leases.Applicant(slot.folder).try_acquire()
        assert follower is not None
        followers.append(follower)
        return {"made by": "the one that slept"}

    def finish(seconds: float) -> None:
        """Stands for the follower, while the other waits."""
        if len(waits) == 3:
            store_module.save_state(
                store.folder(STAGE) / "artefact.pt", {"made by": "the follower"}
            )
        waits.append(seconds)

    waits: list[float] = []
    monkeypatch.setattr(store_module.time, "sleep", finish)
    with caplog.at_level(logging.WARNING):
        assert store.obtain(STAGE, train) == {"made by": "the follower"}
    assert followers[0].held() and len(waits) > 3
    assert "taken over" in caplog.text


def test_stages_inside_stages_are_held_apart(store: StageStore) -> None:
    """A child holds its own place while its parents are obtained."""
    parent = Stage("recognizer", 1, 0, {})
    child = Stage("coupled", 1, 0, {}, (parent,))

    def train_child(slot: Slot) -> dict[str, Any]:
        inner = store.obtain(parent, lambda slot: {"value": 1})
        return {"value": inner["value"] + 1}

    assert store.obtain(child, train_child) == {"value": 2}
    assert store.has(parent) and store.has(child)
