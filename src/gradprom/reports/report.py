"""The report of a study: its tables filled from its records, claims, figures, one page.

results/<study>/report/index.html   everything, to look at
                       <table>.csv .md .tex, tables.tex
                       claims.md claims.csv
                       figures/

Tables are those of its sweeps, the newest first; `further-runs`, of runs that no sweep tells of;
and those of the papers.
"""

from dataclasses import dataclass
from pathlib import Path

from gradprom.errors import RunError
from gradprom.experiments import declared
from gradprom.experiments.expansion import Expansion, Identity, expanded
from gradprom.experiments.overrides import OverrideList
from gradprom.reports import swept, unplanned
from gradprom.reports.claims import verdicts
from gradprom.reports.page import page
from gradprom.reports.plots import curves, sweep_picture
from gradprom.reports.plots.style import Picture
from gradprom.reports.tables import latex, text
from gradprom.reports.tables.filling import fill
from gradprom.reports.tables.table import Table
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import require_writable, write_text
from gradprom.sweeps import run_ids


@dataclass
class Wanted:
    """Experiments and the overrides that narrow them."""

    names: list[str]
    narrowing: OverrideList
    asked: bool = True
    """Whether a person or a sweep has named them; others are shown once they have runs."""


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
    records = {record.id: record for record in loaded}
    wanted = _wanted(study, names, narrowing)
    folder = study.folder / "report"
    require_writable(folder)  # before the work
    papers = _fill(study, records, wanted)
    tables = [paper.table for paper in papers if paper.asked or paper.runs & set(records)]
    if not names:
        planned = set().union(*(paper.runs for paper in papers))
        tables = [*_of_sweeps(study, records, planned), *tables]
    _print(tables)
    fullest = _fullest([paper.expansion for paper in papers], records)
    judged = verdicts.judge(verdicts.read_claims(), fullest, records, study)
    _write(folder, tables, judged)
    pictures = _sweep_pictures(tables, records, study, folder / "figures")
    pictures += curves.draw(tables, records, study, folder / "figures")
    pictures += _drawn_before(folder / "figures")
    page.write_page(folder / "index.html", tables, records, study, judged, pictures, problems)
    for problem in problems:
        print(f"skipped  {problem}")
    print(f"report   {folder / 'index.html'}")


@dataclass
class PaperTable:
    """A table of a paper, filled, with the experiment it is of."""

    expansion: Expansion
    table: Table
    asked: bool

    @property
    def runs(self) -> set[str]:
        """The ids of its runs."""
        return self.expansion.runs


def _wanted(study: Study, names: list[str], narrowing: OverrideList) -> list[Wanted]:
    """What to report: as it is asked for, else as the study's sweeps were, else as declared."""
    experiments = [x for name in names for x in declared.read(name)] or declared.default()
    wanted = [experiment.name for experiment in experiments]
    if narrowing:
        return [Wanted(wanted, narrowing, asked=bool(names))]
    planned: list[Wanted] = []
    for plan in study.plans():
        mine = [n for n in plan.experiments if n in wanted or not names]
        sweep = Wanted(mine, plan.asked)
        if mine and sweep not in planned:
            planned.append(sweep)
    in_sweeps = {name for sweep in planned for name in sweep.names}
    others = [name for name in wanted if name not in in_sweeps]
    return [*planned, Wanted(others, [], asked=bool(names))]


def _fill(study: Study, records: dict[str, Record], wanted: list[Wanted]) -> list[PaperTable]:
    def identify(runs: list[OverrideList]) -> list[Identity]:
        return run_ids.identities(runs, study.results)

    identify(_all_runs(study, wanted))  # at once, for each question that is new costs seconds
    filled = []
    for one in wanted:
        for expansion in expanded(one.names, one.narrowing, identify, study):
            [whole] = declared.read(expansion.experiment.name)
            table = fill(expansion, records, one.narrowing, whole)
            filled.append(PaperTable(expansion, table, one.asked))
    return filled


def _of_sweeps(study: Study, records: dict[str, Record], planned: set[str]) -> list[Table]:
    """Tables of sweeps without a declared experiment, and one of the runs that have no table."""
    tables = swept.tables(study, records)
    planned = planned.union(
        run
        for table in tables
        for row in table.rows
        for c in row.expected.values()
        for run in c.values()
    )
    further = [record for run_id, record in records.items() if run_id not in planned]
    if further:
        tables.append(swept.table_of(unplanned.expansion(further), records))
    return tables


def _sweep_pictures(
    tables: list[Table], records: dict[str, Record], study: Study, folder: Path
) -> list[Picture]:
    """What came out of the runs of no paper's table, and what their strategies did."""
    pictures = []
    for table in (table for table in tables if table.experiment.paper is None):
        path = folder / f"{table.key}-images.png"
        if sweep_picture.draw(table, records, study, path):
            title = f"{table.experiment.title}: images and coupled training"
            pictures.append(Picture(path.stem, title, sweep_picture.CAPTION, path))
    return pictures


def _fullest(expansions: list[Expansion], records: dict[str, Record]) -> dict[str, Expansion]:
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


def _print(tables: list[Table]) -> None:
    console = swept.console()
    for table in tables:
        if any(cell.finished for row in table.rows for cell in row.cells.values()):
            console.print(text.terminal(table))


def _write(folder: Path, tables: list[Table], judged: list[verdicts.JudgedClaim]) -> None:
    for table in tables:
        write_text(folder / f"{table.key}.csv", text.as_csv(table))
        write_text(folder / f"{table.key}.md", text.markdown(table))
        write_text(folder / f"{table.key}.tex", latex.latex(table))
    write_text(folder / "tables.tex", latex.document(tables))
    write_text(folder / "claims.md", verdicts.markdown(judged))
    write_text(folder / "claims.csv", verdicts.as_csv(judged))
