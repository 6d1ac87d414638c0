"""Figure 2 of regularizing gradients: PSNR over the iterations of the solver."""

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gradprom.figures.examples import Trained, load, tested
from gradprom.figures.selection import Choice
from gradprom.reports.plots.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION
from gradprom.runs.records import Study

COLOURS = (BLACK, ORANGE, BLUE, GREEN, PURPLE, VERMILLION)
SIZE = (4.6, 2.8)
"""Inches."""


def curves(choices: list[Choice], study: Study, device: torch.device) -> tuple[Figure, str]:
    """A line for each prior that has a run: mean PSNR of the test images after each step.

    Returns
    -------
    tuple
        The figure and its caption.
    """
    [choice] = choices
    figure = Figure(figsize=SIZE, layout="constrained")
    axis = figure.subplots()
    runs = []
    for entrant, colour in zip(choice.entrants, COLOURS, strict=False):
        if entrant.record is None:
            runs.append(f"{entrant.title}: {entrant.reason}")
            continue
        trained = load(entrant, study, device)
        scores = over_steps(trained, device)
        axis.plot(scores, color=colour, label=entrant.title)
        runs.append(
            f"{trained.caption}, {scores[0]:.2f} dB at the start, {scores[-1]:.2f} dB at last"
        )
    axis.set(xlabel="iteration", ylabel="PSNR in dB")
    axis.legend()
    return figure, (
        f"Mean PSNR of the test images over the iterations, {choice.column}; estimates as they "
        f"are, not clamped. {'; '.join(runs)}."
    )


def over_steps(trained: Trained, device: torch.device) -> NDArray[np.float64]:
    """Mean PSNR of a prior's test images after each step, [steps + 1]."""
    scores = [trained.method.psnr_by_step(batch) for batch in tested(trained, device)]
    # images of one batch may all have stopped earlier than those of another
    steps = max(len(score) for score in scores)
    kept = [score[[*range(len(score)), *[-1] * (steps - len(score))]] for score in scores]
    mean: NDArray[np.float64] = torch.cat(kept, 1).double().mean(1).cpu().numpy()
    return mean
