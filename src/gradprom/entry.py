"""What `run.py` does: a sweep, one job of a sweep, or a single run."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from gradprom.config.composing import Composer, one_sentence
from gradprom.errors import ConfigError, NotWritable
from gradprom.launch import submission
from gradprom.reports import swept
from gradprom.runs.execution import execute
from gradprom.runs.run import Run
from gradprom.storage.files import NO_ROOM, require_writable, writing
from gradprom.sweeps import plan as plans
from gradprom.sweeps import request as requests
from gradprom.sweeps.preflight import preflight
from gradprom.sweeps.progress import Display, estimate
from gradprom.sweeps.request import make_run
from gradprom.training.parallel.placement import find_place
from gradprom.tuning import is_requested

log = logging.getLogger(__name__)

GOES_ON = "Interrupted. The same command goes on from the last checkpoint."
STAYS = (
    "The jobs stay with Slurm. `gradprom status --watch` tells how they stand, `gradprom cancel` "
    "takes back what waits, and the same command goes on from there."
)


def sweep(
    arguments: list[str], compose: Callable[[list[str]], DictConfig], launcher: Launcher
) -> None:
    """Run what `arguments` ask for: their Cartesian product, or the cells of `experiment=`.

    `compose` makes one job's configuration. All jobs are composed, typed and planned, and their
    data looked at, before one is launched. Exits with 1 if the configuration is wrong or a run
    failed, with 130 on Ctrl-C.
    """
    composer = Composer(compose)
    if is_requested(arguments):
        from gradprom.tuning.command import tune  # with Optuna, which takes a while to import

        return tune(arguments, composer, launcher)
    with one_sentence():
        request = requests.read(arguments, composer)
        node, choices = composer(next(iter(request.jobs.values())))
        if not node.sweep.dry_run:
            require_writable(Path(node.results))
        plan = plans.make(request.runs, node.sweep.retry_failed)
        plan.expansions, plan.narrowing = request.expansions, request.narrowing
        plan.swept = request.swept
        if not node.sweep.dry_run:
            preflight(plan, choices["hydra/launcher"])
    on_cluster, words = choices["hydra/launcher"] == "submitit_slurm", request.jobs
    packing = submission.Packing.of(node)
    if on_cluster and not node.slurm.wait:
        if introduce(plan, node.sweep.dry_run):
            with one_sentence():
                submission.submit(plan, words, launcher, packing)
            print(STAYS)
        return

    def launch() -> list[Any]:
        return submission.launch(plan, words, launcher, packing)

    with one_sentence():
        work_through(plan, node.sweep.dry_run, launch, STAYS if on_cluster else GOES_ON)


def task(node: DictConfig) -> None:
    """Hydra's task function: a job of a sweep, or the single run that was asked for."""
    hydra = HydraConfig.get()
    choices, overrides = dict(hydra.runtime.choices), list(hydra.overrides.task)
    if hydra.mode == RunMode.MULTIRUN:
        run = make_run(node, choices, overrides)  # the sweeper shows plan and table
        if node.tune.space:
            from gradprom.tuning.attempt import attempt

            attempt(run, node.tune)
        else:
            execute(run)
        return
    with one_sentence():
        if is_requested(overrides):
            raise ConfigError("tune= is a study of many runs: python run.py -m tune=…")
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
            preflight(plan)

    def outcome(run: Run) -> Any:
        try:
            return execute(run)
        except NotWritable:
            raise  # there is no room for the next one either
        except Exception as error:
            return error

    with one_sentence():
        work_through(plan, dry_run, lambda: [outcome(job.run) for job in plan.pending])


def introduce(plan: plans.Plan, dry_run: bool) -> bool:
    """Show a plan and note it in its study; False if that is all that was asked for."""
    print(plans.describe(plan))
    if plan.pending:
        print(estimate(plan))
    sys.stdout.flush()
    if not dry_run:
        logging.raiseExceptions = False  # a log that finds no room is no reason for a traceback
        plan.keep()
    return not dry_run


def work_through(
    plan: plans.Plan, dry_run: bool, launch: Callable[[], list[Any]], left: str = GOES_ON
) -> None:
    """Show the plan, launch what is pending under a live display, show what came out.

    `launch` returns, for each pending job, the exception that stopped it, or anything else.
    Exits with 1 if a run failed, with 130 on Ctrl-C, which is when `left` is said.

    Raises
    ------
    NotWritable
        If there is no room for results; the same command goes on later.
    """
    if follows(plan):
        step_along(plan, dry_run, launch)
        return
    if not introduce(plan, dry_run):
        return
    outcomes: list[Any] = []
    try:
        with Display(plan, Console()):
            outcomes = launch()
    except KeyboardInterrupt:
        print(f"\n{left}")
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
        if isinstance(outcome, Exception) and (record is None or record.status == "started"):
            print(f"stopped  {job.run.label}: {outcome}")  # the others' records have it all
    study = plan.jobs[0].run.study
    if plan.expansions:
        from gradprom.reports.report import report  # it takes a while to import

        report(study, [expansion.experiment.name for expansion in plan.expansions], plan.narrowing)
    ids = [job.run.id for job in plan.jobs]
    if swept.show(ids, study, plan.folder, plan.swept, table=not plan.expansions):
        sys.exit(1)


def follows(plan: plans.Plan) -> bool:
    """Whether this is a task of Slurm's beside rank 0, which alone shows and writes."""
    return any(find_place(job.run.config.trainer.devices).rank > 0 for job in plan.jobs)


def step_along(plan: plans.Plan, dry_run: bool, launch: Callable[[], list[Any]]) -> None:
    """Train what is pending with rank 0; exits with 1 and a sentence if it ended early."""
    outcomes = launch() if plan.pending and not dry_run else []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            sys.exit(f"gradprom: {outcome}")
