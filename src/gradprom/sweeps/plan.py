"""What a sweep will do, before it starts: its runs, their stages, and which of them are done."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from gradprom.data.batches import labels_of
from gradprom.experiments import on_the_fly
from gradprom.experiments.expansion import Expansion
from gradprom.identity import digest
from gradprom.runs import data_checks, dataset_changes, provenance
from gradprom.runs.plan_note import PlannedRun, PlanNote
from gradprom.runs.run import Run
from gradprom.storage.files import write_checked
from gradprom.sweeps import queue, run_ids
from gradprom.training import longer
from gradprom.training.stage import Stage
from gradprom.training.store import StageStore


@dataclass
class Job:
    """One run of a sweep, with its state when the plan was made."""

    run: Run
    state: str
    steps: dict[str, int]
    """Steps of each stage of the run, by stage id."""
    on_cluster: bool = False
    """Whether a cluster job has the run: it is queued or running."""


@dataclass
class Plan:
    """The distinct runs of a sweep, in the order they were asked for."""

    jobs: list[Job]
    retry_failed: bool
    stages: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Name and steps of each distinct stage that is not in the store, by id."""
    epochs: dict[str, int] = field(default_factory=dict)
    """Epochs of every stage of a pending job, by id."""
    begun: dict[str, Stage] = field(default_factory=dict)
    """The shorter stage that a stage goes on from (`trainer.extend`), by the stage's id."""
    expansions: list[Expansion] = field(default_factory=list)
    """The experiments whose cells the runs are."""
    narrowing: list[str] = field(default_factory=list)
    """The overrides that narrowed the experiments."""
    swept: Expansion | None = None
    """The experiment that a sweep without a declared one is."""
    overrides: dict[str, list[str]] = field(default_factory=dict)
    """All overrides of each run of a sweep, by its id."""
    notes: list[str] = field(default_factory=list)
    """Remarks on the datasets, such as that only some of the patients are on disk."""
    stops_at_failure: bool = False
    """Whether no further run begins after one has failed."""
    place: str = ""
    """What its runs run on, such as `2 GPUs, 4 runs at a time`."""
    at_once: int = 1
    """Runs that are at work at the same time."""
    queued: int = 0
    """Runs that were queued on the cluster at the last query."""
    classical: list[Job] = field(default_factory=list)
    """Runs of classical filters beside the runs that were asked for."""

    @property
    def all_jobs(self) -> list[Job]:
        """The runs that were asked for, then those of classical filters."""
        return [*self.jobs, *self.classical]

    @property
    def pending(self) -> list[Job]:
        """Jobs to launch: those not done, pruned, failed (unless retried) or on a cluster."""
        return [job for job in self.all_jobs if self.launches(job)]

    @property
    def to_train(self) -> list[Job]:
        """The pending ones of the runs that were asked for."""
        return [job for job in self.jobs if self.launches(job)]

    def launches(self, job: Job) -> bool:
        """Whether a job is pending."""
        settled = {"done", "pruned"} | (set() if self.retry_failed else {"failed"})
        return job.state not in settled and not job.on_cluster

    @property
    def id(self) -> str:
        """An id of the set of runs that were asked for: equal sets have equal ids."""
        return digest(sorted(job.run.id for job in self.jobs))

    @property
    def folder(self) -> Path:
        """The folder of the sweep's plan, table and picture: `results/<study>/sweeps/<id>`."""
        return self.jobs[0].run.study.folder / "sweeps" / self.id

    def steps_before(self, stage_id: str) -> int:
        """Steps of a stage that a shorter one has taken, 0 if it begins by itself."""
        if stage_id not in self.begun:
            return 0
        return self.stages[stage_id][1] * self.begun[stage_id].epochs // self.epochs[stage_id]

    def keep(self) -> None:
        """Write which runs are planned, for `gradprom status` and `gradprom report`."""
        runs = [
            PlannedRun(
                id=run.id,
                label=run.label,
                overrides=[
                    text
                    for text in self.overrides.get(run.id, run.overrides)
                    if not run_ids.is_place(text)
                ],
            )
            for run in (job.run for job in self.all_jobs)
        ]
        names = [expansion.experiment.name for expansion in self.expansions]
        tables = {each.experiment.title: sorted(each.runs) for each in self.expansions}
        note = PlanNote(
            runs=runs,
            tables=tables,
            experiments=names,
            asked=self.narrowing,
            swept=on_the_fly.as_plan(self.swept) if self.swept else None,
        )
        write_checked(self.folder / "plan.json", note.to_json())

    def summary(self) -> str:
        """Counts such as `6 runs: 6 new, 0 done`, with the rarer states if there are any."""
        return f"{len(self.jobs)} run{'s' * (len(self.jobs) != 1)}: {_counts(self.jobs)}"


def make_plan(runs: list[Run], retry_failed: bool, classical: list[Run] | None = None) -> Plan:
    """Look up every distinct run and every stage it needs; decodes datasets that are not cached.

    Parameters
    ----------
    runs
        The runs that were requested.
    retry_failed
        Whether failed runs are trained again.
    classical
        Runs of classical filters beside them.

    Raises
    ------
    DataError
        If a dataset is missing or invalid, or has changed since an unfinished run started.
    NotServed
        If a dataset's files lack what a run is to learn from them.
    """
    plan = Plan([], retry_failed)
    on_cluster_jobs = queue.jobs(runs[0].study)
    for run in {run.id: run for run in runs}.values():
        data_checks.require_test_sets_on_disk(run)
        images = run.images()
        notes = [f"{run.config.dataset.name}: {note}" for note in images.notes]
        plan.notes += [note for note in notes if note not in plan.notes]
        job = _job(run, on_cluster_jobs)
        plan.jobs.append(job)
        if plan.launches(job):
            data_checks.require_usable(run)
        lineage, labels = run.last_stage.lineage(), labels_of(images, "train")
        steps = job.steps = {
            stage.id: stage.epochs * stage.batches.steps_per_epoch(labels) for stage in lineage
        }
        if plan.launches(job):
            store = StageStore(run.study.stages, images.fingerprint)
            if run.config.trainer.extend and not store.has(run.last_stage):
                plan.notes.append(_beginning(plan, run.last_stage, store))
            for stage in _missing(lineage, store):
                plan.stages[stage.id] = (stage.name, steps[stage.id])
            plan.epochs |= {stage.id: stage.epochs for stage in lineage}
    plan.classical = [_job(run, on_cluster_jobs) for run in classical or []]
    if plan.pending and (reason := provenance.why_unknown()):
        plan.notes.append(f"records will have no git revision: {reason}")
    return plan


