"""A dataset's folder that changed: decoded anew, and refused to a run that has begun with it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from support import cli_process, tiny_runs

from gradprom import cli, entry
from gradprom.errors import DataError
from gradprom.runs import dataset_changes
from gradprom.runs import run as runs
from gradprom.runs.execution import execute
from gradprom.runs.run import Run
from gradprom.sweeps.plan import make_plan
from gradprom.training.store import Slot

PICTURES = [f"slice {number}" for number in range(12)]


def picture(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, name in enumerate(PICTURES):
        picture(folder / f"{name}.png", seed)
    rows = [f"{name},{'ill' if seed % 2 else 'well'}" for seed, name in enumerate(PICTURES)]
    (folder / "labels.csv").write_text("\n".join(["id,label", *rows]))
    return folder


def made(tmp_path: Path, pictures: Path, *words: str) -> Run:
    """The run as a new process would make it."""
    runs._images.cache_clear()
    return tiny_runs.make(
        tmp_path / "results",
        *tiny_runs.SMALL,
        "dataset=folder",
        f"dataset.root={pictures}",
        "dataset.labels=labels.csv",
        "dataset.classes=[well,ill]",
        "trainer.batch_size=4",
        "trainer.log_every=1",
        "trainer.checkpoint_seconds=0",
        *words,
    )


class Stopped(BaseException):
    """As a kill would: no handler of errors sees it."""


def interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a run, leave a checkpoint, and end as a killed process does."""
    save = Slot.save_checkpoint

    def saved(slot: Slot, state: dict) -> None:
        save(slot, state)
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Slot, "save_checkpoint", saved)
        with pytest.raises(Stopped):
            execute(run)
    record = run.study.record(run.id)
    assert record is not None
    dead = next(pid for pid in range(2**22 - 1, 1, -1) if not psutil.pid_exists(pid))
    run.study.write_record(replace(record, pid=dead))
    assert run.study.state(run.id) == "interrupted"


def swap(folder: Path) -> None:
    """As many files, another size of none of them."""
    picture(folder / "slice 3.png", seed=99)


def exchange(folder: Path) -> None:
    (folder / "slice 3.png").unlink()
    for number in range(8):
        picture(folder / f"new {number}.png", seed=50 + number)
        with (folder / "labels.csv").open("a") as file:
            file.write(f"\nnew {number},ill")
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("slice 3,ill\n", ""))


def relabel(folder: Path) -> None:
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("slice 3,ill", "slice 3,well"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (swap, "changed slice 3.png"),
        (
            exchange,
            "added new 0.png, new 1.png, new 2.png, new 3.png, new 4.png and 3 more; "
            "removed slice 3.png",
        ),
        (relabel, "other labels of slice 3"),
    ],
)
def test_a_run_is_not_resumed_on_other_data(
    tmp_path: Path,
    pictures: Path,
    change: Callable[[Path], None],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(pictures, kept)
    usual = execute(made(tmp_path / "elsewhere", pictures))
    run = made(tmp_path, pictures)
    interrupted(run, monkeypatch)
    change(pictures)

    run, other = made(tmp_path, pictures), made(tmp_path, pictures, "seed=1")
    before = sorted(run.study.results.glob("stages/*"))
    with pytest.raises(DataError, match="has changed since run"):
        dataset_changes.require_same_data(run, "lost")  # as one that a cluster has taken
    sentence = (
        f"dataset=folder has changed since run {run.id} began: {told}; restore it, or start again "
        f"after `gradprom forget {run.id} study=local`"
    )
    for begin in (
        lambda: make_plan([other, run], retry_failed=False),
        lambda: execute(run),
    ):
        with pytest.raises(DataError) as error:
            begin()
        assert str(error.value) == sentence
    with pytest.raises(SystemExit, match="gradprom: dataset=folder has changed since run"):
        entry.run_here([other, run])  # none of the sweep is trained
    assert sorted(run.study.results.glob("stages/*")) == before
    assert len(list((run.study.folder / "runs").iterdir())) == 1

    changed = pictures.rename(tmp_path / "changed")
    shutil.copytree(kept, pictures)
    record = execute(made(tmp_path, pictures))  # put back: it goes on
    assert record.metrics == usual.metrics and record.interruptions == 1
    assert (changed / "labels.csv").exists()


def test_after_forget_a_run_begins_anew_on_the_changed_data(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path, pictures)
    interrupted(run, monkeypatch)
    swap(pictures)
    fresh = execute(made(tmp_path / "elsewhere", pictures))
    cli.main(["forget", run.id, f"results={run.study.results}"])
    record = execute(made(tmp_path, pictures))
    assert record.metrics == fresh.metrics and record.interruptions == 0
    assert record.dataset.fingerprint == fresh.dataset.fingerprint


def test_a_run_that_had_trained_nothing_just_begins(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path, pictures)
    interrupted(run, monkeypatch)
    shutil.rmtree(run.study.stages)
    swap(pictures)
    assert execute(made(tmp_path, pictures)).status == "finished"


def test_a_finished_run_of_other_data_is_trained_again(tmp_path: Path, pictures: Path) -> None:
    run = made(tmp_path, pictures)
    old = execute(run)
    swap(pictures)
    run = made(tmp_path, pictures)
    assert make_plan([run], False).summary() == "1 run: 0 new, 0 done, 1 other data"
    new = execute(run)
    assert new.dataset.fingerprint != old.dataset.fingerprint
    assert new.metrics != old.metrics
    folders = list((run.study.cache).glob("folder-*/target.npy"))
    # of each content, images of the working size and the finer ones that crops come from
    assert len(folders) == 4, "the cache of other content was used"
    assert cli_process.stages(run.study.results)["coupled"] == 2
