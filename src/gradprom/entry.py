"""The entry points of `run.py`: a sweep, one job of a sweep, or a single run."""

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

from gradprom import streams
from gradprom.config.composing import Composer, one_sentence
from gradprom.config.places import absolute, given
from gradprom.disk import keeping
from gradprom.errors import ConfigError, NotWritable
from gradprom.launch import local, submission
from gradprom.reports import swept
from gradprom.runs import notices
from gradprom.runs.execution import execute
from gradprom.runs.run import Run
from gradprom.storage.files import NO_ROOM, require_writable, writing
from gradprom.sweeps.classical_runs import with_classical
from gradprom.sweeps.plan import Plan, describe, make_plan
from gradprom.sweeps.preflight import preflight
from gradprom.sweeps.progress import Display, estimate
from gradprom.sweeps.request import make_run, read_request, served
from gradprom.training.parallel.placement import find_place
from gradprom.tuning import is_requested

log = logging.getLogger(__name__)

ON_INTERRUPT = "Interrupted. The same command goes on from the last checkpoint."
ON_SUBMIT = (
    "The jobs stay with Slurm. `gradprom status --watch` shows their progress, `gradprom cancel` "
    "cancels those that wait, and the same command resumes them."
)


def sweep(
    arguments: list[str], compose: Callable[[list[str]], DictConfig], launcher: Launcher
) -> None:
    """Run the Cartesian product of overrides, or the cells of `experiment=`.

    All jobs are composed, checked and planned, and their data examined, before the first is
    launched. Exits with 1 if the configuration is wrong or a run failed, with 130 on Ctrl-C.

    Parameters
    ----------
    arguments
        Overrides of the command line.
    compose
        Composes the configuration of one job from its overrides.
    launcher
        Hydra's launcher, as configured.
    """
    with local.in_workers(launcher) as launch_with:
        _sweep(arguments, Composer(compose), launch_with)


def _sweep(arguments: list[str], composer: Composer, launcher: Any) -> None:
    if is_requested(arguments):
        from gradprom.tuning.command import tune  # late: Optuna is slow to import

        return tune(arguments, composer, launcher)
    with one_sentence():
        request = served(read_request(arguments, composer))
        node, choices = composer(next(iter(request.jobs.values())))
        if not node.sweep.dry_run:
            require_writable(Path(absolute(given(node.results))))
        request = with_classical(request, node.sweep.classical, composer)
        plan = make_plan(request.runs, node.sweep.retry_failed, request.classical)
        plan.expansions, plan.narrowing = request.expansions, request.narrowing
        plan.swept, plan.overrides = request.swept, request.jobs
        plan.stops_at_failure = node.sweep.stop_at_first_failure
        if plan.stops_at_failure and not isinstance(launcher, local.Workers):
            raise ConfigError(
                "sweep.stop_at_first_failure=true is for sweeps on this machine, with "
                "hydra/launcher=basic; jobs of a cluster do not know of each other"
            )
        if not node.sweep.dry_run:
            if plan.pending and isinstance(launcher, local.Workers):
                launcher.prepare()
            preflight(plan, choices["hydra/launcher"])
        packing = submission.Packing.of(node)
        if isinstance(launcher, local.Workers):
            plan.place, plan.at_once = packing.describe(len(plan.pending))
    on_cluster, overrides = choices["hydra/launcher"] == "submitit_slurm", request.jobs
    if on_cluster and not node.slurm.wait:
        if announce(plan, node.sweep.dry_run):
            with one_sentence():
                submission.submit(plan, overrides, launcher, packing)
            print(ON_SUBMIT)
        return

    def launch() -> list[Any]:
        return submission.launch(plan, overrides, launcher, packing)

    with one_sentence():
        run_plan(plan, node.sweep.dry_run, launch, ON_SUBMIT if on_cluster else ON_INTERRUPT)


def task(node: DictConfig) -> None:
    """Hydra's task function: one job of a sweep, or a single run."""
    streams.make_logs_lenient()
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
    run_here([run], node.sweep.dry_run, node.sweep.retry_failed)


