"""A stored file that was truncated, or changed in a byte: noticed, named, made again, never used.

In this process, with an engine that is stopped instead of killed.
"""

import logging
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.lifecycle import damage
from PIL import Image
from support import cli_process, tiny_runs

from gradprom import cli
from gradprom.runs import run as runs
from gradprom.runs.execution import execute
from gradprom.runs.run import Run
from gradprom.runs.run_progress import RunProgress
from gradprom.storage.files import read_json
from gradprom.sweeps.plan import make_plan
from gradprom.training.store import Slot

WORDS = (*tiny_runs.PHANTOM, "trainer.log_every=1", "trainer.checkpoint_seconds=0")
TIMES = range(3)
"""Damages of each file, at random places, half of them truncations."""


def made(results: Path, *words: str) -> Run:
    """The run as a new process would make it: with nothing in memory."""
    runs._images.cache_clear()
    return tiny_runs.make(results, *WORDS, *words)


class Stopped(BaseException):
    """As a kill would: no handler of errors sees it."""


def stop_after(checkpoints: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop once so many checkpoints have been written."""
    save, count = Slot.save_checkpoint, iter(range(1, checkpoints + 1))

    def saved(self: Slot, state: dict[str, Any]) -> None:
        save(self, state)
        if next(count) == checkpoints:
            raise Stopped

    monkeypatch.setattr(Slot, "save_checkpoint", saved)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run that nothing has disturbed."""
    results = tmp_path_factory.mktemp("whole") / "results"
    execute(made(results))
    make_plan([made(results)], retry_failed=False).keep()
    return results


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "results")
    return tmp_path / "results"


def outcome(results: Path, run_id: str) -> dict[str, Any]:
    record = cli_process.study(results).record(run_id)
    assert record is not None and record.status == "finished"
    return cli_process.outcome(results, record)


def spoiled(path: Path, seed: int) -> bool:
    """Damage a file; False where its content is the same in spite of that, such as `1e-4`."""
    before = read_json(path) if path.suffix == ".json" else None
    told = damage(path, random.Random(f"{path.name} {seed}"))
    print(told)
    return before is None or read_json(path) != before


def rebuilt(results: Path, whole: Path, run: Run) -> None:
    """The next sweep makes what is missing, and ends with the bits of the undisturbed run."""
    plan = make_plan([run], retry_failed=False)
    for job in plan.pending:
        execute(job.run)
    assert outcome(results, run.id) == outcome(whole, run.id)
    assert run.study.load()[1] == []


# the files of a finished run


