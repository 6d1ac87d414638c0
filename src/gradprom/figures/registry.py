"""The figures by name, and how each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from gradprom.figures.selection import choose, declared

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from gradprom.experiments.expansion import Expansion
    from gradprom.figures.grid import Strip
    from gradprom.reports.plots.style import Picture
    from gradprom.runs.record import Record
    from gradprom.runs.records import Study

    Drawing = Callable[[], tuple[list[Strip] | Figure, str]]
    """Draws rows of images, or a figure, and says in a caption what they show."""

OF_TABLES = (
    *("fig2", "fig4", "fig5", "fig6", "fig7"),
    *("regularizing_gradients/fig1", "regularizing_gradients/fig2"),
)
"""The first paper's and those of regularizing gradients, from the runs of their tables."""
OF_RUNS = {
    "task_gan/images": "Restored by pixels, GAN and Task-GAN",
    "task_gan/roc": "ROC curves of the task network",
    "task_gan/labels": "Labels that restoration has changed",
}
"""Titles of Task-GAN's, from its runs whatever sweep they are of."""
FIGURES = (*OF_TABLES, *OF_RUNS)


def tables(name: str) -> list[str]:
    """The experiments whose runs a figure is drawn from; none for those of `OF_RUNS`."""
    if name in OF_RUNS:
        return []
    return list(dict.fromkeys(t for panel in declared()[name].panels for t in panel.tables))


def draw(
    name: str,
    expansions: dict[str, Expansion],
    records: dict[str, Record],
    study: Study,
    folder: Path,
    device: torch.device,
    problems: Mapping[str, str] = MappingProxyType({}),
) -> Picture:
    """Draw one of `OF_TABLES`: PNG and SVG in `folder`.

    Parameters
    ----------
    name
        One of `OF_TABLES`.
    expansions
        By experiment, those of `tables(name)`; a missing one counts as not run.
    records
        By run id.
    study
        Whose weights are loaded; its runs' datasets are read.
    folder
        The folder of the files.
    device
        Where the networks run.
    problems
        By experiment, why the overrides of the command line do not fit it.

    Raises
    ------
    RunError
        If none of the figure's runs has finished, or the weights of one are missing.
    """
    from gradprom.figures import comparison, iterations, saliency, undegraded

    choices = choose(name, expansions, records, problems)
    drawings: dict[str, Drawing] = {
        "fig2": lambda: saliency.guided_maps(choices, study, device),
        "fig4": lambda: comparison.compare(choices, study, device, count=2),
        "fig5": lambda: saliency.activation_maps(choices, study, device),
        "fig6": lambda: comparison.compare(choices, study, device, count=1),
        "fig7": lambda: undegraded.undegraded(choices, study, device),
        "regularizing_gradients/fig1": lambda: comparison.compare(choices, study, device, count=1),
        "regularizing_gradients/fig2": lambda: iterations.curves(choices, study, device),
    }
    return _saved(name, declared()[name].title, drawings[name], folder)


def draw_runs(
    name: str,
    records: Sequence[Record],
    study: Study,
    folder: Path,
    device: torch.device,
    words: list[str],
) -> Picture:
    """Draw one of `OF_RUNS`: PNG and SVG in `folder`.

    Parameters
    ----------
    name
        One of `OF_RUNS`.
    records
        Of the study.
    study, folder, device
        As for `draw`.
    words
        `key=value` that choose among the runs.

    Raises
    ------
    RunError
        If no run has finished or fits the words, or the runs lack what the figure shows.
    """
    from gradprom.figures import adversarial, changed_labels, comparison, roc

    choice = adversarial.choose(records, study, words)
    drawings: dict[str, Drawing] = {
        "task_gan/images": lambda: comparison.compare([choice], study, device, count=2),
        "task_gan/roc": lambda: roc.curves(choice, study, device),
        "task_gan/labels": lambda: changed_labels.worst(choice, study, device),
    }
    return _saved(name, OF_RUNS[name], drawings[name], folder)


def _saved(name: str, title: str, drawing: Drawing, folder: Path) -> Picture:
    from gradprom.figures.grid import page
    from gradprom.reports.plots.style import page_style, save
    from gradprom.training import precision

    with precision.tf32(False), page_style():  # as in evaluation
        content, caption = drawing()
        figure = page(content) if isinstance(content, list) else content
        return save(figure, folder, file_name(name), title, caption)


def file_name(name: str) -> str:
    """Of a figure's files, without suffix."""
    return name.replace("/", "-")
