"""ROC curves of the task network: on what each method restored, on degraded and on clean images."""

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gradprom.data.loader import Batch
from gradprom.errors import RunError
from gradprom.figures.examples import Trained, load, run_caption, tested
from gradprom.figures.selection import Choice
from gradprom.methods import recognition
from gradprom.metrics import roc
from gradprom.metrics.registry import METRICS, Table
from gradprom.reports.compare import image_scores
from gradprom.reports.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION
from gradprom.runs import evaluation
from gradprom.runs.records import Study
from gradprom.tasks import task_by_name

KINDS: dict[str, tuple[str, Callable[[Table], roc.Curve | None]]] = {
    "probability_0": ("roc_auc", roc.of_classes),
    "embedding_0": ("auc", roc.of_pairs),
}
"""By the column that a task's scores have: the metric of the area, and the curve."""
_POSITIVES = {
    "probability_0": "of the second class where there are two, else the mean over classes of each "
    "against all others",
    "embedding_0": "over all pairs of test images: whether the two are of one identity",
}
"""What the curves are of."""
SIDE = 3.6
"""Inches."""
_COLORS = (BLUE, ORANGE, VERMILLION, PURPLE, GREEN)
_SHOWN: dict[str, Callable[[Batch], Tensor]] = {
    "degraded": recognition.recognizer_input,
    "clean": lambda batch: batch.target,
}


def curves(choice: Choice, study: Study, device: torch.device) -> tuple[Figure, str]:
    """One curve a method, from its scores; those of degraded and clean images, by its weights.

    Raises
    ------
    RunError
        If the task is none of whole images, or the weights for degraded and clean images are
        missing.
    """
    tables = {e.title: _scores(study, e.record.id) for e in choice.finished if e.record}
    kind = next((k for k in KINDS if all(k in table for table in tables.values())), "")
    if not kind:
        raise RunError(
            "task_gan/roc needs runs with a task of whole images, such as auxiliary=diagnosis, and "
            f"the runs of these words have auxiliary={_tasks(choice)}"
        )
    reference = load(choice.finished[0], study, device)
    tables |= {name: _of_network(reference, shown, device) for name, shown in _SHOWN.items()}
    figure = Figure(figsize=(SIDE, SIDE), layout="constrained")
    _draw(figure.add_subplot(), tables, kind)
    return figure, _caption(choice, reference, kind)


def _tasks(choice: Choice) -> str:
    [record, *_] = [entrant.record for entrant in choice.finished if entrant.record]
    return ",".join(record.config["auxiliary"]["tasks"]) or "none"


def _scores(study: Study, run: str) -> Table:
    """What a run scored on each test image, a column each."""
    return {str(name): values.to_numpy() for name, values in image_scores(study, run).items()}


def _of_network(trained: Trained, shown: Callable[[Batch], Tensor], device: torch.device) -> Table:
    """The columns that the run's task network has on other images than the restored ones."""
    [task] = trained.run.config.auxiliary.tasks
    parts = [_columns(trained, task, shown, batch) for batch in tested(trained, device)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@torch.no_grad()
def _columns(
    trained: Trained, task: str, shown: Callable[[Batch], Tensor], batch: Batch
) -> dict[str, np.ndarray]:
    learned, network = task_by_name(task), trained.method.networks[task]
    output = learned.scored(network, shown(batch))
    columns = learned.scores(output, batch)
    if learned.output == "image":
        columns["probability"] = output.softmax(1)
    return {
        key: np.asarray(column)
        for name, values in columns.items()
        for key, column in evaluation.numbered_columns(name, values).items()
    }


def _draw(axis: Axes, tables: dict[str, Table], kind: str) -> None:
    metric, of_table = KINDS[kind]
    axis.plot([0, 1], [0, 1], color=GREY, lw=0.6, ls=":")
    colors = iter(_COLORS)
    for title, table in tables.items():
        points = of_table(table)
        area = METRICS[metric].score(table, np.ones(len(table[kind])))
        style = {"clean": (BLACK, "--"), "degraded": (GREY, "--")}
        color, line = style.get(title) or (next(colors, BLACK), "-")
        if points is not None:
            label = f"{title}, AUC {METRICS[metric].number(float(area))}"
            axis.plot(*points, color=color, ls=line, label=label)
    axis.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axis.legend(loc="lower right")


def _caption(choice: Choice, reference: Trained, kind: str) -> str:
    runs = "; ".join(run_caption(e.title, e.record) for e in choice.finished if e.record)
    return (
        f"ROC curves of the task network on {reference.run.config.dataset.name}, {choice.column}, "
        f"{_POSITIVES[kind]}. {runs}. Each is that of the method's own network on what it "
        f"restored; on degraded and clean images it is the network of {reference.title}."
    )
