"""What packages have of logged runs, read back by the packages themselves.

`python -m support.logged NAME FOLDER` prints the runs of a study's folder as JSON: a list of pairs,
the package's id of a run and its points `[step, name, value]`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
Points = list[tuple[int, str, float]]


def runs(name: str, folder: Path) -> list[tuple[str, Points]]:
    """The logged runs of a study's folder, read in another process."""
    environment = {**os.environ, "TRACKIO_DIR": str(folder / "trackio"), "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "support.logged", name, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    logged = json.loads(done.stdout.splitlines()[-1])
    return [(run, [tuple(point) for point in points]) for run, points in logged]


def tensorboard(folder: Path) -> Iterator[tuple[str, Points]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for place in sorted(folder.glob("runs/*/tensorboard")):
        events = EventAccumulator(str(place), size_guidance={"scalars": 0})
        events.Reload()
        names = events.Tags()["scalars"]
        yield (
            place.parent.name,
            [(e.step, name, e.value) for name in names for e in events.Scalars(name)],
        )


def mlflow(folder: Path) -> Iterator[tuple[str, Points]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    for experiment in client.search_experiments(filter_string="name LIKE 'gradprom-%'"):
        for run in client.search_runs([experiment.experiment_id]):
            key = run.info.run_id
            assert run.info.status in ("FINISHED", "RUNNING"), run.info.status
            names = run.data.metrics
            values = [(name, client.get_metric_history(key, name)) for name in names]
            yield key, [(m.step, name, m.value) for name, each in values for m in each]


def trackio(folder: Path) -> Iterator[tuple[str, Points]]:
    import trackio as package
    from trackio.sqlite_storage import SQLiteStorage

    [database] = folder.glob("trackio/*.db")
    for run in package.Api().runs(database.stem):
        rows = SQLiteStorage.get_logs(database.stem, run.name, run_id=run.id)
        points = [(row.pop("step"), row) for row in rows]
        own = ("timestamp",)
        yield (
            run.id,
            [(s, key, value) for s, row in points for key, value in row.items() if key not in own],
        )


def wandb(folder: Path) -> Iterator[tuple[str, Points]]:
    """Offline: a file for each process, of which the last one of a run has all its points."""
    from wandb.proto import wandb_internal_pb2

    by_run: dict[str, Points] = {}
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        run, points, summary = "", [], {}
        for content in _leveldb(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.HasField("run"):
                run = record.run.run_id
            items = {"/".join(i.nested_key) or i.key: i for i in record.history.item}
            values = {key: _value(item) for key, item in items.items()}
            points += [
                (values["_step"], key, value)
                for key, value in values.items()
                if not key.startswith("_")
            ]
            for item in record.summary.update:
                key = "/".join(item.nested_key) or item.key
                if not key.startswith("_"):
                    summary[key] = _value(item)
        logged = {name for _, name, _ in points}
        points += [(-1, key, v) for key, v in summary.items() if key not in logged]
        if run:  # the file of a process that was killed at once says nothing yet
            by_run[run] = points
    yield from by_run.items()


def _value(item: Any) -> Any:
    return json.loads(item.value_json)


def _leveldb(content: bytes) -> Iterator[bytes]:
    """The records of a file in LevelDB's log format, which begins with 7 bytes of wandb."""
    place, parts = 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        parts += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):
            yield parts
            parts = b""


if __name__ == "__main__":
    readers = {"tensorboard": tensorboard, "mlflow": mlflow, "trackio": trackio, "wandb": wandb}
    print(json.dumps(list(readers[sys.argv[1]](Path(sys.argv[2])))))
