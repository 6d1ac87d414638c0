"""The overrides of each run of a table, and how the command line narrows them."""

from pathlib import Path

import pytest
from support.small_table import expansion, read, runs, small

from gradprom.errors import ConfigError
from gradprom.experiments.narrowing import narrow


def test_the_row_wins_over_the_column_and_that_over_the_table(mine: Path) -> None:
    table = small(mine, "{title: A, overrides: {", "{title: A, overrides: {noise: 0.2, ")
    a, b = table.rows
    assert table.cell(a, table.columns[0]) == {
        "profile": "demo",
        "strategy": "gradprom",
        "noise": 0.2,
    }
    assert table.cell(b, table.columns[1])["noise"] == 0.3


def test_overrides_of_each_run(mine: Path) -> None:
    found = expansion(small(mine))
    assert len(found.cells) == 4
    assert found.cells[0].runs == {
        0: "profile=demo strategy=gradprom noise=0.1 seed=0",
        1: "profile=demo strategy=gradprom noise=0.1 seed=1",
    }


@pytest.mark.parametrize(
    ("given", "rows", "columns", "count"),
    [
        ({"noise": ["0.1"]}, "AB", ["low"], 4),
        ({"noise": ["0.3", "1e-1"]}, "AB", ["low", "high"], 8),
        ({"strategy": ["frozen"]}, "B", ["low", "high"], 4),
        ({"supervision": ["unsupervised"]}, "B", ["low", "high"], 4),
        ({"strategy": ["gradprom"], "noise": ["0.3"], "seed": ["7"]}, "A", ["high"], 1),
        ({"profile": ["bench"]}, "AB", ["low", "high"], 8),
        ({"trainer.lr": ["0.1"]}, "AB", ["low", "high"], 8),
    ],
)
def test_overrides_select_or_replace(
    mine: Path, given: dict[str, list[str]], rows: str, columns: list[str], count: int
) -> None:
    table = narrow(small(mine), given)
    assert "".join(row.title for row in table.rows) == rows
    assert [column.title for column in table.columns] == columns
    found = runs(expansion(table))
    assert len(found) == count
    if "profile" in given:
        assert all(run.startswith("profile=bench ") for run in found)
    if "trainer.lr" in given:
        assert all(" trainer.lr=0.1 " in run for run in found)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"noise": ["0.2"]},
            "noise=0.2: experiment=mine/small has no such cell; it has noise 0.1, 0.3",
        ),
        ({"strategy": ["joint"]}, "strategy=joint: experiment=mine/small has no such cell"),
        (
            {"lam": ["1", "2"]},
            "lam=1,2: experiment=mine/small does not vary lam; give it one value",
        ),
        ({"seed": ["x"]}, "seed=x must be a whole number >= 0"),
    ],
)
def test_an_empty_selection_is_refused(
    mine: Path, given: dict[str, list[str]], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        narrow(small(mine), given)
    assert str(caught.value).startswith(sentence)


def test_a_dataset_of_ones_own_replaces_the_tables_everywhere() -> None:
    own = narrow(read("table4"), {"dataset": ["phantom"]})
    assert len(own.rows) == 4
    assert all("dataset=phantom" in run.split() for run in runs(expansion(own)))
    base = narrow(read("table4"), {"dataset": ["lizard"]})
    assert [row.title for row in base.rows] == ["Base ESTR", "Base GradProm"]


def test_rows_that_wait_for_their_method_stay_with_their_columns() -> None:
    table = narrow(read("table5"), {"noise": ["0.1"]})
    assert {"U-SAID", "Ours (V_R dia)"} <= {row.title for row in table.rows}
    waiting = [cell for cell in expansion(table).cells if cell.row.title == "U-SAID"]
    assert [cell.problem for cell in waiting] == ["waits for method U-SAID"]
    assert not waiting[0].runs
    # a key of rows selects among those that have it
    assert {r.title for r in narrow(table, {"strategy": ["frozen"]}).rows} == {"ESTR"}