def _job(run: Run, on_cluster_jobs: queue.Jobs | None) -> Job:
    """A run with its state, after a check that its data are what it began with."""
    state = queue.state(run.study, run.id, on_cluster_jobs, run.fingerprints())
    dataset_changes.require_own_title(run)
    dataset_changes.require_same_data(run, state)
    return Job(run, state, {}, state in ("queued", "running") and run.id in (on_cluster_jobs or {}))


def _beginning(plan: Plan, stage: Stage, store: StageStore) -> str:
    """Note in the plan what a run's last stage goes on from, and say so (`trainer.extend`)."""
    begun_by = longer.find(store, stage)
    if begun_by is None:
        return (
            f"no shorter {stage.name} than {stage.id} has kept its end: all {stage.epochs} epochs "
            f"are trained"
        )
    plan.begun[stage.id] = begun_by
    return f"{stage.name} {stage.id} goes on from {begun_by.id} at epoch {begun_by.epochs}"


def _missing(lineage: list[Stage], store: StageStore) -> list[Stage]:
    """Stages of a lineage still to be trained; ancestors of a stored stage are not needed."""
    needed: list[Stage] = []
    unchecked = [lineage[-1]]
    while unchecked:
        stage = unchecked.pop()
        if not store.has(stage):
            needed.append(stage)
            unchecked.extend(stage.parents)
    return needed


def describe(plan: Plan) -> str:
    """The plan as text: counts, data, networks, sizes, epochs, and what shared stages save."""
    lines = [*tables(plan), plan.summary(), *aspects([job.run for job in plan.jobs])]
    lines += [f"  {'note':<11}{note}" for note in plan.notes]
    if plan.to_train:
        lines.append(f"  {'to train':<11}{_stages(plan)}")
    if plan.classical:
        lines.append(f"  {'beside':<11}{_filters(plan.classical)}")
    if plan.pending and plan.place:
        lines.append(f"  {'on':<11}{plan.place}")
    return "\n".join(lines)


def _counts(jobs: list[Job]) -> str:
    """Such as `6 new, 0 done`, with the rarer states if there are any."""
    counts = Counter(job.state for job in jobs)
    parts = [f"{counts.pop('new', 0)} new", f"{counts.pop('done', 0)} done"]
    return ", ".join([*parts, *(f"{count} {state}" for state, count in sorted(counts.items()))])


def _filters(jobs: list[Job]) -> str:
    """Which classical filters run on how many images, and how many of their runs are done."""
    runs = [job.run for job in jobs]
    names = dict.fromkeys(run.composed["method"]["filter"] for run in runs)
    images = dict.fromkeys(
        f"{len(run.images().splits[run.split])} images of {run.dataset_label}" for run in runs
    )
    return f"classical {', '.join(names)} on {'; '.join(images)}: {_counts(jobs)}"


def aspects(runs: list[Run]) -> list[str]:
    """Data, networks and sizes of runs as their methods describe them, each value once."""
    values: dict[str, dict[str, None]] = {}
    for run in runs:
        for title, text in run.setup.items():
            values.setdefault(title, {})[text] = None
    return [f"  {title:<11}{'; '.join(texts)}" for title, texts in values.items()]


def tables(plan: Plan) -> list[str]:
    """A line for each experiment, and one for each reason why some of its cells are left out."""
    lines = []
    for expansion in plan.expansions:
        name, cells = expansion.experiment.title, expansion.cells
        available = [cell for cell in cells if cell.runs]
        lines.append(
            f"{name}: {len(available)} of {len(cells)} cells, {len(expansion.runs)} distinct runs"
        )
        problems: dict[str, dict[str, None]] = {}
        for cell in cells:
            if cell.problem:
                problem = "wait for their methods" if cell.row.waits_for else cell.problem
                problems.setdefault(problem, {})[f"{cell.row.group} {cell.row.title}".strip()] = (
                    None
                )
        for problem, rows in problems.items():
            lines.append(f"  left out   {', '.join(rows)}: {problem}")
    return lines


def _stages(plan: Plan) -> str:
    counts = Counter(name for name, _ in plan.stages.values())
    names = ", ".join(f"{count} × {name}" for name, count in counts.items())
    shared = sum(
        steps - plan.steps_before(stage_id) for stage_id, (_, steps) in plan.stages.items()
    )
    before = sum(stage.epochs for stage in plan.begun.values())
    epochs = sum(plan.epochs[stage_id] for stage_id in plan.stages) - before
    separate = sum(sum(job.steps.values()) for job in plan.to_train)
    separate_epochs = sum(plan.epochs[stage_id] for job in plan.to_train for stage_id in job.steps)
    saving = (
        f" ({1 - shared / separate:.0%} fewer than each run alone)" if shared < separate else ""
    )
    if shared < separate:
        saving += f", {epochs} epochs instead of {separate_epochs}"
    return f"{names or 'nothing, only evaluation'}: {shared} steps{saving}"
