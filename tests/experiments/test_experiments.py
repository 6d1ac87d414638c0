"""Declared tables: what is read, what is refused and where, and how words narrow them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import records_factory

from gradprom.config import CONF
from gradprom.errors import ConfigError
from gradprom.experiments import declared as declarations
from gradprom.experiments import folders, papers
from gradprom.experiments.declared import Experiment
from gradprom.experiments.expansion import Expansion, Identity, expand
from gradprom.experiments.narrowing import narrow
from gradprom.experiments.overrides import override_text
from gradprom.reports.claims.specs import read_claims
from gradprom.reports.tables.published import degraded_inputs, published
from gradprom.runs.record import FurtherTestSet, Record

TABLES = [f"table{number}" for number in range(1, 9)]
SMALL = """title: T
caption: c
overrides: {profile: demo, strategy: joint}
seeds: [0, 1]
metrics: [psnr, ratio]
columns:
  - {title: low, overrides: {noise: 0.1}}
  - {title: high, overrides: {noise: 0.3}}
rows:
  - {title: A, overrides: {strategy: gradprom}}
  - {title: B, overrides: {strategy: frozen, supervision: unsupervised}, metrics: [psnr]}
"""


def read(name: str) -> Experiment:
    [experiment] = declarations.read(name)
    return experiment


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own beside those of the papers, as a plug-in has it."""
    monkeypatch.setattr(folders, "plugin_folders", lambda name: [tmp_path])
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def small(mine: Path, old: str = "", new: str = "") -> Experiment:
    assert old in SMALL
    (mine / "small.yaml").write_text(SMALL.replace(old, new, 1))
    return read("small")


def by_overrides(runs: list[list[str]]) -> list[Identity]:
    return [Identity(" ".join(overrides)) for overrides in runs]


def expansion(experiment: Experiment, records: dict[str, Record] | None = None) -> Expansion:
    return expand(experiment, by_overrides, (records or {}).get)


def finished(
    metrics: dict[str, float] | None = None, training: dict[str, float] | None = None
) -> Record:
    return records_factory.record(metrics=metrics or {}, training=training or {})


def runs(found: Expansion) -> set[str]:
    return {run for cell in found.cells for run in cell.runs.values()}


# what is declared


def test_every_published_number_has_its_cell_and_none_has_two() -> None:
    found = [
        published(table, row, column, metric)
        for table in declarations.read("all")
        for row in table.rows
        for column in table.columns
        for metric in table.metrics_of(row)
    ]
    # the paper prints 434 numbers in its eight tables
    assert len([number for number in found if number is not None]) == 434


@pytest.mark.parametrize(
    ("name", "row", "column", "metric", "mean", "std"),
    [  # read in the paper
        ("table1", "Sup. GradProm", "σ = 0.2", "psnr", 26.025, 1.22),
        ("table1", "Benchmark-ii", "σ = 0.05", "accuracy", 0.803, None),
        ("table2", "Unsup. Multi-Task", "σ = 0.3", "miou", 0.733, None),
        ("table3", "Benchmark-i", "Sup.", "psnr", 11.722, None),
        ("table4", "Base GradProm", "Unsup.", "ssim", 0.499, None),
        ("table4", "GradProm", "Sup.", "psnr", 13.825, None),
        ("table7", "Ours (V_R dia) ResNet-101 submission Yes", "γ = 4", "psnr", 19.524, None),
        ("table8", "DDM ResNet-50 arXiv’23 No", "σ = 0.3", "psnr", 29.767, None),
    ],
)
def test_published_numbers_are_where_the_paper_has_them(
    name: str, row: str, column: str, metric: str, mean: float, std: float | None
) -> None:
    table = read(name)
    [line] = [r for r in table.rows if r.label == row]
    [place] = [c for c in table.columns if c.title == column]
    found = published(table, line, place, metric)
    assert found is not None and (found.mean, found.std) == (mean, std)


def test_all_holds_every_table_once() -> None:
    assert [table.name for table in declarations.read("all")] == TABLES
    assert {*TABLES, "all", "lambda", "controls"} <= set(papers.names())


def test_published_numbers_below_the_degraded_input_are_known() -> None:
    """DESIGN's measurements: ISIC 20.1, COVID-CT 20.9, CAMUS 21.3 dB at σ = 0.1."""
    measured = degraded_inputs()
    for table, psnr in (("table5", 20.1), ("table6", 20.9), ("table8", 21.3)):
        assert measured[table, "σ = 0.1", "psnr"] == pytest.approx(psnr, abs=0.2)


