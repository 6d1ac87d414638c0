"""Live progress of a sweep: run i of n, stage, epoch, loss, metrics, time left.

A thread reads what the runs write into their folders, so that it works with every launcher: runs
in this process, in others, or on a cluster. In a terminal the lines are redrawn; elsewhere plain
lines are printed every `PLAIN` seconds if they have changed.
"""

import threading

from rich.console import Console
from rich.live import Live
from rich.text import Text

from gradprom.metrics.registry import METRICS
from gradprom.runs.run_progress import RunProgress
from gradprom.sweeps.plan import Job, Plan
from gradprom.sweeps.text import duration

REDRAW = 0.5
PLAIN = 10.0
"""Seconds between two updates, in a terminal and elsewhere."""


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
            waits = "starting, or waiting for a stage that another run trains"
            state = waits if any(job.steps.values()) else "scoring its images"
            if (progress := study.progress(run_id)) is not None:
                self.forecast.learn(progress)
                state = progress_line(progress)
            lines.append(f"run {number}/{len(self.jobs)}  {job.run.label}  {state}")
        seconds = self.forecast.left(self.jobs)
        if lines and seconds:
            lines[-1] += f"  {duration(seconds)} left"
        if self.plan.queued:
            lines.append(f"{self.plan.queued} queued")
        return lines


def progress_line(progress: RunProgress) -> str:
    """The progress of a run in one line."""
    row = progress.row
    parts = [f"{progress.stage} {progress.epoch}/{progress.epochs}"]
    losses = [value for key, value in row.items() if key.startswith("loss")]
    parts += [f"loss {value:.4g}" for value in losses[:1]]
    for metric in (logged for logged in METRICS.values() if logged.logged):
        values = [value for key, value in row.items() if metric.logs(key)]
        if values:
            number = metric.brief_text(sum(values) / len(values))
            parts.append(f"{metric.full_title} {number} {metric.unit}".strip())
            if metric.baseline and progress.majority_share is not None:
                trivial = METRICS[metric.baseline]
                share = metric.brief_text(progress.majority_share)
                parts[-1] += f" ({trivial.full_title}: {share})"
    return "  ".join(parts)


class Forecast:
    """Time left, from the remaining steps of each kind of stage and its measured speed."""

    def __init__(self, plan: Plan):
        self.stages, self.at_once = plan.stages, plan.at_once
        self.pace = _known_pace(plan)
        self.at = {stage_id: plan.steps_before(stage_id) for stage_id in plan.begun}

    def learn(self, progress: RunProgress) -> None:
        """Take in the progress and the speed of a stage."""
        name = progress.stage
        self.at[progress.stage_id] = progress.step
        old = self.pace.get(name, progress.seconds_per_step)
        self.pace[name] = 0.8 * old + 0.2 * progress.seconds_per_step

    def left(self, jobs: list[Job]) -> float | None:
        """Seconds of training left; None while the speed of some kind of stage is unknown."""
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
        return total / self.at_once


def _known_pace(plan: Plan) -> dict[str, float]:
    """Seconds per step of each kind of stage, from the records of the plan's finished runs."""
    pace: dict[str, float] = {}
    for job in plan.jobs:
        record = job.run.study.record(job.run.id) if job.state == "done" else None
        for stage in record.stages if record else []:
            if stage.steps:
                pace[stage.name] = stage.seconds / stage.steps
    return pace


def estimate(plan: Plan) -> str:
    """The time a plan will take, estimated from the finished runs of the sweep."""
    seconds = Forecast(plan).left(plan.jobs)
    if not plan.to_train:
        return ""
    if seconds is None:
        return "  time       known once the first run has trained for a while"
    how = "one run after another" if plan.at_once == 1 else f"{plan.at_once} runs at a time"
    return f"  time       about {duration(seconds)}, {how}"
