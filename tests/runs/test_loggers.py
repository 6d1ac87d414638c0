"""`logger=`: what packages have of a run is its `history.csv` and its scores, once."""

import contextlib
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import cli_process, logged, tiny_runs

from gradprom.errors import ConfigError
from gradprom.runs import history, loggers
from gradprom.runs.execution import execute
from gradprom.runs.loggers import follow
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import read_json
from gradprom.sweeps.plan import make_plan
from gradprom.sweeps.preflight import preflight

PACKAGES = ("wandb", "mlflow", "trackio")
WORDS = (*tiny_runs.PHANTOM, "trainer.log_every=1", "trainer.coupled_epochs=3")
Key = tuple[int, str]


def expected(study: Study, record: Record) -> dict[Key, float]:
    """Every cell of `history.csv` by step of the run and name, and the scores at the last step."""
    rows, found, before, last = history.read(study.run(record.id)), {}, 0, ("", 0)
    for cells in rows.rows:
        row = dict(zip(rows.columns, cells, strict=True))
        stage, step = row.pop("stage"), int(row["step"])
        before += last[1] if stage != last[0] else 0
        last = (stage, step)
        found |= {
            (before + step, f"{stage}/{name}"): float(cell) for name, cell in row.items() if cell
        }
    scores = {(before + last[1], f"test/{name}"): v for name, v in record.metrics.items()}
    return found | scores


def assert_same(points: logged.Points, wanted: dict[Key, float], name: str) -> None:
    keys = [(step, key) for step, key, _ in points]
    steps = {key: step for step, key in wanted if key.startswith("test/")}
    # a summary has no steps
    keys = [(steps[key] if step < 0 else step, key) for step, key in keys]
    assert len(keys) == len(set(keys)), "a point is there twice"
    values = dict(zip(keys, (value for *_, value in points), strict=True))
    # TensorBoard keeps 32 bits of a number
    exact = {"rel": 1e-6} if name == "tensorboard" else {"rel": 0, "abs": 0}
    assert values == pytest.approx(wanted, **exact)


