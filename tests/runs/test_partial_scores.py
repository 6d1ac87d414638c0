"""An evaluation that was interrupted goes on where it was, and ends with the same bits."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from support import tiny_runs

from gradprom.methods.task_driven import TaskDriven
from gradprom.runs import partial_scores, scoring
from gradprom.runs.execution import execute
from gradprom.runs.run import Run
from gradprom.storage import preemption
from gradprom.storage.preemption import Interrupted
from gradprom.training.stage import Start

CPU = torch.device("cpu")
MARK = "0123456789abcdef"
PARTS = [
    [{"id": "a", "psnr": 1 / 3, "label": 2}, {"id": "b", "psnr": float("inf"), "label": -1}],
    [{"id": "ü\u2028\n", "psnr": 1e-300, "label": 0}],
    [{"id": "d", "psnr": 0.1 + 0.2, "label": 1}],
]
ROWS = [row for part in PARTS for row in part]

# the file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """With the rows of three batches, a line each."""
    path = tmp_path / "run" / "scores.partial"
    partial_scores.rewrite(path, MARK, [])
    assert partial_scores.read(path, MARK) == []
    for part in PARTS:
        partial_scores.append(path, MARK, part)
    return path


def test_rows_come_back_to_the_last_bit(path: Path) -> None:
    assert partial_scores.read(path, MARK) == ROWS
    assert len(path.read_bytes().splitlines()) == len(PARTS)


def test_where_there_is_no_file_there_are_no_rows(tmp_path: Path) -> None:
    assert partial_scores.read(tmp_path / "scores.partial", MARK) == []


def test_a_line_that_was_cut_anywhere_is_dropped(path: Path) -> None:
    content = path.read_bytes()
    first, second, third = content.splitlines(keepends=True)
    for end in range(len(first + second), len(content) - 1):
        path.write_bytes(content[:end])
        assert partial_scores.read(path, MARK) == PARTS[0] + PARTS[1], end
    path.write_bytes(content[:-1])  # the line is whole, though its end is not written
    assert partial_scores.read(path, MARK) == ROWS


def test_a_flipped_byte_costs_its_line_and_what_follows(path: Path) -> None:
    content = path.read_bytes()
    starts = [content.index(line) for line in content.splitlines()]
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x05
        path.write_bytes(bytes(damaged))
        number = sum(start <= place for start in starts) - 1
        expected = [row for part in PARTS[:number] for row in part]
        assert partial_scores.read(path, MARK) == expected, place


def test_rows_of_other_data_are_not_taken_up(path: Path) -> None:
    assert partial_scores.read(path, "f" * 16) == []
    partial_scores.append(path, "f" * 16, PARTS[0])
    assert partial_scores.read(path, MARK) == ROWS


def test_what_is_written_again_can_be_gone_on_with(path: Path) -> None:
    """Otherwise the lines after a damaged one would not be read."""
    with path.open("a") as file:
        file.write("half a li")
    rows = partial_scores.read(path, MARK)
    partial_scores.rewrite(path, MARK, rows)
    more = {"id": "e", "psnr": 2.5, "label": 1}
    partial_scores.append(path, MARK, [more])
    assert partial_scores.read(path, MARK) == [*ROWS, more]


# an evaluation

BATCHES = ("auxiliary=multitask", "evaluation.batch_size=3", "evaluation.panels=5")
"""Eight test images: batches of 3, 3 and 2."""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Run]:
    def make(name: str, *words: str) -> Run:
        return tiny_runs.make(tmp_path / name, *tiny_runs.PHANTOM, *BATCHES, *words)

    return make


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each image was restored."""
    counts: Counter[str] = Counter()
    restore_images = TaskDriven.restore_images

    def counted(self: Any, batch: Any, noise: Any) -> Any:
        counts.update(batch.ids)
        return restore_images(self, batch, noise)

    monkeypatch.setattr(TaskDriven, "restore_images", counted)
    return counts


def initial(run: Run) -> dict[str, Any]:
    """Weights that nobody has trained, always the same."""
    artefacts: dict[str, Any] = {}
    for stage in run.method.stage().lineage():
        torch.manual_seed(1)
        artefacts[stage.id] = stage.begin(Start(artefacts, 1, CPU)).artefact()
    return artefacts[run.training_id]


def interrupt(patch: pytest.MonkeyPatch, always: bool = True) -> None:
    """Ask for the run's place after every batch, or never."""
    patch.setattr(preemption, "_requested", always)


