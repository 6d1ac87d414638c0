"""Declared tables hold the paper's numbers, and a wrong file is refused with its line."""

import re
from pathlib import Path

import pytest
from support.small_table import expansion, read, runs, small

from gradprom.config import CONF
from gradprom.errors import ConfigError
from gradprom.experiments import declared as declarations
from gradprom.experiments import papers
from gradprom.reports.claims.specs import read_claims
from gradprom.reports.tables.published import degraded_inputs, published

TABLES = [f"table{number}" for number in range(1, 9)]


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
        (
            "table8",
            "DDM ResNet-50 arXiv’23 No one prior, B-mode adaptation",
            "σ = 0.3",
            "psnr",
            29.767,
            None,
        ),
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
        ("gradprom", "gradpro", "small.yaml:10: strategy=gradpro is unknown; choose from aligned"),
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
