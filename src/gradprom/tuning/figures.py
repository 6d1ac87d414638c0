"""A tuning's history and the importance of its parameters, as PNG and SVG."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial, TrialState

from gradprom.metrics.registry import Metric
from gradprom.reports.plots.style import BLUE, GREY, VERMILLION, page_style, save

ENOUGH = 8
"""Number of finished trials below which a parameter's importance is chance."""
WIDTH = 3.5
"""Width of a figure, one column of a page, in inches."""


def draw(
    trials: list[FrozenTrial], importance: dict[str, float], metric: Metric, folder: Path
) -> list[Path]:
    """Draw `history`, and `importance` if it is known; returns the PNG files written."""
    drawn = []
    with page_style():
        if any(trial.state == TrialState.COMPLETE for trial in trials):
            title = "Validation score of each trial"
            drawn.append(save(_history(trials, metric), folder, "history", title, title))
        if importance:
            title = "Importance of each parameter"
            drawn.append(save(_importance(importance), folder, "importance", title, title))
    return [picture.png for picture in drawn]


def _history(trials: list[FrozenTrial], metric: Metric) -> Figure:
    figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
    axis = figure.subplots()
    best: list[tuple[int, float]] = []
    better = min if metric.sign < 0 else max
    for trial in trials:
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            best.append((trial.number, better([trial.value, *(value for _, value in best[-1:])])))
    _dots(axis, trials, TrialState.COMPLETE, "finished", BLUE)
    _dots(axis, trials, TrialState.PRUNED, "pruned", "none")
    axis.step(*zip(*best, strict=True), where="post", color=VERMILLION, label="best so far")
    failed = [trial.number for trial in trials if trial.state == TrialState.FAIL]
    if failed:
        # drawn on the axis, because they have no value
        place = axis.get_xaxis_transform()
        marks: Any = {"c": GREY, "label": "failed", "clip_on": False}
        axis.plot(failed, [0] * len(failed), "x", transform=place, **marks)
    axis.set_xlabel("trial")
    axis.set_ylabel(f"{metric.axis} on validation")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper center", ncols=4, columnspacing=1, handletextpad=0.4)
    return figure


def _dots(axis: Axes, trials: list[FrozenTrial], state: TrialState, label: str, face: str) -> None:
    """A dot for each trial's value; for a pruned trial, its last known value."""
    points = [(t.number, t.value) for t in trials if t.state == state and t.value is not None]
    if points:
        x, y = zip(*points, strict=True)
        axis.plot(x, y, "o", ls="", mec=BLUE, mfc=face, label=label)


def _importance(importance: dict[str, float]) -> Figure:
    figure = Figure(figsize=(WIDTH, 0.7 + 0.25 * len(importance)), layout="constrained")
    axis = figure.subplots()
    names = list(importance)[::-1]
    axis.barh(names, [importance[name] for name in names], color=BLUE, height=0.6)
    axis.set_xlabel("share of what sets the best trials apart")
    axis.grid(visible=False, axis="y")
    axis.set_axisbelow(True)
    return figure
