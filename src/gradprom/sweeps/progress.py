"""Live progress of a sweep: run i of n, stage, epoch, loss, metrics, time left.

A thread reads what the runs leave in their folders, so that it serves every launcher: runs in
this process, beside it, or on a cluster. In a terminal the lines are redrawn; elsewhere a plain
line is printed now and then.
"""

import threading

from rich.console import Console
from rich.live import Live
from rich.text import Text

from gradprom.metrics.registry import METRICS
from gradprom.runs.run_progress import RunProgress
from gradprom.sweeps.duration import duration
from gradprom.sweeps.plan import Job, Plan

REDRAW = 0.5
PLAIN = 10.0
"""Seconds between two looks, in a terminal and elsewhere."""


class Display:
    """Shows progress while its `with` block runs."""

    def __init__(self, plan: Plan, console: Console):
        self.plan = plan
        self.jobs = plan.pending
        self.console = console
        self.forecast = Forecast(plan)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Display":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        if not self.console.is_terminal:
            shown: list[str] = []
            while not self._stop.wait(PLAIN if shown else REDRAW):
                lines = self._running()
                if lines and lines != shown:
                    shown = lines
                    self.console.print(Text("\n".join(lines)), soft_wrap=True)
            return
        with Live(console=self.console, refresh_per_second=4, transient=True) as live:
            while not self._stop.wait(REDRAW):
                live.update(Text("\n".join(self._running()), overflow="fold"))

    def _running(self) -> list[str]:
        lines = []
        for number, job in enumerate(self.jobs, start=1):
            study, run_id = job.run.study, job.run.id
            if study.state(run_id) != "running":
                continue
            told = "starts, or waits for a stage that another run trains"
            if (progress := study.progress(run_id)) is not None:
                self.forecast.learn(progress)
                told = tell(progress)
            lines.append(f"run {number}/{len(self.jobs)}  {job.run.label}  {told}")
        left = self.forecast.left(self.jobs)
        if lines and left is not None:
            lines[-1] += f"  {duration(left)} left"
        if self.plan.queued:
            lines.append(f"{self.plan.queued} queued")
        return lines


def tell(progress: RunProgress) -> str:
    """Where a run stands, in one line."""
    row = progress.row
    told = [f"{progress.stage} {progress.epoch}/{progress.epochs}"]
    losses = [value for key, value in row.items() if key.startswith("loss")]
    told += [f"loss {value:.4g}" for value in losses[:1]]
    for metric in (one for one in METRICS.values() if one.logged):
        values = [value for key, value in row.items() if metric.logs(key)]
        if values:
            number = metric.brief.format(sum(values) / len(values))
            told.append(f"{metric.full_title} {number} {metric.unit}".strip())
    return "  ".join(told)


class Forecast:
    """Time left, from the steps left of each kind of stage and the pace that was seen of it."""

    def __init__(self, plan: Plan):
        self.stages = plan.stages
        self.pace = _known_pace(plan)
        self.at: dict[str, int] = {}

    def learn(self, progress: RunProgress) -> None:
        """Take in how far a stage is and how fast it goes."""
        name = progress.stage
        self.at[progress.stage_id] = progress.step
        old = self.pace.get(name, progress.seconds_per_step)
        self.pace[name] = 0.8 * old + 0.2 * progress.seconds_per_step

    def left(self, jobs: list[Job]) -> float | None:
        """Seconds of training left, or None while some kind of stage has not been seen yet."""
        done = {
            stage_id
            for job in jobs
            if job.run.study.state(job.run.id) == "done"
            for stage_id in job.steps
        }
        total = 0.0
        for stage_id, (name, steps) in self.stages.items():
            if stage_id in done:
                continue
            if name not in self.pace:
                return None
            total += self.pace[name] * max(steps - self.at.get(stage_id, 0), 0)
        return total


def _known_pace(plan: Plan) -> dict[str, float]:
    """Seconds a step of each kind of stage, from records of the very same networks and sizes."""
    pace: dict[str, float] = {}
    for job in plan.jobs:
        record = job.run.study.record(job.run.id) if job.state == "done" else None
        for stage in record.stages if record else []:
            if stage.steps:
                pace[stage.name] = stage.seconds / stage.steps
    return pace


def estimate(plan: Plan) -> str:
    """The time a plan will take, as far as finished runs of the sweep tell."""
    left = Forecast(plan).left(plan.jobs)
    if not plan.pending:
        return ""
    if left is None:
        return "  time       told once the first run has shown its speed"
    return f"  time       about {duration(left)}, one run after another"
