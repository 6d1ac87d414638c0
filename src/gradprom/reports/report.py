"""The report of a study: its tables filled from its records, claims, figures, one page.

results/<study>/report/index.html   everything on one page
                       <table>.csv .md .tex, <table>-summary.csv, tables.tex
                       claims.md claims.csv
                       figures/

The tables are, in this order: those of ad hoc sweeps, the newest first; `further-runs`, of runs
that belong to no other table; and those of the papers.
"""

from dataclasses import dataclass
from pathlib import Path

from gradprom.errors import RunError
from gradprom.experiments import declared
from gradprom.experiments.expansion import Expansion, Identity, expanded, require_all_used
from gradprom.experiments.overrides import OverrideList
from gradprom.reports import rounding, swept, unplanned
from gradprom.reports.claims import verdicts
from gradprom.reports.page import page
from gradprom.reports.plots import costs, curves, forest, sweep_picture
from gradprom.reports.plots.style import Picture
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.reports.tables import latex, text
from gradprom.reports.tables.filling import fill
from gradprom.reports.tables.table import Table
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import require_writable, write_text
from gradprom.sweeps import run_ids


@dataclass
class Selection:
    """Experiments to report, and the overrides that narrow them."""

    names: list[str]
    narrowing: OverrideList
    always_shown: bool = True
    """Whether the command line or a sweep named them; others are shown only if they have runs."""


@dataclass
class Report:
    """What a report shows."""

    tables: list[Table]
    pictures: list[Picture]


def report(study: Study, names: list[str], narrowing: OverrideList) -> Report:
    """Fill tables from a study's records and write them in every form.

    Parameters
    ----------
    study
        The study; the report is written to its folder `report`.
    names
        Experiments to report; empty for those of every paper's `all.yaml` and the tables of ad hoc
        sweeps.
    narrowing
        Overrides that select rows and columns, or apply to every cell. If empty, each table is
        narrowed as in the study's sweeps; a table that no sweep used is reported as declared.

    Returns
    -------
    Report
        The tables and figures that were written.

    Raises
    ------
    ConfigError
        For an unknown experiment, or overrides that do not fit it.
    RunError
        If no experiment is named and the study has no records.
    """
    loaded, problems = study.load()
    if not loaded and not names and not any(study.folder.glob("tune/*/report")):
        raise RunError(f"study {study.name} has no records in {study.folder / 'runs'}")
    records = {record.id: record for record in loaded}
    if narrowing:
        require_all_used(names or [each.name for each in declared.default()], narrowing)
    selections = _selections(study, names, narrowing)
    folder = study.folder / "report"
    require_writable(folder)  # before the work
    scores = StudyScores(records, study)
    papers = _fill(scores, selections)
    tables = [paper.table for paper in papers if paper.always_shown or paper.runs & set(records)]
    if not names:
        planned = set().union(*(paper.runs for paper in papers))
        planned |= _filter_runs(tables)
        tables = [*_sweep_tables(scores, planned), *tables]
    measured = rounding.stored(study)
    rounding.note_below(tables, measured)
    floors = [floor.text() for floor in measured]
    _print(tables)
    cells = _joined([paper.expansion for paper in papers], records)
    judged = verdicts.judge(_claims_about(tables), cells, scores)
    _write(folder, tables, judged, floors)
    pictures = _sweep_pictures(tables, records, study, folder / "figures")
    pictures += curves.draw(tables, scores, folder / "figures")
    pictures += costs.draw(tables, records, study, folder / "figures")
    pictures += forest.draw(judged, folder / "figures")
    pictures += _paper_figures(folder / "figures")
    page.write_page(
        folder / "index.html", tables, records, study, judged, pictures, problems, floors
    )
    for problem in problems:
        print(f"skipped  {problem}")
    if any("label_changed" in record.metrics for record in loaded):
        print("pictures of labels that restoration has changed: `gradprom figure task_gan/labels`")
    for floor in floors:
        print(floor)
    print(f"report   {folder / 'index.html'}")
    return Report(tables, pictures)


@dataclass
class PaperTable:
    """A filled table of a paper, with the expansion of its experiment."""

    expansion: Expansion
    table: Table
    always_shown: bool

    @property
    def runs(self) -> set[str]:
        """The ids of its runs."""
        return self.expansion.runs


def _selections(study: Study, names: list[str], narrowing: OverrideList) -> list[Selection]:
    """The experiments, narrowed by the given overrides, else as in the study's sweeps."""
    experiments = [x for name in names for x in declared.read(name)] or declared.default()
    selected = [experiment.name for experiment in experiments]
    if narrowing:
        return [Selection(selected, narrowing, always_shown=bool(names))]
    planned: list[Selection] = []
    for plan in study.plans():
        in_plan = [name for name in plan.experiments if name in selected or not names]
        asked = [word for word in plan.asked if not run_ids.is_unhashed(word)]
        selection = Selection(in_plan, asked)
        if in_plan and selection not in planned:
            planned.append(selection)
    in_sweeps = {name for selection in planned for name in selection.names}
    others = [name for name in selected if name not in in_sweeps]
    return [*planned, Selection(others, [], always_shown=bool(names))]


