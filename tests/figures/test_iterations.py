"""Curves of priors over the iterations of their solvers are those of their evaluation."""

from pathlib import Path

import pytest
import torch
from support import tiny_runs

from gradprom.figures import iterations, selection
from gradprom.figures.examples import load
from gradprom.figures.selection import Choice, Entrant, Panel

CPU = torch.device("cpu")
WORDS = (
    *("dataset.size=32", "dataset.train=16", "dataset.test=8", "trainer.device=cpu"),
    *("degradation=completion", "degradation.drop=0.5", "method.network.channels=4"),
    *("method.gauss.epochs=1", "method.pnpreg.epochs=1", "method.solver.level=0.01"),
)


def test_a_curve_ends_at_the_score_of_the_record(tmp_path: Path) -> None:
    steps = {"gauss": 3, "pnpreg": 6}
    records = [
        tiny_runs.train(tmp_path, *WORDS, f"method={name}", f"method.solver.iterations={count}")
        for name, count in steps.items()
    ]
    study = tiny_runs.local(tmp_path)
    entrants = [Entrant(name, record) for name, record in zip(steps, records, strict=True)]
    for entrant, record, count in zip(entrants, records, steps.values(), strict=True):
        scores = iterations.over_steps(load(entrant, study, CPU), CPU)
        assert len(scores) == count + 1
        assert scores[-1] == pytest.approx(record.metrics["psnr"], abs=1e-3)
        assert scores[0] != scores[-1]
    panel = Panel("figure2", ("Completion",), ())
    choice = Choice(panel, "Completion", (*entrants, Entrant("RERG", None)))
    figure, caption = iterations.curves([choice], study, CPU)
    [axis] = figure.axes
    assert [len(line.get_xdata()) for line in axis.lines] == [4, 7]
    assert f"gauss: run {records[0].id}" in caption and "RERG: not run" in caption


def test_every_paper_has_its_figures() -> None:
    declared = selection.declared()
    assert {"fig4", "regularizing_gradients/fig1", "regularizing_gradients/fig2"} <= {*declared}