def files(run: Run) -> dict[str, bytes]:
    """What an evaluation leaves in the run's folder."""
    folder = run.study.run(run.id)
    paths = [*folder.glob("scores*"), *folder.glob("panels*/*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def whole(run: Run) -> tuple[dict[str, Any], dict[str, bytes]]:
    results = scoring.score(run, initial(run), CPU, {})
    return results, files(run)


def test_interrupted_after_every_batch(
    make: Callable[..., Run], restored: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores, metrics and pictures to the bit, and no image is restored twice."""
    expected, left = whole(make("whole"))
    assert set(left) == {"scores.csv", *(f"panels/{n:02d}.png" for n in range(5))}
    assert {"psnr", "accuracy", "miou"} <= set(expected[0])
    restored.clear()
    interrupt(monkeypatch)
    for number, images in enumerate((3, 6, 8)):
        run = make("stopped")
        with pytest.raises(Interrupted):
            scoring.score(run, initial(run), CPU, {})
        assert restored.total() == images, number
        assert "scores.partial" in files(run) and "scores.csv" not in files(run)
    run = make("stopped")
    assert scoring.score(run, initial(run), CPU, {}) == expected
    assert files(run) == left
    assert len(restored) == 8 and set(restored.values()) == {1}


def test_killed_before_a_batch_was_noted(
    make: Callable[..., Run], restored: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pictures are there, its rows are not: that batch alone is done again."""
    expected, left = whole(make("whole"))
    restored.clear()
    run, append, notes = make("killed"), partial_scores.append, []

    def killed(*arguments: Any) -> None:
        notes.append(arguments)
        if len(notes) == 2:
            raise KeyboardInterrupt
        append(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(partial_scores, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            scoring.score(run, initial(run), CPU, {})
    assert scoring.score(run, initial(run), CPU, {}) == expected
    assert files(run) == left
    assert sorted(restored.values()) == [1] * 5 + [2] * 3


def test_a_damaged_line_is_scored_again(
    make: Callable[..., Run], restored: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, left = whole(make("whole"))
    run = make("damaged")
    interrupt(monkeypatch)
    for _ in range(2):
        with pytest.raises(Interrupted):
            scoring.score(run, initial(run), CPU, {})
    interrupt(monkeypatch, always=False)
    path = run.study.run(run.id) / "scores.partial"
    path.write_bytes(path.read_bytes()[:-40])
    restored.clear()
    assert scoring.score(run, initial(run), CPU, {}) == expected
    assert files(run) == left and restored.total() == 5


def test_rows_of_a_dataset_that_has_changed_are_made_again(
    make: Callable[..., Run], restored: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = whole(make("whole"))
    run = make("changed")
    wrong = [{"id": id, "psnr": 99.0} for id in run.images().ids]
    partial_scores.rewrite(run.study.run(run.id) / "scores.partial", "other data", wrong)
    restored.clear()
    assert scoring.score(run, initial(run), CPU, {}) == expected
    assert restored.total() == 8


def test_gone_on_with_in_batches_of_another_size(
    make: Callable[..., Run], restored: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image has one row, in the split's order; the size is no part of the run's id."""
    expected, _ = whole(make("whole"))
    run = make("other")
    with monkeypatch.context() as patch:
        interrupt(patch)
        with pytest.raises(Interrupted):
            scoring.score(run, initial(run), CPU, {})
    other = make("other", "evaluation.batch_size=2")
    assert other.id == run.id
    scores, _ = scoring.score(other, initial(other), CPU, {})
    assert scores == pytest.approx(expected[0], rel=1e-5)
    table = pd.read_csv(other.study.run(other.id) / "scores.csv", dtype={"id": str})
    images = other.images()
    assert table["id"].tolist() == [images.ids[row] for row in images.splits["test"]]


# a whole run


def test_a_run_asked_for_its_place_again_and_again(
    make: Callable[..., Run], restored: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every third look, in training and evaluation: the record is that of a run in one piece."""
    words = ("trainer.log_every=2", "trainer.warmup_epochs=6", "strategy=random_gate")
    one = make("whole", *words)
    expected = execute(one)
    restored.clear()
    looks, lives, record = 0, 0, None

    def asked() -> bool:
        nonlocal looks
        looks += 1
        return looks % 3 == 0

    def raise_if_requested() -> None:
        if asked():
            raise Interrupted

    monkeypatch.setattr(preemption, "requested", asked)
    monkeypatch.setattr(preemption, "raise_if_requested", raise_if_requested)
    while record is None:
        lives += 1
        try:
            record = execute(make("stopped", *words))
        except Interrupted:
            continue
    other = make("stopped", *words)
    assert lives > 4 and record.interruptions >= 2
    for key in ("metrics", "training"):
        assert json.dumps(getattr(record, key)) == json.dumps(getattr(expected, key))
    history = [run.study.run(run.id) / "history.csv" for run in (one, other)]
    assert history[0].read_bytes() == history[1].read_bytes()
    assert files(one) == files(other)
    assert len(restored) == 8 and set(restored.values()) == {1}
