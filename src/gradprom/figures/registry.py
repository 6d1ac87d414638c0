"""The figures by name, and how each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

FIGURES = (
    *("fig2", "fig4", "fig5", "fig6", "fig7"),
    *("regularizing_gradients/fig1", "regularizing_gradients/fig2"),
)


def tables(name: str) -> list[str]:
    """The experiments whose runs a figure is drawn from."""
    return list(dict.fromkeys(panel.table for panel in declared()[name].panels))


def draw(
    name: str,
    expansions: dict[str, Expansion],
    records: dict[str, Record],
    study: Study,
    folder: Path,
    device: torch.device,
    problems: Mapping[str, str] = MappingProxyType({}),
) -> Picture:
    """Draw one of `FIGURES`: PNG and SVG in `folder`.

    Parameters
    ----------
    name
        One of `FIGURES`.
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
    from gradprom.figures.grid import page
    from gradprom.reports.plots.style import page_style, save
    from gradprom.training import precision

    choices = choose(name, expansions, records, problems)
    drawings: dict[str, Callable[[], tuple[list[Strip] | Figure, str]]] = {
        "fig2": lambda: saliency.guided_maps(choices, study, device),
        "fig4": lambda: comparison.compare(choices, study, device, count=2),
        "fig5": lambda: saliency.activation_maps(choices, study, device),
        "fig6": lambda: comparison.compare(choices, study, device, count=1),
        "fig7": lambda: undegraded.undegraded(choices, study, device),
        "regularizing_gradients/fig1": lambda: comparison.compare(choices, study, device, count=1),
        "regularizing_gradients/fig2": lambda: iterations.curves(choices, study, device),
    }
    with precision.tf32(False), page_style():  # as in evaluation
        content, caption = drawings[name]()
        figure = page(content) if isinstance(content, list) else content
        return save(figure, folder, file_name(name), declared()[name].title, caption)


def file_name(name: str) -> str:
    """Of a figure's files, without suffix."""
    return name.replace("/", "-")