def _fill(scores: StudyScores, selections: list[Selection]) -> list[PaperTable]:
    study, records = scores.study, scores.records

    def identify(runs: list[OverrideList]) -> list[Identity]:
        return run_ids.identities(runs, study.results)

    # all at once, because each call with runs that are not cached takes seconds
    identify(_all_runs(study, selections))
    filled = []
    for selection in selections:
        # where files lie and how runs compute is no part of a table, nor of its name
        narrowing = [word for word in selection.narrowing if not run_ids.is_unhashed(word)]
        for expansion in expanded(selection.names, selection.narrowing, identify, study):
            [whole] = declared.read(expansion.experiment.name)
            table = fill(expansion, records, narrowing, whole, scores)
            filled.append(PaperTable(expansion, table, selection.always_shown))
    return filled


def _sweep_tables(scores: StudyScores, planned: set[str]) -> list[Table]:
    """Tables of sweeps without a declared experiment, and one of the runs of no other table."""
    records, expansions = scores.records, swept.expansions(scores.study)
    tables = [swept.table_of(expansion, records, scores) for expansion in expansions]
    planned = planned.union(_filter_runs(tables), *(expansion.runs for expansion in expansions))
    further = [record for run_id, record in records.items() if run_id not in planned]
    if further:
        tables.append(swept.table_of(unplanned.expansion(further), records, scores))
    return tables


def _filter_runs(tables: list[Table]) -> set[str]:
    """Ids of the runs of classical filters that stand beneath the degraded input in some tables."""
    return {
        run
        for table in tables
        for row in table.classical
        for runs in row.expected.values()
        for run in runs.values()
    }


def _sweep_pictures(
    tables: list[Table], records: dict[str, Record], study: Study, folder: Path
) -> list[Picture]:
    """Images and training curves of the tables that are not of a paper."""
    pictures = []
    for table in (table for table in tables if table.experiment.paper is None):
        path = folder / f"{table.key}-images.png"
        caption = sweep_picture.draw(table, records, study, path)
        if caption is not None:
            title = f"{table.experiment.title}: images and coupled training"
            pictures.append(Picture(path.stem, title, caption, path, table=table.key))
    return pictures


def _joined(expansions: list[Expansion], records: dict[str, Record]) -> dict[str, Expansion]:
    """The cells of each experiment for the claims, where several tables have parts of it.

    Of a cell that two tables have, such as one on the declared and one on another dataset, it is
    that of the table with more finished runs.
    """
    joined: dict[str, Expansion] = {}
    for one in sorted(expansions, key=lambda expansion: expansion.finished(records), reverse=True):
        before = joined.get(one.experiment.name, Expansion(one.experiment, []))
        named = {(cell.row.label, cell.column.title) for cell in before.cells}
        further = [c for c in one.cells if (c.row.label, c.column.title) not in named]
        joined[one.experiment.name] = Expansion(before.experiment, [*before.cells, *further])
    return joined


def _claims_about(tables: list[Table]) -> list[verdicts.Claim]:
    """The claims of papers that have a table here; those of others would all be undecidable."""
    shown = [table.experiment.paper for table in tables if table.experiment.paper]
    claims = verdicts.read_claims() if shown else []
    return [claim for claim in claims if claim.paper in shown]


def _all_runs(study: Study, selections: list[Selection]) -> list[OverrideList]:
    """The overrides of every run of the selected experiments, before their ids are known."""
    collected: list[OverrideList] = []

    def collect(runs: list[OverrideList]) -> list[Identity]:
        collected.extend(runs)
        return [Identity("not known yet")] * len(runs)

    for selection in selections:
        expanded(selection.names, selection.narrowing, collect, study)
    return collected


def _paper_figures(folder: Path) -> list[Picture]:
    """The figures that `gradprom figure` has written to the folder."""
    pictures = []
    for path in sorted(folder.glob("*.txt")):
        title, _, caption = path.read_text(encoding="utf-8").partition("\n")
        png, vector = path.with_suffix(".png"), path.with_suffix(".svg")
        pictures.append(Picture(path.stem, title, caption.strip(), png, vector))
    return pictures


def _print(tables: list[Table]) -> None:
    """Print the tables that have a finished run."""
    console = swept.console()
    for table in tables:
        if any(cell.finished for row in table.rows for cell in row.cells.values()):
            console.print(text.terminal(table))


def _write(
    folder: Path, tables: list[Table], judged: list[verdicts.JudgedClaim], floors: list[str]
) -> None:
    """Write tables and claims as text files, claims with the rounding floors."""
    for table in tables:
        swept.write_forms(table, folder, table.key)
    write_text(folder / "tables.tex", latex.document(tables))
    if judged:
        write_text(folder / "claims.md", verdicts.markdown(judged, floors))
        write_text(folder / "claims.csv", verdicts.as_csv(judged))
