"""`logger=mlflow`: MLflow, in a database of the study or where `MLFLOW_TRACKING_URI` says."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from gradprom.runs.loggers.base import Point, RunSummary
from gradprom.storage.lease import exclusive

PACKAGE = "mlflow"
DATABASE = "mlflow.db"
_VALUES, _SETTINGS, _LONGEST = 1000, 100, 6000
"""MLflow's limits: values and settings of a request, characters of a setting."""
_STATUS = {"finished": "FINISHED", "failed": "FAILED"}


def check() -> None:
    """It needs nothing but its package; a server is first asked by the run."""


def begin(summary: RunSummary) -> "MLflow":
    """Open a run of MLflow, or the one that an earlier process has begun."""
    return MLflow(summary)


class MLflow:
    """A run of MLflow, open."""

    reached = None  # each call has been stored when it returns

    def __init__(self, summary: RunSummary):
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # tells how it makes its tables
        remote = os.environ.get("MLFLOW_TRACKING_URI")
        database = (summary.folder / DATABASE).resolve()
        # made by one process alone: its tables cannot be made by two
        with nullcontext() if remote else exclusive(summary.lease):
            self.client: Any = MlflowClient(tracking_uri=remote or f"sqlite:///{database}")
            place = None if remote else (database.parent / "mlflow-artifacts").as_uri()
            experiment = _experiment(self.client, summary.project, place)
        self.id = summary.earlier or self._new(experiment, summary)
        if summary.earlier:
            self.client.update_run(self.id, status="RUNNING")

    def _new(self, experiment: str, summary: RunSummary) -> str:
        from mlflow.entities import Param

        tags = {"gradprom.run": summary.run_id, "gradprom.study": summary.study}
        run = self.client.create_run(experiment, run_name=summary.label, tags=tags)
        settings = [Param(key, str(value)[:_LONGEST]) for key, value in summary.settings.items()]
        for part in _parts(settings, _SETTINGS):
            self.client.log_batch(run.info.run_id, params=part)
        return str(run.info.run_id)

    def log(self, points: Sequence[Point]) -> None:
        """Store points, many values in a request."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [
            Metric(name, value, now, step)
            for step, values in points
            for name, value in values.items()
        ]
        for part in _parts(metrics, _VALUES):
            self.client.log_batch(self.id, metrics=part)

    def scores(self, step: int, values: dict[str, float]) -> None:
        """Store scores as metrics."""
        self.log([(step, values)])

    def end(self, status: str) -> None:
        """Set its status."""
        self.client.set_terminated(self.id, _STATUS.get(status, "KILLED"))


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def _experiment(client: Any, name: str, place: str | None) -> str:
    """The id of an experiment, made if there is none; `place`, in which folder are its files."""
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", name)
    for _ in range(2):
        if (experiment := client.get_experiment_by_name(name)) is not None:
            return str(experiment.experiment_id)
        try:
            return str(client.create_experiment(name, artifact_location=place))
        except MlflowException as error:  # another process may have been faster
            problem = error
    raise problem
