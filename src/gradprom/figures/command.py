"""`gradprom figure`: the paper's figures from a study's runs."""

from pathlib import Path

from gradprom.errors import ConfigError, RunError
from gradprom.experiments.expansion import Expansion, Identity, expanded, require_all_used
from gradprom.experiments.overrides import OverrideList
from gradprom.figures.registry import FIGURES, draw, tables
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import write_text
from gradprom.sweeps import run_ids


def draw_all(study: Study, names: list[str], overrides: OverrideList) -> list[Path]:
    """Draw figures into `results/<study>/report/figures`, each with its caption as text.

    Without names every figure that has a finished run. Without overrides each table is taken as
    that sweep of the study narrowed it of which most runs have finished.

    Parameters
    ----------
    study
        Whose runs are shown.
    names
        Figures, such as `fig4`.
    overrides
        Narrow the figures' tables.

    Returns
    -------
    list
        The PNG files.

    Raises
    ------
    ConfigError
        For an unknown figure, or overrides that do not fit its tables.
    RunError
        If none of a named figure's runs has finished, or weights are missing.
    """
    from gradprom.training.engine import choose_device

    for name in names:
        if name not in FIGURES:
            raise ConfigError(f"figure {name} is unknown; choose from {', '.join(FIGURES)}")
    if overrides:
        of_figures = (table for name in names or FIGURES for table in tables(name))
        require_all_used(list(dict.fromkeys(of_figures)), overrides)
    records = {record.id: record for record in study.records()}
    folder, device = study.folder / "report" / "figures", choose_device("auto")
    drawn = []
    for name in names or FIGURES:
        expansions = {t: _best(study, t, overrides, records) for t in tables(name)}
        try:
            picture = draw(name, expansions, records, study, folder, device)
        except RunError as error:
            if names:
                raise
            print(f"skipped  {error}")
            continue
        write_text(folder / f"{name}.txt", f"{picture.title}\n{picture.caption}\n")
        print(f"{name}     {picture.png}")
        drawn.append(picture.png)
    return drawn


def _best(
    study: Study, table: str, overrides: OverrideList, records: dict[str, Record]
) -> Expansion:
    """A table narrowed by the overrides or, without any, by the sweep with most finished runs."""

    def identify(runs: list[OverrideList]) -> list[Identity]:
        return run_ids.identities(runs, study.results)

    narrowings = [overrides] if overrides else [*_swept(study, table), []]
    expansions = [
        expansion
        for narrowing in narrowings
        for expansion in expanded([table], narrowing, identify, study)
    ]
    return max(expansions, key=lambda expansion: expansion.finished(records))


def _swept(study: Study, table: str) -> list[OverrideList]:
    """The overrides with which the study's sweeps narrowed a table, without repetition."""
    plans = study.plans()
    narrowings = [plan.asked for plan in plans if table in plan.experiments]
    return [
        narrowing
        for number, narrowing in enumerate(narrowings)
        if narrowing not in narrowings[:number]
    ]
