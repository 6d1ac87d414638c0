"""`gradprom figure`: the papers' figures from a study's runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradprom.errors import ConfigError, RunError
from gradprom.experiments.expansion import Expansion, Identity, expanded, require_all_used
from gradprom.experiments.overrides import OverrideList
from gradprom.figures.registry import FIGURES, OF_RUNS, draw, draw_runs, file_name, tables
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import write_text
from gradprom.sweeps import run_ids

if TYPE_CHECKING:
    import torch

    from gradprom.reports.plots.style import Picture


def draw_all(study: Study, names: list[str], overrides: OverrideList) -> list[Path]:
    """Draw figures into `results/<study>/report/figures`, each with its caption as text.

    Without names every figure that has a finished run. Each table is taken as that sweep of the
    study narrowed it of which most runs have finished, narrowed further by the overrides. A table
    that the overrides do not fit, such as one of other noise levels, is left out.

    Parameters
    ----------
    study
        Whose runs are shown.
    names
        Figures, such as `fig4`.
    overrides
        Narrow the figures' tables, or choose among the runs of the figures that have none.

    Returns
    -------
    list
        The PNG files.

    Raises
    ------
    ConfigError
        For an unknown figure.
    RunError
        If none of a named figure's runs has finished, overrides fit none of its tables, or weights
        are missing.
    """
    from gradprom.training.engine import choose_device

    for name in names:
        if name not in FIGURES:
            raise ConfigError(f"figure {name} is unknown; choose from {', '.join(FIGURES)}")
    if overrides:
        of_figures = dict.fromkeys(table for name in names or FIGURES for table in tables(name))
        if of_figures:
            require_all_used([*of_figures], overrides)
    records = {record.id: record for record in study.records()}
    folder, device = study.folder / "report" / "figures", choose_device("auto")
    drawn = []
    for name in names or FIGURES:
        try:
            if name in OF_RUNS:
                runs = list(records.values())
                picture = draw_runs(name, runs, study, folder, device, overrides)
            else:
                picture = _of_tables(name, overrides, records, study, folder, device)
        except RunError as error:
            if names:
                raise
            print(f"skipped  {error}")
            continue
        write_text(folder / f"{file_name(name)}.txt", f"{picture.title}\n{picture.caption}\n")
        print(f"{name}     {picture.png}")
        drawn.append(picture.png)
    return drawn


def _of_tables(
    name: str,
    overrides: OverrideList,
    records: dict[str, Record],
    study: Study,
    folder: Path,
    device: torch.device,
) -> Picture:
    expansions, problems = {}, {}
    for table in tables(name):
        try:
            expansions[table] = _best(study, table, overrides, records)
        except ConfigError as problem:
            problems[table] = str(problem)
    return draw(name, expansions, records, study, folder, device, problems)


def _best(
    study: Study, table: str, overrides: OverrideList, records: dict[str, Record]
) -> Expansion:
    """A table as the sweep with most finished runs narrowed it, and by the overrides.

    Raises
    ------
    ConfigError
        If the overrides do not fit the table.
    """

    def identify(runs: list[OverrideList]) -> list[Identity]:
        return run_ids.identities(runs, study.results)

    best = None
    problem = ConfigError()
    for swept in [*_swept(study, table), []]:
        if best is not None and not swept and best.finished(records):
            break  # ids of the table as it was declared need not be computed
        try:
            [expansion] = expanded([table], _joined(swept, overrides), identify, study)
        except ConfigError as error:  # of the overrides, or of a sweep by an earlier version
            problem = error
            continue
        if best is None or expansion.finished(records) > best.finished(records):
            best = expansion
    if best is None:
        raise problem
    return best


def _joined(swept: OverrideList, overrides: OverrideList) -> OverrideList:
    """The overrides of a sweep and those of the command line, which replace others of their key."""
    keys = {override.split("=")[0] for override in overrides}
    return [*(text for text in swept if text.split("=")[0] not in keys), *overrides]


def _swept(study: Study, table: str) -> list[OverrideList]:
    """The overrides with which the study's sweeps narrowed a table, without repetition."""
    plans = study.plans()
    narrowings = [
        [word for word in plan.asked if not run_ids.is_unhashed(word)]
        for plan in plans
        if table in plan.experiments
    ]
    return [
        narrowing
        for number, narrowing in enumerate(narrowings)
        if narrowing not in narrowings[:number]
    ]
