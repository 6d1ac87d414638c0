"""A worker that shares the planned runs of a study with other processes, on any machine.

What the sweeps of a study planned lies in its folder (`plan.json`), and a lease by each run says
who trains it. So machines that share a file system share the work, with nothing between them.
"""

from collections.abc import Iterator

from gradprom.errors import ConfigError, GradpromError, NotWritable, first_line
from gradprom.runs.execution import execute
from gradprom.runs.plan_note import PlannedRun
from gradprom.runs.records import Study
from gradprom.runs.run import Run
from gradprom.storage.lease import Applicant
from gradprom.sweeps import queue, run_ids
from gradprom.sweeps.request import make_run, shell_composer

_OPEN = ("new", "interrupted", "lost")
"""States of runs that are waiting to be trained."""


def work(study: Study, places: list[str]) -> tuple[int, int]:
    """Train planned runs, one after another, until no more of them waits.

    The last ones are taken first: the sweep itself begins with the first.

    Parameters
    ----------
    study
        The study.
    places
        Overrides of `run_ids.PLACES` and of `trainer.device`, which no id depends on.

    Returns
    -------
    tuple
        How many runs finished, and how many did not.

    Raises
    ------
    ConfigError
        If an override may change what is trained, or no sweep has planned any run.
    """
    for text in places:
        if not run_ids.is_place(text) and not text.startswith("trainer.device="):
            raise ConfigError(
                f"{text} may change what is trained; the sweep has set it. Allowed are "
                f"{', '.join(f'{key}=' for key in run_ids.PLACES)} and trainer.device="
            )
    composer = shell_composer()
    finished = others = 0
    for planned in _open_runs(study):
        print(f"begun     {planned.id}  {planned.label}", flush=True)
        try:
            overrides = [*planned.overrides, *places]
            node, choices = composer(overrides)
            # not as overrides: Hydra's grammar does not read every path
            node.results, node.study = str(study.results), study.name
            run = _same(make_run(node, choices, overrides), planned)
            record = execute(run, holds_lease=True)
        except NotWritable:
            raise
        except Exception as error:  # its record says so, if it could begin
            print(f"stopped   {planned.id}  {first_line(error)}", flush=True)
            others += 1
            continue
        finished += 1
        scores = record.scores[:2] if record and record.finished else []
        text = ", ".join(f"{name} {record.metrics[name]:.4g}" for name in scores if record)
        print(f"finished  {planned.id}  {text}", flush=True)
    return finished, others


def _open_runs(study: Study) -> Iterator[PlannedRun]:
    """Runs that wait, from the last of the newest plan on, each once and with its lease held."""
    tried: set[str] = set()
    if not study.plans():
        raise ConfigError(
            f"study {study.name} has no plan in {study.folder / 'sweeps'}; a sweep (python run.py "
            f"-m …) plans runs"
        )
    while True:
        jobs = queue.jobs(study)
        planned = {run.id: run for plan in study.plans() for run in plan.runs}
        for run in reversed(planned.values()):
            if run.id in tried or queue.state(study, run.id, jobs) not in _OPEN:
                continue
            lease = Applicant(study.leases(run.id)).try_acquire()
            if lease is None:
                continue
            tried.add(run.id)
            with lease.heartbeat():
                if queue.state(study, run.id, jobs) in _OPEN:  # it may have ended in the meantime
                    yield run
                    break
        else:
            return


def _same(run: Run, planned: PlannedRun) -> Run:
    """The run, if this code means the same by its overrides."""
    if run.id != planned.id:
        raise GradpromError(
            f"the sweep planned {planned.id} ({planned.label}), and this version of the code makes "
            f"{run.id} of its overrides"
        )
    return run