class Fake:
    """A package that keeps points in a list, and fails where it is told to."""

    PACKAGE = "gradprom"

    def __init__(self) -> None:
        self.runs: dict[str, logged.Points] = {}
        self.begun: list[Any] = []
        self.ended: list[str] = []
        self.fails: str = ""

    def check(self) -> None:
        pass

    def begin(self, summary: Any) -> Any:
        self.begun.append(summary)
        name = summary.earlier or f"{summary.run_id}-{len(self.runs)}"
        points = self.runs.setdefault(name, [])

        def take(new: Sequence[Any]) -> None:
            if self.fails == "log" and len(points) > 20:
                raise OSError("the server is gone\nfor good")
            points.extend((step, key, v) for step, each in new for key, v in each.items())

        def end(status: str) -> None:
            self.ended.append(status)
            if self.fails == "end":
                raise OSError("the server is gone")

        if self.fails == "begin":
            raise OSError("the server is gone")
        return SimpleNamespace(
            id=name, reached=None, log=take, end=end, scores=lambda step, v: take([(step, v)])
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Stands in for `logger=mlflow`."""
    package = Fake()
    monkeypatch.setattr(follow, "module_of", lambda name: package)
    monkeypatch.setattr(loggers, "module_of", lambda name: package)
    return package


def test_a_run_goes_on_where_it_was_interrupted_and_shares_stages(
    tmp_path: Path, fake: Fake
) -> None:
    study = tiny_runs.local(tmp_path)
    first = tiny_runs.train(tmp_path, *WORDS, "strategy=joint")  # without a logger
    run = tiny_runs.make(tmp_path, *WORDS, "logger=mlflow", "trainer.checkpoint_seconds=0")
    seen = 0

    def stop(progress: Any) -> None:
        nonlocal seen
        seen += 1
        if seen in (2, 4):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            execute(run, stop)
    record = execute(run)
    assert record is not None and record.id != first.id and record.interruptions > 0
    [(name, points)] = fake.runs.items()
    assert_same(points, expected(study, record), "fake")
    assert fake.ended == ["interrupted", "interrupted", "finished"]
    assert [summary.earlier for summary in fake.begun] == [None, name, name]
    summary = fake.begun[0]
    assert summary.settings["strategy.name"] == "gradprom" and summary.settings["seed"] == 0
    assert "results=" not in summary.label and "logger=" not in summary.label
    assert execute(run) is not None and len(fake.begun) == 3  # there is nothing to log

    # trained again, it is another logged run
    study.set_aside(study.run(run.id))
    again = execute(run)
    assert again is not None and len(fake.runs) == 2
    assert_same(fake.runs[fake.begun[-1].run_id + "-1"], expected(study, again), "fake")


def test_a_logger_that_is_added_later_has_all_rows(tmp_path: Path, fake: Fake) -> None:
    words = (*WORDS, "trainer.checkpoint_seconds=0")
    run, seen = tiny_runs.make(tmp_path, *words), []

    def stop(progress: Any) -> None:
        seen.append(progress)
        if progress.stage.name == "coupled" and progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(run, stop)
    record = execute(tiny_runs.make(tmp_path, *words, "logger=[mlflow,csv]"))
    assert record is not None and record.interruptions == 1
    [points] = fake.runs.values()
    assert_same(points, expected(run.study, record), "fake")


@pytest.mark.parametrize("when", ["begin", "log", "end"])
def test_a_logger_that_fails_does_not_touch_the_run(
    tmp_path: Path, fake: Fake, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    fake.fails = when
    with caplog.at_level(logging.WARNING):
        record = tiny_runs.train(tmp_path / "logged", *WORDS, "logger=mlflow")
    [warning] = [text for text in caplog.messages if "logger=" in text]
    assert warning == "logger=mlflow failed: the server is gone; the run goes on without it"
    alone = tiny_runs.train(tmp_path / "alone", *WORDS)
    assert alone.id == record.id
    one = cli_process.outcome(tmp_path / "logged", record)
    assert one == cli_process.outcome(tmp_path / "alone", alone)


def test_a_run_that_fails_says_so(tmp_path: Path, fake: Fake) -> None:
    words = (*tiny_runs.PHANTOM, "trainer.lr=1e30", "logger=mlflow", "trainer.schedule=constant")
    with pytest.raises(Exception, match="not finite"):
        tiny_runs.train(tmp_path, *words)
    assert fake.ended == ["failed"]


@pytest.mark.parametrize("name", ["tensorboard", *PACKAGES])
def test_a_missing_package_is_told_before_anything_is_trained(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda key, *rest: None if key == name else find_spec(key)
    )
    run = tiny_runs.make(tmp_path, *WORDS, f"logger=[csv,{name}]")
    message = rf"logger={name} needs the package {name}: pip install -e '.\[{name}\]'"
    with pytest.raises(ConfigError, match=message):
        preflight(make_plan([run], retry_failed=False))
    with pytest.raises(ConfigError, match=message):
        execute(run)
    assert not run.study.has_record(run.id) and not run.study.stages.exists()


def test_a_folder_is_not_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imaginary").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        loggers, "module_of", lambda name: SimpleNamespace(PACKAGE="imaginary", check=None)
    )
    with pytest.raises(ConfigError, match="needs the package imaginary"):
        loggers.require_installed(["imaginary"])


def test_tensorboard_has_the_history(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    record = tiny_runs.train(tmp_path, *WORDS, "logger=tensorboard")
    [(_, points)] = logged.runs("tensorboard", tmp_path / "local")
    assert_same(points, expected(tiny_runs.local(tmp_path), record), "tensorboard")


# with the packages themselves, in processes


def environment(folder: Path) -> dict[str, str]:
    """Without anybody's account, and without what would lead elsewhere."""
    mine = ("WANDB_", "MLFLOW_", "TRACKIO_", "HF_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(mine)}
    source = str(cli_process.ROOT / "src")
    return {**kept, "HOME": str(folder), "WANDB_MODE": "offline", "PYTHONPATH": source}


def command(results: Path, *words: str) -> list[str]:
    script = [sys.executable, str(cli_process.ROOT / "run.py"), "-m"]
    return [*script, *cli_process.TINY, f"results={results}", *words]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_sweep_in_several_processes(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    words = ("strategy=joint,gradprom", "seed=0,1", "runs_per_device=3", f"logger={name}")
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        command(tmp_path, *words), env=environment(home), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout + done.stderr
    study = cli_process.study(tmp_path)
    found = dict(logged.runs(name, study.folder))
    records = study.records()
    assert len(found) == len(records) == 4
    if name == "trackio":  # which is found by its name
        names = [read_json(study.run(r.id) / follow.FILE)[name]["id"] for r in records]
        assert all(record.id in key for record, key in zip(records, names, strict=True))
    wanted = [expected(study, record) for record in records]
    for points in found.values():
        score = {value for _, key, value in points if key == "test/psnr"}
        [mine] = [each for each in wanted if score <= set(each.values())]
        assert_same(points, mine, name)
        wanted.remove(mine)


@contextlib.contextmanager
def started(arguments: list[str], home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a session of its own, which is killed as a whole."""
    child = subprocess.Popen(
        arguments,
        env=environment(home),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@pytest.mark.parametrize("name", PACKAGES)
def test_killed_and_resumed_it_is_one_logged_run(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    words = ("strategy=joint", "trainer.coupled_epochs=60", f"logger={name}")
    home, study = tmp_path / "home", cli_process.study(tmp_path)
    home.mkdir()

    def step() -> int:
        notes = [read_json(path) for path in study.folder.glob(f"runs/*/{follow.FILE}")]
        return max((note[name]["step"] for note in notes if note), default=0)

    with started(command(tmp_path, *words), home) as child:
        while step() < 30:
            assert child.poll() is None
            time.sleep(0.01)
    done = subprocess.run(
        command(tmp_path, *words), env=environment(home), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [record] = study.records()
    assert record.interruptions == 1
    [(_, points)] = logged.runs(name, study.folder)
    assert_same(points, expected(study, record), name)


def test_wandb_asks_for_no_account(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    online = {**environment(tmp_path), "WANDB_MODE": "online"}
    done = subprocess.run(
        command(tmp_path / "r", "logger=wandb"), env=online, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "logger=wandb: nobody is logged in; run `wandb login`" in done.stderr
    assert not (tmp_path / "r" / "stages").exists()