def test_the_example_of_the_documentation_is_a_table(mine: Path) -> None:
    text = (CONF.parent / "docs" / "tables.md").read_text()
    example, claim = re.findall(r"```yaml\n(.*?)```", text, re.S)
    (mine / "example.yaml").write_text(example)
    table = read("example")
    found = expansion(table)
    waiting = {cell.row.title for cell in found.cells if cell.problem}
    assert waiting == {"Random gate"} and len(runs(found)) == 4 * 2 * 3
    (mine / "claims.yaml").write_text(claim)
    [declared] = read_claims(mine / "claims.yaml")
    assert len(declared.sums) == 4


# what is refused


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("seeds:", "seed:", "small.yaml:4: unknown key seed; choose from title, "),
        ("title: low", "titel: low", "small.yaml:7: unknown key titel; choose from title, over"),
        ("metrics: [psnr]}", "mtrics: [psnr]}", "small.yaml:11: unknown key mtrics; choose"),
        ("[psnr, ratio]", "[psnr, lpips]", "small.yaml:5: unknown metric lpips; choose from psnr"),
        ("metrics: [psnr]}", "metrics: [ssim]}", "small.yaml:11: unknown metric ssim; choose fr"),
        ("{strategy: gradprom}", "{stratgy: x}", "small.yaml:10: unknown group or key stratgy"),
        ("gradprom", "gradpro", "small.yaml:10: strategy=gradpro is unknown; choose from frozen"),
        ("title: T\n", "", "small.yaml:1: the key title is missing"),
        ("{title: A, ", "{", "small.yaml:10: the key title is missing"),
        ("caption: c", "caption: c\n  d: e", "small.yaml:3: "),
        ("seeds: [0, 1]", "seeds: [0, 1]\nslips: none", "small.yaml:5: expected a list"),
        ("[0, 1]", "[0, 1", "small.yaml:5: "),
        *(
            ("{strategy: gradprom}", f"{{lam: {value}}}", f"small.yaml:{sentence}")
            for value, sentence in (
                ("{value: gate, of_row: C}", "10: of_row: there is no row C above"),
                ("{value: gate, of_row: A}", "10: of_row: there is no row A above"),
                ("{value: gat, of_row: A}", "10: unknown metric gat; choose from psnr, ssim"),
                ("{value: gate}", "10: the key of_row is missing"),
                ("{open_share_of: A}", "10: unknown key open_share_of; choose from value, of_row"),
            )
        ),
        ("{noise: 0.3}", "{noise: {value: gate, of_row: A}}", "small.yaml:8: only a row can"),
        ("seeds:", "published: [1]\nseeds:", "small.yaml:4: expected the number of the paper's"),
        ("seeds:", "published: {tabel: 1}\nseeds:", "small.yaml:4: unknown key tabel; choose from"),
        ("title: low,", "title: low, published: {block: x},", "small.yaml:7: unknown key block"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(
    mine: Path, old: str, new: str, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        small(mine, old, new)
    assert str(caught.value).startswith(f"mine/{sentence}") and "\n" not in str(caught.value)


def test_an_unknown_experiment_is_told_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="^experiment=table9 is unknown; choose from all, ") as c:
        declarations.read("table9")
    assert all(name in str(c.value) for name in TABLES)
    with pytest.raises(ConfigError, match="experiment=claims is unknown"):
        declarations.read("claims")


# narrowing


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


# results that configurations need


def test_a_control_takes_the_open_share_of_its_own_column_and_seed() -> None:
    table = narrow(read("controls"), {"seed": ["0", "1"]})
    first = expansion(table)
    random, scaled = (
        next(c for c in first.cells if c.row.title == title)
        for title in ("Random gate", "Joint training, λ scaled")
    )
    assert random.problem == scaled.problem == "waits for the runs of GradProm"
    sources = [c for c in first.cells if c.row.title == "GradProm"]
    records = {
        run: finished(training={"gate_diagnosis": 0.1 * n})
        for n, cell in enumerate(sources, 1)
        for run in cell.runs.values()
    }
    again = expansion(table, records)
    told = {(c.row.title, c.column.title): list(c.runs.values()) for c in again.cells}
    for n, column in enumerate(table.columns, 1):
        for run in told["Random gate", column.title]:
            assert f"strategy.rate={0.1 * n:g} " in run
        for run in told["Joint training, λ scaled", column.title]:
            assert f"strategy.open_share={0.1 * n:g} " in run


def referring(mine: Path, reference: str, first: str = "") -> tuple[Experiment, str]:
    """A table whose row B takes a result of row A in its first column, and that run of A."""
    rows = f"overrides: {{strategy: frozen, lam: {reference}}}, metrics: [psnr]}}"
    text = SMALL.replace(
        "overrides: {strategy: frozen, supervision: unsupervised}, metrics: [psnr]}", rows
    )
    text = text.replace("{title: A, ", f"{{title: A, {first}")
    (mine / "referring.yaml").write_text(text)
    table = narrow(read("referring"), {"seed": ["1"], "noise": ["0.1"]})
    [cell] = [cell for cell in expansion(table).cells if cell.row.title == "A"]
    return table, cell.runs[1]


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("psnr", 25.123456, "lam=25.1235"),
        ("ratio", 0.00012345, "lam=0.000123"),
        ("gate", 0.0, "lam=0.0"),
        ("gate", 0.45678, "lam=0.4568"),
    ],
)
def test_a_value_is_a_score_or_a_value_of_training(
    mine: Path, metric: str, value: float, text: str
) -> None:
    table, run = referring(mine, f"{{value: {metric}, of_row: A}}")
    record = finished({metric: value} if metric == "psnr" else {}, {f"{metric}_x": value})
    found = expansion(table, {run: record})
    [cell] = [cell for cell in found.cells if cell.row.title == "B"]
    assert text in cell.overrides[1] and not cell.problem
    [waiting] = [cell for cell in expansion(table).cells if cell.row.title == "B"]
    assert waiting.problem == "waits for the runs of A" and not waiting.runs


