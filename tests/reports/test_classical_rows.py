"""Classical filters stand beneath the degraded input; what is not better than them is marked."""

import csv
import io
import statistics
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support import records_factory
from support.hand_made import record, strategy, write_run

from gradprom.experiments import on_the_fly
from gradprom.experiments.declared import read
from gradprom.reports import swept, unplanned
from gradprom.reports.page.page_table import table_view
from gradprom.reports.report import report
from gradprom.reports.tables import latex, layout, text
from gradprom.reports.tables.filling import fill
from gradprom.reports.tables.table import Table
from gradprom.runs.plan_note import PlanNote
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import write_checked


def filtered(name: str, psnr: float, ssim: float = 0.5, **changes: Any) -> Record:
    options = {"name": "classical", "filter": name}
    return record(
        psnr, ssim, choices__method="classical", config__method=options, reads={}, **changes
    )


def build(trained: list[Record], filters: list[Record]) -> Table:
    """The table of the trained runs alone, in a study that has the others too."""
    records = {each.id: each for each in [*trained, *filters]}
    return swept.table_of(unplanned.expansion(trained), records)


def psnrs(table: Table) -> dict[str, float]:
    return {row.declared.title: row.cells[0, "psnr"].value.mean for row in table.classical}


def marked(table: Table) -> dict[str, list[str]]:
    return {
        row.declared.label: [m for (_, m), cell in row.cells.items() if cell.below_classical]
        for row in table.rows
    }


@pytest.fixture
def table() -> Table:
    filters = [
        filtered("total_variation", 25.0, 0.55),
        filtered("bm3d", 26.0, 0.5),
        filtered("non_local_means", 24.0, 0.6),
    ]
    trained = [
        strategy("joint", 25.9996, metrics__ssim=0.7),
        strategy("frozen", 26.5, metrics__ssim=0.59),
        strategy("gradprom", 26.2, metrics__ssim=0.61),
        strategy("gradprom", 26.3, metrics__ssim=0.61, config__seed=1),
    ]
    return build(trained, filters)


def test_they_are_the_rows_beneath_the_degraded_input(table: Table) -> None:
    names = [row.declared.title for row in layout.rows(table)]
    assert names[:4] == ["degraded input", "BM3D", "non-local means", "total variation"]
    assert psnrs(table) == {"BM3D": 26.0, "non-local means": 24.0, "total variation": 25.0}
    assert {row.declared.title for row in table.rows} == {"joint", "frozen", "gradprom"}
    # they take no rank from the trained rows
    assert not any(cell.best for row in table.classical for cell in row.cells.values())
    assert [row.declared.title for row in table.rows if row.cells[0, "ssim"].best] == ["joint"]


def test_what_is_not_better_than_the_best_of_them_is_marked(table: Table) -> None:
    """By the printed digits, each metric against its own best filter."""
    assert marked(table) == {"joint": ["psnr"], "frozen": ["ssim"], "gradprom": []}


def test_every_rendering_has_rows_marks_and_their_meaning(table: Table) -> None:
    meaning = "† not better than the best classical filter"
    markdown = text.markdown(table)
    assert "| BM3D | 26.000 | 0.500 |" in markdown and "26.000† (1)" in markdown
    assert meaning in markdown
    made = latex.latex(table)
    assert r"26.000\dag{} (1)" in made and r"\dag{} not better" in made and "BM3D" in made
    console = Console(width=120, file=io.StringIO())
    console.print(text.terminal(table))
    assert "26.000†" in console.file.getvalue() and meaning in console.file.getvalue()
    view = table_view(table)
    rows = {row.title: row for group in view.groups for row in group.rows}
    assert rows["BM3D"].kind == "pinned" and rows["BM3D"].cells[0].button is not None
    assert rows["joint"].cells[0].number.mean == "26.000†" and meaning in view.legend
    lines = list(csv.DictReader(io.StringIO(text.as_csv(table))))
    below = {(x["row"], x["metric"]) for x in lines if x["below_classical"] == "yes"}
    assert below == {("joint", "psnr"), ("frozen", "ssim")}
    [line] = [x for x in lines if (x["row"], x["metric"]) == ("BM3D", "psnr")]
    assert line["runs"] == f"0:{filtered('bm3d', 26.0, 0.5).id}" and line["n"] == "0"