def run_here(runs: list[Run], dry_run: bool = False, retry_failed: bool = False) -> None:
    """Execute runs in this process, one after another, with a sweep's plan, progress and table.

    Parameters
    ----------
    runs
        The runs, of one study.
    dry_run
        Show the plan alone.
    retry_failed
        Also execute runs that have failed before.
    """
    with one_sentence():
        plan = make_plan(runs, retry_failed)
        if not dry_run:
            preflight(plan)

    def outcome(run: Run) -> Any:
        try:
            return execute(run)
        except NotWritable:
            raise  # the next run could not be written either
        except Exception as error:
            return error

    with one_sentence():
        run_plan(plan, dry_run, lambda: [outcome(job.run) for job in plan.pending])


def announce(plan: Plan, dry_run: bool) -> bool:
    """Show a plan and store it in its study; False after a dry run, which stores nothing."""
    print(describe(plan))
    if plan.to_train:
        print(estimate(plan))
    sys.stdout.flush()
    if not dry_run:
        logging.raiseExceptions = False  # no traceback for a log that cannot be written
        plan.keep()
    return not dry_run


def run_plan(
    plan: Plan, dry_run: bool, launch: Callable[[], list[Any]], on_interrupt: str = ON_INTERRUPT
) -> None:
    """Show the plan, launch pending jobs under a live display, and show the results.

    Exits with 1 if a run failed, with 130 on Ctrl-C.

    Parameters
    ----------
    plan
        The plan.
    dry_run
        Show the plan alone.
    launch
        Executes the pending jobs; returns for each the exception that stopped it, or anything
        else.
    on_interrupt
        The text that is printed on Ctrl-C.

    Raises
    ------
    NotWritable
        If results cannot be written; the same command resumes later.
    """
    if is_follower(plan):
        run_follower(plan, dry_run, launch)
        return
    if not announce(plan, dry_run):
        return
    outcomes: list[Any] = []
    try:
        with Display(plan, Console()):
            outcomes = launch()
    except KeyboardInterrupt:
        print(f"\n{on_interrupt}")
        sys.exit(130)
    except NotWritable:
        raise
    except Exception as error:  # a launcher lost a job: records show which runs finished
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
            print(f"stopped  {job.run.label}: {outcome}")  # other records have their own errors
    study = plan.jobs[0].run.study
    if plan.expansions:
        from gradprom.reports.report import report  # slow to import

        report(study, [expansion.experiment.name for expansion in plan.expansions], plan.narrowing)
    ids = [job.run.id for job in plan.all_jobs]
    unfinished = swept.show(ids, study, plan.folder, plan.swept, table=not plan.expansions)
    _tell(plan, unfinished)
    if unfinished:
        sys.exit(1)
    _keep(plan)


def _tell(plan: Plan, unfinished: int) -> None:
    """Send the notice that a sweep has ended (`notify=`)."""
    first, count = plan.jobs[0].run, len(plan.all_jobs)
    text = f"{count - unfinished} of {count} run{'s' * (count != 1)} of the sweep have finished"
    name = first.study.name
    notices.send(first.notify, "ended", name, f"study {name}: {text}; they are in {plan.folder}")


def _keep(plan: Plan) -> None:
    """Remove the stages that a finished sweep is not to keep (`keep=`)."""
    first = plan.jobs[0].run
    # read one after another, and only if something may go
    records = (first.study.record(job.run.id) for job in plan.jobs)
    finished = (record for record in records if record is not None)
    if freed := keeping.keep_only(first.study, finished, first.composed.get("keep", "all")):
        print(freed)


def is_follower(plan: Plan) -> bool:
    """Whether this process is a Slurm task other than rank 0, which alone prints and writes."""
    return any(find_place(job.run.config.trainer.devices).rank > 0 for job in plan.jobs)


def run_follower(plan: Plan, dry_run: bool, launch: Callable[[], list[Any]]) -> None:
    """Take part in pending training led by rank 0; exits with 1 and a message if rank 0 is lost."""
    outcomes = launch() if plan.pending and not dry_run else []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            sys.exit(f"gradprom: {outcome}")