def test_a_value_is_of_the_test_set_of_its_row(mine: Path) -> None:
    table, run = referring(mine, "{value: psnr, of_row: A}", "test_set: lizard, ")
    lizard = FurtherTestSet(metrics={"psnr": 20.5})
    record = replace(finished({"psnr": 30.0}), evaluate_on={"lizard": lizard})
    [cell] = [cell for cell in expansion(table, {run: record}).cells if cell.row.title == "B"]
    assert "lam=20.5" in cell.overrides[1]


def test_rows_of_one_title_are_told_apart_by_their_group(mine: Path) -> None:
    text = SMALL.replace("{title: B, ", "{title: A, group: Sup., ") + (
        "  - {title: C, overrides: {strategy: joint, lam: {value: psnr, of_row: NAME}}}\n"
    )
    (mine / "groups.yaml").write_text(text.replace("NAME", "Sup. A"))
    table = narrow(read("groups"), {"seed": ["0"], "noise": ["0.1"]})
    [run] = [cell.runs[0] for cell in expansion(table).cells if cell.row.group == "Sup."]
    [cell] = [
        c for c in expansion(table, {run: finished({"psnr": 9.5})}).cells if c.row.title == "C"
    ]
    assert "lam=9.5" in cell.overrides[0]
    (mine / "groups.yaml").write_text(
        text.replace("NAME", "A").replace("{title: A, o", "{title: A, group: Unsup., o")
    )
    with pytest.raises(ConfigError, match="^mine/groups.yaml:12: of_row: A may be any of Unsup. A"):
        read("groups")


def test_what_a_dataset_cannot_serve_is_told_and_the_rest_runs() -> None:
    def no_masks(asked: list[list[str]]) -> list[Identity]:
        return [
            Identity(problem="it has no masks")
            if "auxiliary=segmentation" in words
            else Identity(" ".join(words))
            for words in asked
        ]

    found = expand(read("table5"), no_masks, lambda run: None)
    refused = {c.row.title for c in found.cells if c.problem == "it has no masks"}
    assert refused == {"Ours (V_R seg)"} and runs(found)
    with pytest.raises(ConfigError, match="^it has no masks$"):
        expand(
            read("table2"),
            lambda asked: [Identity(problem="it has no masks")] * len(asked),
            lambda run: None,
        )


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("evaluate_on", ["lizard", "camus"], "evaluate_on=[lizard,camus]"),
        ("pretrained", False, "pretrained=false"),
        ("lam", 1e-05, "lam=1e-05"),
        ("dataset", "phantom", "dataset=phantom"),
    ],
)
def test_values_as_overrides(key: str, value: Any, text: str) -> None:
    assert override_text(key, value) == text