@pytest.mark.parametrize(
    "other",
    [
        {"config__degradation": {"name": "gaussian", "sigma": 0.2, "clamp": True}},
        {"config__evaluation__seed": 1},
        {"dataset__fingerprint": "e" * 64},
        {"status": "failed"},
    ],
)
def test_filters_of_other_test_conditions_do_not_count(other: dict[str, Any]) -> None:
    table = build([strategy("joint", 24.0)], [filtered("bm3d", 26.0, **other)])
    assert table.classical == [] and marked(table) == {"joint": []}
    assert "†" not in text.markdown(table)


def test_a_further_test_set_has_its_own_filters() -> None:
    def further(psnr: float) -> dict[str, Any]:
        scores = {"psnr": psnr, "ssim": 0.5, "degraded_psnr": 18.0, "degraded_ssim": 0.25}
        return {"isic2018": {"metrics": scores, "fingerprint": "i" * 64}}

    trained = [strategy("joint", 24.0, evaluate_on=further(30.0))]
    table = build(trained, [filtered("bm3d", 25.0, 0.25, evaluate_on=further(29.0))])
    assert psnrs(table) == {"BM3D phantom": 25.0, "BM3D isic2018": 29.0}
    group = "tested on isic2018"
    assert marked(table) == {"joint": ["psnr"], f"{group} joint": ["ssim"]}
    # a run on that dataset serves as well
    data = {"name": "isic2018", "fingerprint": "i" * 64}
    alone = filtered("bm3d", 31.0, dataset=data, config__dataset__name="isic2018")
    table = build(trained, [alone])
    assert psnrs(table) == {"BM3D isic2018": 31.0}
    assert marked(table)[f"{group} joint"] == ["psnr", "ssim"]


def test_a_filter_that_was_swept_has_one_row_and_no_mark() -> None:
    own, other = filtered("bm3d", 26.0), filtered("wavelets", 23.0, 0.25)
    table = build([strategy("joint", 24.0), own], [other])
    assert psnrs(table) == {"wavelets": 23.0}
    # the filter itself is no trained row, and trained ones are still compared with it
    assert sorted(marked(table).values()) == [[], ["psnr", "ssim"]]
    assert marked(table)["task_driven joint"] == ["psnr", "ssim"]


def test_a_declared_table_has_them(tmp_path: Path) -> None:
    made = records_factory.make(tmp_path, ["table1"], rows=3)
    [expansion] = made.expansions()
    like = next(iter(made.records.values()))
    sigma = like.config["degradation"]["sigma"]
    config = {**like.config, "method": {"name": "classical", "filter": "bm3d"}}
    middle = statistics.median(
        record.metrics["psnr"]
        for record in made.records.values()
        if record.config["degradation"]["sigma"] == sigma and "psnr" in record.metrics
    )
    scores = {"psnr": middle, "ssim": 0.99}
    bm3d = records_factory.replace(like, id="0" * 12, config=config, metrics=scores, reads={})
    table = fill(expansion, {**made.records, bm3d.id: bm3d}, [], read("table1")[0])
    [row] = table.classical
    [place] = {number for number, _ in row.cells}
    assert table.columns[place].overrides["noise"] == sigma
    assert row.cells[place, "psnr"].value.mean == middle and (place, "accuracy") not in row.cells
    for row in (row for row in table.rows if (place, "psnr") in row.cells):
        ours = row.cells[place, "psnr"]
        assert row.cells[place, "ssim"].below_classical
        assert ours.below_classical == (ours.value.mean < middle)
    marks = {m for row in table.rows for (_, m), c in row.cells.items() if c.below_classical}
    assert marks == {"psnr", "ssim"}  # not accuracy, which no filter has


def test_their_runs_are_no_further_runs(tmp_path: Path) -> None:
    study = Study(tmp_path, "local")
    trained, bm3d = strategy("joint", 24.0), filtered("bm3d", 26.0)
    lonely = filtered("bm3d", 21.0, config__degradation__sigma=0.3)
    for each in (trained, bm3d, lonely):
        write_run(study, each)
    plan = PlanNote(runs=[], swept=on_the_fly.as_plan(unplanned.expansion([trained])))
    write_checked(study.folder / "sweeps" / "one" / "plan.json", plan.to_json())
    report(study, [], [])
    further = (study.folder / "report" / "further-runs.csv").read_text()
    assert lonely.id in further and bm3d.id not in further and trained.id not in further
