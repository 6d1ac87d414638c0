"""The report of a study: the declared tables rebuilt from its records, claims, figures, one page.

results/<study>/report/index.html   everything, to look at
                       <table>.csv .md .tex, tables.tex
                       verdicts.md verdicts.csv
                       figures/
                       table.md table.csv picture.png   runs that belong to no table
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from gradprom.errors import RunError
from gradprom.experiments import declared
from gradprom.experiments.expansion import Expansion, Identity, expanded
from gradprom.experiments.overrides import OverrideList
from gradprom.reports.claims import verdicts
from gradprom.reports.page import page
from gradprom.reports.plots import curves
from gradprom.reports.plots.style import Picture
from gradprom.reports.sweep_table import summary
from gradprom.reports.tables import latex, text
from gradprom.reports.tables.table import Rebuilt, rebuild
from gradprom.runs.records import Study
from gradprom.storage.files import require_writable, write_text
from gradprom.sweeps import run_ids


@dataclass
class Wanted:
    """Experiments and the overrides that narrow them."""

    names: list[str]
    narrowing: OverrideList


def report(study: Study, names: list[str], narrowing: OverrideList) -> None:
    """Rebuild tables from a study's records and write them down in every form.

    Without overrides each table is reported as the study's sweeps asked for it, one that none
    asked for as it is declared; without names those of every paper's `all.yaml`.

    Raises
    ------
    ConfigError
        For an experiment that there is not, or overrides that do not fit it.
    RunError
        If nothing was asked for and the study has no records.
    """
    loaded, problems = study.load()
    if not loaded and not names:
        raise RunError(f"study {study.name} has no records in {study.folder / 'runs'}")
    records = {record["id"]: record for record in loaded}
    wanted = _wanted(study, names, narrowing)
    require_writable(study.folder / "report")  # before the work
    expansions, rebuilt = _rebuild(study, records, wanted)
    folder = study.folder / "report"
    shown = set().union(*(expansion.runs for expansion in expansions))
    other = [] if names else [record for record in loaded if record["id"] not in shown]
    _print(rebuilt)
    if other:
        summary.show_table(other, study, folder)
    judged = verdicts.judge(verdicts.read_claims(), _fullest(expansions, records), records, study)
    _write(folder, rebuilt, judged)
    pictures = curves.draw(rebuilt, records, study, folder / "figures")
    pictures += _drawn_before(folder / "figures")
    page.write_page(folder / "index.html", rebuilt, records, study, judged, pictures, problems)
    for problem in problems:
        print(f"skipped  {problem}")
    print(f"report   {folder / 'index.html'}")


def _wanted(study: Study, names: list[str], narrowing: OverrideList) -> list[Wanted]:
    """What to report: as it is asked for, else as the study's sweeps were, else as declared."""
    experiments = [x for name in names for x in declared.read(name)] or declared.default()
    wanted = [experiment.name for experiment in experiments]
    if narrowing:
        return [Wanted(wanted, narrowing)]
    swept: list[Wanted] = []
    for plan in study.plans():
        planned = [n for n in plan.get("experiments", []) if n in wanted or not names]
        sweep = Wanted(planned, plan.get("asked", []))
        if planned and sweep not in swept:
            swept.append(sweep)
    in_sweeps = {name for sweep in swept for name in sweep.names}
    return [*swept, Wanted([name for name in wanted if name not in in_sweeps], [])]


def _rebuild(
    study: Study, records: dict[str, Any], wanted: list[Wanted]
) -> tuple[list[Expansion], list[Rebuilt]]:
    def identify(runs: list[OverrideList]) -> list[Identity]:
        return run_ids.identities(runs, study.results)

    identify(_all_runs(study, wanted))  # at once, for each question that is new costs seconds
    expansions, rebuilt = [], []
    for one in wanted:
        for expansion in expanded(one.names, one.narrowing, identify, study):
            [whole] = declared.read(expansion.experiment.name)
            expansions.append(expansion)
            rebuilt.append(rebuild(expansion, records, one.narrowing, whole))
    return expansions, rebuilt


def _fullest(expansions: list[Expansion], records: dict[str, Any]) -> dict[str, Expansion]:
    """One expansion of each experiment for the claims: the one with the most finished runs."""
    # of equals the first stays: sorting keeps their order
    ordered = sorted(reversed(expansions), key=lambda expansion: expansion.finished(records))
    return {expansion.experiment.name: expansion for expansion in ordered}


def _all_runs(study: Study, wanted: list[Wanted]) -> list[OverrideList]:
    """The overrides of every run of some tables, before any of their ids is known."""
    collected: list[OverrideList] = []

    def collect(runs: list[OverrideList]) -> list[Identity]:
        collected.extend(runs)
        return [Identity("not known yet")] * len(runs)

    for one in wanted:
        expanded(one.names, one.narrowing, collect, study)
    return collected


def _drawn_before(folder: Path) -> list[Picture]:
    """The figures that `gradprom figure` has left there."""
    pictures = []
    for note in sorted(folder.glob("fig*.txt")):
        title, _, caption = note.read_text().partition("\n")
        png, vector = note.with_suffix(".png"), note.with_suffix(".svg")
        pictures.append(Picture(note.stem, title, caption.strip(), png, vector))
    return pictures


def _print(rebuilt: list[Rebuilt]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=summary.WIDE)
    for table in rebuilt:
        if any(cell.finished for line in table.lines for cell in line.cells.values()):
            console.print(text.terminal(table))


def _write(folder: Path, rebuilt: list[Rebuilt], judged: list[verdicts.Judged]) -> None:
    for table in rebuilt:
        write_text(folder / f"{table.key}.csv", text.as_csv(table))
        write_text(folder / f"{table.key}.md", text.markdown(table))
        write_text(folder / f"{table.key}.tex", latex.latex(table))
    write_text(folder / "tables.tex", latex.document(rebuilt))
    write_text(folder / "claims.md", verdicts.markdown(judged))
    write_text(folder / "claims.csv", verdicts.as_csv(judged))
