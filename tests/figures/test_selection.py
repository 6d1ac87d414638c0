"""Which rows, runs, images and details a figure shows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import records_factory

from gradprom import figures
from gradprom.errors import ConfigError
from gradprom.experiments import declared
from gradprom.experiments.expansion import Cell, Expansion
from gradprom.figures import examples, selection

# which image, which box


def test_a_box_lies_where_the_detail_is_and_within_the_mask() -> None:
    image = np.zeros((50, 50), np.float32)
    image[5:12, 5:12] = np.indices((7, 7)).sum(0) % 2  # a chequered patch
    image[30:, 40] = 0.2  # a faint line
    left, top, width, height = examples.detail(image, None)
    assert (width, height) == (0.2, 0.2)
    assert 0 <= left <= 0.12 and 0 <= top <= 0.12
    mask = np.zeros((50, 50), bool)
    mask[25:, 25:] = True
    left, top, _, _ = examples.detail(image, mask)
    assert left + 0.1 >= 0.5 and top + 0.1 >= 0.5


# the rows and runs of a figure


def declared_rows() -> Iterator[tuple[str, str]]:
    for name in figures.OF_TABLES:
        for panel in selection.declared()[name].panels:
            for method in panel.methods:
                yield from ((table, row) for table in panel.tables for row in method.rows)


@pytest.mark.parametrize(("table", "row"), sorted(set(declared_rows())))
def test_every_row_that_a_figure_names_is_one_row_of_its_table(table: str, row: str) -> None:
    [experiment] = declared.read(table)
    assert len([one for one in experiment.rows if f"{one.label} ".startswith(f"{row} ")]) == 1


def test_every_column_that_a_figure_names_is_one_of_its_table() -> None:
    for name in figures.OF_TABLES:
        for panel in selection.declared()[name].panels:
            for table in panel.tables:
                [experiment] = declared.read(table)
                assert {*panel.columns} <= {column.title for column in experiment.columns}


FIGURE = """fig:
  title: A figure
  panels:
    - table: table1
      columns: [σ = 0.3]
      methods:
        - title: GradProm
          rows: [Sup. GradProm]
"""


def test_a_declared_figure(tmp_path: Path) -> None:
    (tmp_path / "figures.yaml").write_text(FIGURE)
    methods = (selection.MethodRows("GradProm", ("Sup. GradProm",)),)
    panels = (selection.Panel("table1", ("σ = 0.3",), methods),)
    expected = {"fig": selection.Declared("A figure", panels)}
    assert selection.declared(tmp_path / "figures.yaml") == expected


@pytest.mark.parametrize(
    ("old", "new", "line", "named"),
    [
        ("title: A figure", "titel: A figure", 2, "titel"),
        ("columns:", "column:", 5, "column"),
        ("      columns: [σ = 0.3]\n", "", 4, "columns"),
        ("rows: [Sup. GradProm]", "rows: Sup. GradProm", 8, "list"),
        ("- title: GradProm\n          rows", "- rows", 7, "title"),
    ],
)
def test_what_is_wrong_in_the_figures_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, named: str
) -> None:
    assert old in FIGURE
    (tmp_path / "figures.yaml").write_text(FIGURE.replace(old, new))
    with pytest.raises(ConfigError, match=rf"/figures\.yaml:{line}: .*{named}"):
        selection.declared(tmp_path / "figures.yaml")


def test_a_panel_is_taken_from_the_table_that_was_run() -> None:
    """Of the paper's and the demo's table of one column; the paper's where there is none."""
    name, column = "regularizing_gradients/fig1", "Completion 90%"
    expansions = {}
    for table in ("regularizing_gradients/table1", "regularizing_gradients/demo1"):
        [experiment] = declared.read(table)
        cells = [
            Cell(row, one, runs={0: f"{table}:{row.title}"})
            for row in experiment.rows
            for one in experiment.columns
            if one.title == column
        ]
        expansions[table] = Expansion(experiment, cells)
    for table in expansions:
        records = {f"{table}:RERG": records_factory.record(f"{table}:RERG")}
        choices = selection.choose(name, expansions, records)
        assert [c.panel.table for c in choices] == ["regularizing_gradients/table2", table, table]
        assert [len(choice.finished) for choice in choices] == [0, 1, 1]


def test_methods_are_compared_in_one_row_group_and_one_column() -> None:
    expansions = {
        "table1": expansion_with({("Unsup.", "frozen"), ("Unsup.", "gradprom")}, "σ = 0.2")
    }
    expansions["table1"].cells += expansion_with({("Sup.", "gradprom")}, "σ = 0.3").cells
    records = {
        run: records_factory.record(run)
        for run in ("Unsup.frozen", "Unsup.gradprom", "Sup.gradprom")
    }
    [choice] = selection.choose("fig4", expansions, records)
    # supervised GradProm stands alone, so both unsupervised runs are taken
    assert choice.column == "σ = 0.2"
    assert [e.record and e.record.id for e in choice.entrants] == [
        "Unsup.frozen",
        "Unsup.gradprom",
    ]


def test_benchmark_i_is_not_benchmark_ii() -> None:
    [experiment] = declared.read("table1")
    column = experiment.columns[-1]
    cells = [Cell(row, column, runs={0: row.label}) for row in experiment.rows]
    records = {row.label: records_factory.record(row.label) for row in experiment.rows}
    choices = selection.choose("fig2", {"table1": Expansion(experiment, cells)}, records)
    taken = {e.title: e.record and e.record.id for choice in choices[1:2] for e in choice.entrants}
    assert taken == {"Denoising": "Benchmark-i", "Diagnosis": "Benchmark-ii"}


def expansion_with(there: set[tuple[str, str]], column: str) -> Expansion:
    [experiment] = declared.read("table1")
    cells = [
        Cell(row, one, runs={0: f"{row.group}{row.overrides.get('strategy')}"})
        for row in experiment.rows
        for one in experiment.columns
        if one.title == column and (row.group, row.overrides.get("strategy")) in there
    ]
    return Expansion(experiment, cells)


def test_the_finished_run_of_the_lowest_seed_is_taken() -> None:
    expansion = expansion_with({("Sup.", "gradprom")}, "σ = 0.3")
    expansion.cells[0].runs = {2: "two", 0: "zero", 1: "one"}
    statuses = {"zero": "failed", "one": "finished", "two": "finished"}
    records = {run: records_factory.record(run, s) for run, s in statuses.items()}
    [choice] = selection.choose("fig4", {"table1": expansion}, records)
    assert choice.entrants[0].record is None
    assert choice.entrants[1].record == records["one"]
