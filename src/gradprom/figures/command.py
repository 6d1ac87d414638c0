"""`gradprom figure`: the paper's figures from a study's runs."""

from __future__ import annotations

from pathlib import Path

from gradprom.errors import ConfigError, RunError
from gradprom.experiments.expansion import Expansion, Identity, expanded
from gradprom.experiments.overrides import OverrideList
from gradprom.figures.registry import FIGURES, draw, tables
from gradprom.figures.selection import Record
from gradprom.runs.records import Study
from gradprom.storage.files import write_text
from gradprom.sweeps import run_ids


def draw_all(study: Study, names: list[str], words: OverrideList) -> list[Path]:
    """Draw figures into `results/<study>/report/figures`, each with its caption as text.

    Without names every figure of which a run has finished. Without words each table is taken as
    the study's sweeps narrowed it, where most of its runs have finished.

    Raises
    ------
    ConfigError
        For a figure that there is not, or words that do not fit its tables.
    RunError
        If none of a named figure's runs has finished, or weights are gone.
    """
    from gradprom.training.engine import choose_device

    for name in names:
        if name not in FIGURES:
            raise ConfigError(f"figure {name} is unknown; choose from {', '.join(FIGURES)}")
    records = {record["id"]: record for record in study.records()}
    folder, device = study.folder / "report" / "figures", choose_device("auto")
    drawn = []
    for name in names or FIGURES:
        expansions = {t: _best(study, t, words, records) for t in tables(name)}
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


def _best(study: Study, table: str, words: OverrideList, records: dict[str, Record]) -> Expansion:
    """A table as it is asked for; where words leave it open, with the most finished runs."""

    def identify(asked: list[OverrideList]) -> list[Identity]:
        return run_ids.identities(asked, study.results)

    asked = [words] if words else [*_swept(study, table), []]
    found = [one for each in asked for one in expanded([table], each, identify, study)]
    return max(found, key=lambda expansion: expansion.finished(records))


def _swept(study: Study, table: str) -> list[OverrideList]:
    """The words with which sweeps of the study asked for a table, without repetition."""
    plans = study.plans()
    words = [plan.get("asked", []) for plan in plans if table in plan.get("experiments", [])]
    return [one for number, one in enumerate(words) if one not in words[:number]]
