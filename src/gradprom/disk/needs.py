"""What the runs of all studies still need of what is stored: stages, and decoded datasets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from gradprom.disk.usage import studies
from gradprom.errors import GradpromError, first_line
from gradprom.runs.plan_note import PlannedRun
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.stage_names import stage_name

if TYPE_CHECKING:
    from gradprom.runs.run import Run

ENDED = ("finished", "pruned")
"""Statuses of records whose runs no command takes up again."""


@dataclass
class Needs:
    """Names of stored things, by who needs them.

    A stage's folder is `<stage id>-<8 digits of its data's fingerprint>`.
    """

    last: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Folders of the last stages of finished runs, which have their weights; with study and run."""
    earlier: set[str] = field(default_factory=set)
    """Folders of the stages before them."""
    unfinished: set[str] = field(default_factory=set)
    """Ids of the stages of runs that have not finished, on whatever data."""
    datasets: set[str] = field(default_factory=set)
    """Names of the datasets of these runs."""
    waiting: set[str] = field(default_factory=set)
    """Studies that have such runs."""
    unknown: list[str] = field(default_factory=list)
    """A sentence for each such run whose needs cannot be worked out."""


def needs_of(results: Path) -> Needs:
    """The needs of all runs below a folder of results."""
    needs = Needs()
    for study in studies(results):
        records, problems = study.load()
        needs.unknown += problems
        for record in records:
            if record.status in ENDED:
                _add_finished(needs, study, record)
            else:
                _add_unfinished(needs, study, record)
        known = {record.id for record in records}
        planned = {run.id: run for plan in study.plans() for run in plan.runs}
        _add_planned(needs, study, [run for run in planned.values() if run.id not in known])
    return needs


def _add_finished(needs: Needs, study: Study, record: Record) -> None:
    if not record.finished:
        return
    fingerprint = record.dataset.fingerprint
    last = stage_name(record.training_id, fingerprint)
    needs.last.setdefault(last, []).append((study.name, record.id))
    needs.earlier |= {stage_name(stage.id, fingerprint) for stage in record.stages} - {last}


def _add_unfinished(needs: Needs, study: Study, record: Record) -> None:
    from gradprom.runs.restore import load_run

    needs.waiting.add(study.name)
    try:
        _add_run(needs, load_run(study, record.id))
    except GradpromError as error:
        needs.unknown.append(f"run {record.id} of study {study.name}: {first_line(error)}")


def _add_planned(needs: Needs, study: Study, runs: Iterable[PlannedRun]) -> None:
    """Runs that a sweep expects and that have no record yet."""
    from gradprom.sweeps.request import make_run, shell_composer

    composer = None
    for planned in runs:
        needs.waiting.add(study.name)
        composer = composer or shell_composer()
        try:
            _add_run(needs, make_run(*composer(planned.overrides), planned.overrides))
        except (GradpromError, HydraException, OmegaConfBaseException) as error:
            needs.unknown.append(f"run {planned.id} of study {study.name}: {first_line(error)}")


def _add_run(needs: Needs, run: Run) -> None:
    from gradprom.training import longer

    needs.unfinished |= {stage.id for stage in run.last_stage.lineage()}
    if run.config.trainer.extend:
        needs.unfinished |= {stage.id for stage in longer.shorter(run.last_stage)}
    needs.datasets |= {each.name for each in (run.config.dataset, *run.config.evaluate_on)}
