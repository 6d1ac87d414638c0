"""What a sweep will do, before it does anything: its runs, their stages, what is there already."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from gradprom.data.batches import labels_of
from gradprom.experiments import on_the_fly
from gradprom.experiments.expansion import Expansion
from gradprom.identity import digest
from gradprom.runs import dataset_changes
from gradprom.runs.plan_note import PlannedRun, PlanNote
from gradprom.runs.run import Run
from gradprom.storage.files import write_checked
from gradprom.sweeps import queue
from gradprom.training.stage import Stage
from gradprom.training.store import StageStore


@dataclass
class Job:
    """One run of a sweep and where it stood when the plan was made."""

    run: Run
    state: str
    steps: dict[str, int]
    """Steps of each stage it is made of, by stage id."""
    on_cluster: bool = False
    """Whether a job of a cluster has it: it waits there, or is at work."""


@dataclass
class Plan:
    """The distinct runs of a sweep, in the order they were asked for."""

    jobs: list[Job]
    retry_failed: bool
    stages: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Name and steps of each distinct stage that is not in the store, by id."""
    epochs: dict[str, int] = field(default_factory=dict)
    """Epochs of every stage of a pending job, by id."""
    expansions: list[Expansion] = field(default_factory=list)
    """The experiments whose cells the runs are."""
    asked: list[str] = field(default_factory=list)
    """The words that narrowed them."""
    swept: Expansion | None = None
    """The experiment that a sweep without a declared one is."""
    notes: list[str] = field(default_factory=list)
    """What a person should know of the datasets, such as that few patients are on disk."""
    queued: int = 0
    """Runs that wait on a cluster, when it was last asked."""

    @property
    def pending(self) -> list[Job]:
        """Jobs to launch: none that is done, given up, failed for good, or in a cluster's hands."""
        return [job for job in self.jobs if self.launches(job)]

    def launches(self, job: Job) -> bool:
        """Whether a job is pending."""
        settled = {"done", "pruned"} | (set() if self.retry_failed else {"failed"})
        return job.state not in settled and not job.on_cluster

    @property
    def id(self) -> str:
        """The same for the same set of runs, whenever it is asked for."""
        return digest(sorted(job.run.id for job in self.jobs))

    @property
    def folder(self) -> Path:
        """Where the sweep's plan, table and picture are: `results/<study>/sweeps/<id>`."""
        return self.jobs[0].run.study.folder / "sweeps" / self.id

    def keep(self) -> None:
        """Note which runs are expected, for `gradprom status` and `gradprom report`."""
        runs = [PlannedRun(id=job.run.id, label=job.run.label) for job in self.jobs]
        names = [expansion.experiment.name for expansion in self.expansions]
        tables = {each.experiment.title: sorted(each.runs) for each in self.expansions}
        note = PlanNote(
            runs=runs,
            tables=tables,
            experiments=names,
            asked=self.asked,
            swept=on_the_fly.as_plan(self.swept) if self.swept else None,
        )
        write_checked(self.folder / "plan.json", note.to_json())

    def summary(self) -> str:
        """Such as `6 runs: 6 new, 0 done`, with the rarer states where there are any."""
        counts = Counter(job.state for job in self.jobs)
        told = [f"{counts.pop('new', 0)} new", f"{counts.pop('done', 0)} done"]
        told += [f"{count} {state}" for state, count in sorted(counts.items())]
        return f"{len(self.jobs)} run{'s' * (len(self.jobs) != 1)}: {', '.join(told)}"


def make(runs: list[Run], retry_failed: bool) -> Plan:
    """Look up every distinct run and every stage it needs; decodes datasets that are not cached.

    Raises
    ------
    DataError
        If a dataset is not there, not as it should be, or not as it was when a run began that
        is to be taken up again.
    """
    plan = Plan([], retry_failed)
    found = queue.jobs(runs[0].study)
    for run in {run.id: run for run in runs}.values():
        images, fingerprints = run.images(), run.fingerprints()
        told = [f"{run.config.dataset.name}: {note}" for note in images.notes]
        plan.notes += [note for note in told if note not in plan.notes]
        lineage, labels = run.method.stage().lineage(), labels_of(images, "train")
        steps = {
            stage.id: stage.epochs * stage.batches.steps_per_epoch(labels) for stage in lineage
        }
        state = queue.state(run.study, run.id, found, fingerprints)
        on_cluster = state in ("queued", "running") and run.id in (found or {})
        job = Job(run, state, steps, on_cluster)
        dataset_changes.require_same_data(run, state)
        plan.jobs.append(job)
        if plan.launches(job):
            store = StageStore(run.study.stages, images.fingerprint)
            for stage in _missing(lineage, store):
                plan.stages[stage.id] = (stage.name, steps[stage.id])
            plan.epochs |= {stage.id: stage.epochs for stage in lineage}
    return plan


def _missing(lineage: list[Stage], store: StageStore) -> list[Stage]:
    """Stages of a lineage still to be trained: none of the ancestors of one that is there."""
    needed: list[Stage] = []
    wanted = [lineage[-1]]
    while wanted:
        stage = wanted.pop()
        if not store.has(stage):
            needed.append(stage)
            wanted.extend(stage.parents)
    return needed


def describe(plan: Plan) -> str:
    """The plan as a person reads it: counts, data, networks, sizes, epochs, what sharing saves."""
    lines = [*tables(plan), plan.summary(), *aspects([job.run for job in plan.jobs])]
    lines += [f"  {'note':<11}{note}" for note in plan.notes]
    if plan.pending:
        lines.append(f"  {'to train':<11}{_stages(plan)}")
    return "\n".join(lines)


def aspects(runs: list[Run]) -> list[str]:
    """Data, networks and sizes of some runs as their methods describe them, each value once."""
    values: dict[str, dict[str, None]] = {}
    for run in runs:
        for title, text in {"dataset": run.dataset_label, **run.method.describe().parts}.items():
            values.setdefault(title, {})[text] = None
    return [f"  {title:<11}{'; '.join(texts)}" for title, texts in values.items()]


def tables(plan: Plan) -> list[str]:
    """A line for each experiment, and one for each reason why cells of it are left out."""
    lines = []
    for expansion in plan.expansions:
        name, cells = expansion.experiment.title, expansion.cells
        there = [cell for cell in cells if cell.runs]
        lines.append(
            f"{name}: {len(there)} of {len(cells)} cells, {len(expansion.runs)} distinct runs"
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
    told = ", ".join(f"{count} × {name}" for name, count in counts.items())
    shared = sum(steps for _, steps in plan.stages.values())
    epochs = sum(plan.epochs[stage_id] for stage_id in plan.stages)
    alone = sum(sum(job.steps.values()) for job in plan.pending)
    epochs_alone = sum(plan.epochs[stage_id] for job in plan.pending for stage_id in job.steps)
    saved = f" ({1 - shared / alone:.0%} fewer than each run alone)" if shared < alone else ""
    if shared < alone:
        saved += f", {epochs} epochs instead of {epochs_alone}"
    return f"{told or 'nothing, only evaluation'}: {shared} steps{saved}"
