"""A run as its loggers follow it: each row of its history once, whoever has trained it.

    results/<study>/runs/<id>/loggers.json    each logger's own id of the run, and how far it is

Rows come in the order of the run's stages: those of stages that were trained before from their
artefacts, those before an interruption from the checkpoint, others as they are trained. A logger
that fails is a warning, and is left out from then on; the run goes on.
"""

import contextlib
import logging
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gradprom.data.batches import labels_of
from gradprom.errors import NotWritable, Pruned, first_line
from gradprom.runs.checkout import PLACES
from gradprom.runs.loggers import module_of
from gradprom.runs.loggers.base import Logger, Point, RunSummary
from gradprom.runs.record import Record
from gradprom.runs.record_config import dotted
from gradprom.runs.run import Run
from gradprom.storage.files import read_json, write_json
from gradprom.training.artefact import Rows
from gradprom.training.engine import Progress
from gradprom.training.parallel.distributed import RankLost

log = logging.getLogger(__name__)

FILE = "loggers.json"
LONGEST = 100
"""Characters of a run's label: not all packages allow more than 128."""


@contextlib.contextmanager
def followed(run: Run) -> Iterator["Followed"]:
    """Open the loggers of a run; they are closed when the block ends, however it does."""
    loggers = Followed(run)
    status = "interrupted"
    try:
        yield loggers
        status = "finished"
    except (RankLost, NotWritable):
        raise
    except Pruned:
        status = "pruned"
        raise
    except Exception:
        status = "failed"
        raise
    finally:
        loggers.end(status)


class Followed:
    """The loggers of a run, and how far each is."""

    def __init__(self, run: Run):
        self.run = run
        self.record: Record | None = None
        self.open: dict[str, Logger] = {}
        self.place: Path = run.study.run(run.id) / FILE
        self.notes: dict[str, dict[str, Any]] = read_json(self.place) or {}
        self.before: dict[str, int] = {}
        """Steps of the run before each stage, by the stage's id."""
        self.steps = 0
        if names := run.config.logger:
            self._count()
        for name in names:
            self._try(name, self._begin, name)

    def stored(self, histories: Mapping[str, Rows]) -> None:
        """Log rows of stages, by stage id, as far as they have not been."""
        if not self.open:
            return
        self._log([self._point(stage, row) for stage, rows in histories.items() for row in rows])

    def trained(self, progress: Progress) -> None:
        """Log a row of a stage that is being trained."""
        row = {"epoch": progress.epoch, "step": progress.step, **progress.row}
        self._log([self._point(progress.stage.id, {"stage": progress.stage.name, **row})])

    def finished(self, record: Record) -> None:
        """Take the record, whose scores are logged when the loggers are closed."""
        self.record = record

    def end(self, status: str) -> None:
        """Log the scores, and close the loggers."""
        scores = _scores(self.record, self.run.split) if self.record else {}
        for name, logger in list(self.open.items()):
            if scores:
                self._try(name, logger.scores, self.steps, scores)
            self._try(name, logger.end, status)

    def _count(self) -> None:
        labels = labels_of(self.run.images(), "train")
        for stage in self.run.last_stage.lineage():
            self.before[stage.id] = self.steps
            self.steps += stage.epochs * stage.batches.steps_per_epoch(labels)

    def _begin(self, name: str) -> None:
        run, note = self.run, self.notes.get(name, {})
        summary = RunSummary(
            run_id=run.id,
            label=_label(run),
            study=run.study.name,
            folder=run.study.folder,
            run_folder=run.study.run(run.id),
            lease=run.study.leases(f"logger-{name}"),
            settings=dotted({**run.reads, "seed": run.config.seed}),
            earlier=note.get("id"),
        )
        logger = module_of(name).begin(summary)
        step = note.get("step", 0) if logger.reached is None else logger.reached
        self.notes[name] = {"id": logger.id, "step": step}
        write_json(self.place, self.notes)
        self.open[name] = logger

    def _point(self, stage_id: str, row: Mapping[str, Any]) -> Point:
        values = {
            f"{row['stage']}/{name}": float(value)
            for name, value in row.items()
            if name != "stage" and not math.isnan(value)
        }
        return self.before.get(stage_id, 0) + row["step"], values

    def _log(self, points: list[Point]) -> None:
        for name in list(self.open):
            self._try(name, self._advance, name, points)

    def _advance(self, name: str, points: list[Point]) -> None:
        note = self.notes[name]
        if new := [point for point in points if point[0] > note["step"]]:
            self.open[name].log(new)
            note["step"] = new[-1][0]
            write_json(self.place, self.notes)

    def _try(self, name: str, call: Callable[..., None], *arguments: Any) -> None:
        """Call; a failure is a warning, and the logger is left out from then on."""
        try:
            call(*arguments)
        except Exception as error:
            self.open.pop(name, None)
            reason = first_line(error)
            log.warning("logger=%s failed: %s; the run goes on without it", name, reason)


def _label(run: Run) -> str:
    """The run as shown to people, without where its files are."""
    words = [text for text in run.overrides if text.lstrip("+").split("=")[0] not in PLACES]
    return textwrap.shorten(" ".join(words), LONGEST, placeholder=" …") or run.id


def _scores(record: Record, split: str) -> dict[str, float]:
    """The scores of a finished run by test set and name, such as `test/psnr`."""
    sets = {split: record.metrics} | {
        name: each.metrics for name, each in record.evaluate_on.items()
    }
    scores = {f"{name}/{key}": value for name, each in sets.items() for key, value in each.items()}
    return {name: value for name, value in scores.items() if not math.isnan(value)}
