"""What `run.py` does: a sweep, one job of a sweep, or a single run."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from gradprom.composing import Composer, sentence
from gradprom.errors import ConfigError, GradpromError, NotWritable
from gradprom.files import NO_ROOM, require_writable, writing
from gradprom.identity import digest
from gradprom.reports import summary
from gradprom.sweeps import plan as plans
from gradprom.sweeps import request as requests
from gradprom.sweeps.display import Display, estimate
from gradprom.sweeps.execution import execute
from gradprom.sweeps.request import make_run
from gradprom.sweeps.run import Run
from gradprom.training.engine import choose_device

log = logging.getLogger(__name__)

HERE = ("basic", "submitit_local")
"""Launchers whose jobs run on this machine."""


def sweep(
    arguments: list[str], compose: Callable[[list[str]], DictConfig], launcher: Launcher
) -> None:
    """Run what `arguments` ask for: their Cartesian product, or the cells of `experiment=`.

    `compose` makes one job's configuration. All jobs are composed, typed and planned, and their
    data looked at, before one is launched. Exits with 1 if the configuration is wrong or a run
    failed, with 130 on Ctrl-C.
    """
    composer = Composer(compose)
    with one_sentence():
        request = requests.read(arguments, composer)
        node, choices = composer(next(iter(request.jobs.values())))
        if not node.sweep.dry_run:
            require_writable(Path(node.results))
        plan = plans.make(request.runs, node.sweep.retry_failed)
        plan.expansions, plan.asked = request.expansions, request.asked
        if not node.sweep.dry_run and choices["hydra/launcher"] in HERE:
            rehearse(plan)
    pending = [request.jobs[job.run.id] for job in plan.pending]

    def launch() -> list[Any]:
        # asking a failed job for its `return_value` would raise
        return [job._return_value for job in launcher.launch(pending, initial_job_idx=0)]

    with one_sentence():
        work_through(plan, node.sweep.dry_run, launch)


def task(node: DictConfig) -> None:
    """Hydra's task function: a job of a sweep, or the single run that was asked for."""
    hydra = HydraConfig.get()
    choices, overrides = dict(hydra.runtime.choices), list(hydra.overrides.task)
    if hydra.mode == RunMode.MULTIRUN:
        execute(make_run(node, choices, overrides))  # the sweeper shows plan and table
        return
    with one_sentence():
        if node.experiment:
            raise ConfigError(
                f"experiment={node.experiment} is a sweep: python run.py -m "
                f"experiment={node.experiment}"
            )
        run = make_run(node, choices, overrides)
    here([run], node.sweep.dry_run, node.sweep.retry_failed)


def here(runs: list[Run], dry_run: bool = False, retry_failed: bool = False) -> None:
    """Runs in this process, one after another, with a sweep's plan, progress and table."""
    with one_sentence():
        plan = plans.make(runs, retry_failed)
        if not dry_run:
            rehearse(plan)

    def attempt(run: Run) -> Any:
        try:
            return execute(run)
        except NotWritable:
            raise  # there is no room for the next one either
        except Exception as error:
            return error

    with one_sentence():
        work_through(plan, dry_run, lambda: [attempt(job.run) for job in plan.pending])


def rehearse(plan: plans.Plan) -> None:
    """Begin, without training it, what the pending runs train from nothing.

    Raises
    ------
    GradpromError
        If this machine lacks the device or the pre-trained weights they ask for.
    """
    built = set()
    for run in (job.run for job in plan.pending):
        config = run.config
        choose_device(config.trainer.device)
        for stage in run.method.stage().lineage():
            networks = digest([stage.name, config.backbone, config.auxiliary, config.facts])
            if stage.id in plan.stages and not stage.parents and networks not in built:
                built.add(networks)
                run.method.begin(stage, {}, epoch_steps=1, device=torch.device("cpu"))


def work_through(plan: plans.Plan, dry_run: bool, launch: Callable[[], list[Any]]) -> None:
    """Show the plan, launch what is pending under a live display, show what came out.

    `launch` returns, for each pending job, the exception that stopped it, or anything else.
    Exits with 1 if a run failed, with 130 on Ctrl-C.

    Raises
    ------
    NotWritable
        If there is no room for results; the same command goes on later.
    """
    print(plans.describe(plan))
    if plan.pending:
        print(estimate(plan))
    if dry_run:
        return
    sys.stdout.flush()
    logging.raiseExceptions = False  # a log that finds no room is no reason for a traceback
    plan.keep()
    outcomes: list[Any] = []
    try:
        if plan.pending:
            with Display(plan, Console()):
                outcomes = launch()
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from the last checkpoint.")
        sys.exit(130)
    except NotWritable:
        raise
    except Exception as error:  # a launcher lost a job: the records tell what is there
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            with writing(Path(error.filename or plan.folder)):
                raise
        log.warning("the launcher stopped: %s", error)
    for outcome in outcomes:
        if isinstance(outcome, NotWritable):
            raise outcome
    for job, outcome in zip(plan.pending, outcomes, strict=False):
        record = job.run.study.record(job.run.id)
        if isinstance(outcome, Exception) and (record is None or record["status"] == "started"):
            print(f"stopped  {job.run.label}: {outcome}")  # the others' records have it all
    study = plan.jobs[0].run.study
    if plan.expansions:
        from gradprom.reports.report import report  # it takes a while to import

        report(study, [expansion.experiment.name for expansion in plan.expansions], plan.asked)
    ids = [job.run.id for job in plan.jobs]
    if summary.show(ids, study, plan.folder, table=not plan.expansions):
        sys.exit(1)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn an error that a person can put right into its sentence and exit code 1."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)  # nothing has begun that there would be to tell of
    except MissingConfigException as error:
        if not error.options or error.missing_cfg_file is None:
            sys.exit(f"gradprom: {error}")
        group, _, name = error.missing_cfg_file.rpartition("/")
        sys.exit(f"gradprom: {group}={name} is unknown; choose from {', '.join(error.options)}")
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(f"gradprom: {sentence(error)}")
    except GradpromError as error:
        sys.exit(f"gradprom: {error}")
