"""The overrides of each run of a table, and how the command line narrows them."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.small_table import expansion, read, runs, small

from gradprom.errors import ConfigError
from gradprom.experiments.expansion import require_all_used
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


IN_HIGH = "{title: A, in_columns: {high: {lam: 0.5}}, overrides: {"


def test_a_row_may_have_a_value_in_one_column(mine: Path) -> None:
    table = small(mine, "{title: A, overrides: {", f"{IN_HIGH}lam: 0.1, ")
    a, b = table.rows
    assert [table.cell(a, column)["lam"] for column in table.columns] == [0.1, 0.5]
    assert all("lam" not in table.cell(b, column) for column in table.columns)
    # the key is one that the table varies
    chosen = narrow(table, {"lam": ["0.5"]})
    assert ([row.title for row in chosen.rows], [c.title for c in chosen.columns]) == (
        ["A"],
        ["high"],
    )


def test_a_value_of_the_command_line_replaces_that_of_one_column(mine: Path) -> None:
    everywhere = "{title: high, overrides: {noise: 0.3}}\nrows:\n  - {title: A, "
    table = small(
        mine, everywhere, f"{everywhere}in_columns: {{low: {{lam: 1}}, high: {{lam: 1}}}}, "
    )
    table = replace(table, rows=table.rows[:1])
    assert all(" lam=3 " in run for run in runs(expansion(narrow(table, {"lam": ["3"]}))))


def test_a_row_names_columns_that_there_are(mine: Path) -> None:
    with pytest.raises(ConfigError, match="hihg"):
        small(
            mine, "{title: A, overrides: {", "{title: A, in_columns: {hihg: {lam: 1}}, overrides: {"
        )


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
    declared = read("table5")
    rows = [
        replace(row, overrides={}, waits_for="method U-SAID") if row.title == "U-SAID" else row
        for row in declared.rows
    ]
    table = narrow(replace(declared, rows=tuple(rows)), {"noise": ["0.1"]})
    assert {"U-SAID", "Ours (V_R dia)"} <= {row.title for row in table.rows}
    waiting = [cell for cell in expansion(table).cells if cell.row.title == "U-SAID"]
    assert [cell.problem for cell in waiting] == ["waits for method U-SAID"]
    assert not waiting[0].runs
    # a key of rows selects among those that have it
    assert {r.title for r in narrow(table, {"strategy": ["frozen"]}).rows} == {"ESTR", "D2SM"}


def refused(names: list[str], *narrowing: str) -> str:
    with pytest.raises(ConfigError) as caught:
        require_all_used(names, list(narrowing))
    return str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["strategy=gradprom,frozen"],
        ["noise=0.1,0.30000000000000004"],
        ["noise=range(0.1,0.4,0.1)"],
        ["lam=1e-3", "seed=0,7", "supervision=supervised,unsupervised"],
        ["strategy=glob(*)"],
        ["strategy=glob([g*,j*],exclude=joint)", "noise=0.1"],
        ["dataset=phantom", "auxiliary=diagnosis"],
    ],
)
def test_words_that_are_used(words: list[str]) -> None:
    require_all_used(["table1"], words)


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        (["strategy=gradprom,frozn"], "strategy=frozn: "),
        (["strategy=gradprom,pcgrad"], "strategy=pcgrad: "),
        (["strategy=glob([g*,p*])"], "strategy=p*: "),
        (["noise=0.1,0.15,0.3"], "noise=0.15: "),
        (["noise=range(0.1,0.5,0.1)"], "noise=0.4: "),
        (["noise=0.1,0.1000001"], "noise=0.1000001: "),
        (["supervision=supervised,unsupervized"], "supervision=unsupervized: "),
    ],
)
def test_each_word_has_to_select_something(words: list[str], unused: str) -> None:
    assert refused(["table1"], *words).startswith(unused)


def test_a_word_that_the_others_leave_no_cell_of() -> None:
    told = refused(["table1"], "supervision=supervised", "strategy=joint,mainstream")
    assert told.startswith("strategy=mainstream: ") and "with supervision=supervised" in told
    assert "joint" in told.partition("it has")[2] and "frozen" not in told.partition("it has")[2]
    told = refused(["table4"], "dataset=lizard,phantom")
    assert told.startswith("dataset=phantom: ")


def test_of_several_tables_one_has_to_use_a_word() -> None:
    require_all_used(["table1", "table5"], ["noise=0.05,0.1"])
    told = refused(["table1", "table5"], "noise=0.05,0.1,0.15")
    assert told.startswith("noise=0.15: experiment=table1,table5 has no such cell")
    assert told.endswith("it has noise 0.05, 0.1, 0.2, 0.3")


def test_numbers_are_compared_as_ids_do(mine: Path) -> None:
    table = narrow(small(mine), {"noise": ["0.30000000000000004"]})
    assert [column.title for column in table.columns] == ["high"]
    # the cell is the declared one
    assert all(" noise=0.3 " in run for run in runs(expansion(table)))