@pytest.mark.parametrize("seed", TIMES)
@pytest.mark.parametrize("name", ["record.json", "config.yaml", "history.csv", "scores.csv"])
def test_a_finished_run_with_a_damaged_file_is_no_result(
    results: Path, whole: Path, name: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(results)
    folder = run.study.run(run.id)
    if not spoiled(folder / name, seed):
        pytest.skip("its content is the same")
    damaged = (folder / name).read_bytes()

    records, [problem] = run.study.load()
    assert records == [] and str(folder) in problem and problem.count("\n") == 0
    assert name in problem and "the next sweep that needs it trains it again" in problem
    for command in ("export ID -o x", "compare ID ID", "rerun ID"):
        words = command.replace("ID", run.id).split()
        with pytest.raises(SystemExit, match=f"gradprom: .*{name}.*trains it again"):
            cli.main([*words, f"results={results}"])
    cli.main(["status", f"results={results}"])
    assert problem in capsys.readouterr().out

    trained = {path: path.stat().st_mtime_ns for path in results.glob("stages/*/artefact.pt")}
    assert make_plan([run], retry_failed=False).summary() == "1 run: 1 new, 0 done"
    rebuilt(results, whole, run)
    assert trained == {path: path.stat().st_mtime_ns for path in trained}, "trained again"
    [aside] = (results / "set-aside").iterdir()
    assert (aside / name).read_bytes() == damaged


# stages, checkpoints, caches


@pytest.mark.parametrize("seed", TIMES)
@pytest.mark.parametrize("stage", ["warmup", "recognizer.diagnosis"])
def test_a_damaged_stage_is_made_again_by_the_run_that_needs_it(
    results: Path, whole: Path, stage: str, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    folder = cli_process.stage_folder(results, stage)
    coupled = cli_process.stage_folder(results, "coupled")
    assert folder is not None and coupled is not None
    shutil.rmtree(coupled)
    shutil.rmtree(results / "local" / "runs")
    path = folder / "artefact.pt"
    spoiled(path, seed)
    with caplog.at_level(logging.WARNING):
        rebuilt(results, whole, made(results))
    assert f"{path} is damaged" in caplog.text and "set aside" in caplog.text


def test_damaged_weights_of_a_finished_run_are_not_used(results: Path, whole: Path) -> None:
    run = made(results)
    coupled = cli_process.stage_folder(results, "coupled")
    assert coupled is not None
    spoiled(coupled / "artefact.pt", 0)
    with pytest.raises(SystemExit, match=r"artefact\.pt is damaged.*`gradprom rerun"):
        cli.main(["export", run.id, "-o", str(results / "x"), f"results={results}"])
    cli.main(["rerun", run.id, f"results={results}"])
    assert outcome(results, run.id) == outcome(whole, run.id)


@pytest.mark.parametrize("seed", TIMES)
@pytest.mark.parametrize("checkpoints", [1, 3])
def test_a_damaged_checkpoint_costs_time_alone(
    results: Path,
    whole: Path,
    checkpoints: int,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.rmtree(results / "stages")
    shutil.rmtree(results / "local" / "runs")
    run = made(results)
    with monkeypatch.context() as patch:
        stop_after(checkpoints, patch)
        with pytest.raises(Stopped):
            execute(run)
    [path] = results.glob("stages/*/checkpoint.pt")
    spoiled(path, seed)
    with caplog.at_level(logging.WARNING):
        rebuilt(results, whole, run)
    assert f"{path} is damaged" in caplog.text


@pytest.mark.parametrize("seed", TIMES)
@pytest.mark.parametrize("name", ["target.npy", "mask.npy", "sha256.json"])
def test_a_damaged_cache_is_made_again(
    results: Path, whole: Path, name: str, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    [path] = results.glob(f"cache/phantom-*/{name}")
    before = (whole / path.relative_to(results)).read_bytes()
    if not spoiled(path, seed):
        pytest.skip("its content is the same")
    with caplog.at_level(logging.WARNING):
        images = made(results).images()
    assert f"{path.parent} is damaged" in caplog.text
    assert path.read_bytes() == before
    assert np.array_equal(images.target.numpy(), np.load(path.parent / "target.npy"))


# notes, which are only there for people or to save time


def of_pictures(results: Path) -> Run:
    """A run on files, which lie beside the results."""
    runs._images.cache_clear()
    root = results.parent / "pictures"
    words = ("dataset=folder", f"dataset.root={root}", "dataset.channels=grey", "auxiliary=none")
    return tiny_runs.make(results, *tiny_runs.SMALL, "strategy=mainstream", *words)


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ten pictures, and of the results of a run on them."""
    above, draw = tmp_path_factory.mktemp("noted"), np.random.default_rng(0)
    (above / "pictures").mkdir()
    for number in range(10):
        pixels = draw.integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(above / "pictures" / f"{number}.png")
    execute(of_pictures(above / "results"))
    return above


@pytest.mark.parametrize("seed", TIMES)
@pytest.mark.parametrize("kind", ["local/splits/*", "cache/hashes-*", "local/data/*"])
def test_damaged_notes_are_written_again(noted: Path, tmp_path: Path, kind: str, seed: int) -> None:
    results = tmp_path / "noted" / "results"
    # of the copied pictures nothing is known yet
    shutil.copytree(noted, results.parent, ignore=shutil.ignore_patterns("hashes-*"))
    fingerprint = of_pictures(results).images().fingerprint
    [path] = results.glob(kind)
    before = read_json(path)
    if not spoiled(path, seed):
        pytest.skip("its content is the same")
    assert of_pictures(results).images().fingerprint == fingerprint
    run = of_pictures(results)
    assert make_plan([run], retry_failed=False).summary() == "1 run: 0 new, 1 done"
    shutil.rmtree(results / "local" / "runs")
    execute(run)
    assert read_json(path) == before


@pytest.mark.parametrize("seed", TIMES)
@pytest.mark.parametrize("name", ["progress.json", "plan.json"])
def test_no_command_stumbles_over_damaged_notes(
    results: Path, name: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(results)
    study = run.study
    record = study.record(run.id)
    assert record is not None
    study.write_record(replace(record, status="started", host="elsewhere"))
    row = {"loss_main": 0.1, "psnr": 20.0}
    stage = RunProgress(stage="warmup", stage_id="a", epoch=1, epochs=2, step=1, steps=4)
    study.heartbeat(run.id, replace(stage, seconds_per_step=0.1, row=row))
    path = {
        "progress.json": study.run(run.id) / name,
        "plan.json": next(study.folder.glob("sweeps/*/plan.json")),
    }[name]
    spoiled(path, seed)
    cli.main(["status", f"results={results}"])
    state = {"progress.json": "interrupted", "plan.json": "running"}[name]
    assert f"{state:<12}{run.id}" in capsys.readouterr().out
