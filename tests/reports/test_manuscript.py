"""`gradprom paper`: an article whose numbers are the records', and follow them into the PDF."""

import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
from PIL import Image
from support import hand_made, records_factory, swept_tables
from support.hand_made import Record

from gradprom import cli
from gradprom.reports import manuscript
from gradprom.reports import report as report_module
from gradprom.reports.plots.style import Picture
from gradprom.reports.report import Report
from gradprom.reports.tables.table import Table

needs_latex = pytest.mark.skipif(
    not all(map(shutil.which, ("pdflatex", "pdftotext", "make"))),
    reason="pdflatex, pdftotext and make are not installed",
)


def runs(psnr: float = 26.0) -> list[Record]:
    """Two seeds of one strategy, one of another."""
    return [
        hand_made.strategy("gradprom", psnr, config__seed=0),
        hand_made.strategy("gradprom", psnr + 1, config__seed=1),
        hand_made.strategy("joint", 25.0, config__seed=0),
    ]


def table(psnr: float = 26.0) -> Table:
    return swept_tables.build(*runs(psnr))


def picture(folder: Path) -> Picture:
    folder.mkdir(exist_ok=True)
    Image.new("L", (40, 20), 128).save(folder / "curve_a.png")
    return Picture("curve_a", "Curves", "σ & 50 %", folder / "curve_a.png")


def written(folder: Path, psnr: float = 26.0) -> list[manuscript.KeyedCell]:
    tables, pictures = [table(psnr)], [picture(folder.parent / "pictures")]
    results = folder.parent / "my results"
    return manuscript.write(folder, tables, pictures, results, ["local", "noise=0.1"])


def pdf_text(folder: Path) -> str:
    """Compile with `make`, and read the pages."""
    done = subprocess.run(["make"], cwd=folder, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]
    pages = subprocess.run(["pdftotext", "paper.pdf", "-"], cwd=folder, capture_output=True)
    text = unicodedata.normalize("NFKC", pages.stdout.decode())
    return re.sub(r"\s+", " ", text)


def key_of(cells: list[manuscript.KeyedCell], row: str, metric: str = "psnr") -> str:
    [key] = [c.key for c in cells if c.row.declared.title == row and c.cell.metric == metric]
    return key


def test_a_definition_for_each_cell(tmp_path: Path) -> None:
    cells = written(tmp_path / "paper")
    numbers = (tmp_path / "paper" / "generated" / "numbers.tex").read_text()
    count = sum(len(row.cells) for row in table().rows)
    assert len({cell.key for cell in cells}) == count == numbers.count("\n\\gp@cell{")
    assert f"\\gp@cell{{{key_of(cells, 'gradprom')}}}{{26.500}}{{0.707}}{{2}}\n" in numbers
    assert f"\\gp@cell{{{key_of(cells, 'joint')}}}{{25.000}}{{}}{{1}}\n" in numbers
    listed = (tmp_path / "paper" / "generated" / "cells.txt").read_text()
    assert f"{key_of(cells, 'gradprom')}  26.500 ± 0.707 (2)" in listed


def test_every_cell_of_the_papers_tables_has_a_key_of_its_own(tmp_path: Path) -> None:
    tables = records_factory.make(tmp_path, ["table1", "table5"], rows=3).tables()
    keys = [cell.key for cell in manuscript.keyed(tables)]
    assert len(set(keys)) == sum(len(row.cells) for each in tables for row in each.rows)
    assert all(re.fullmatch(r"[A-Za-z0-9.\-/]+", key) for key in keys)
    assert "table1/Sup/GradProm/sigma-0.1/psnr" in keys


@pytest.mark.parametrize(
    ("text", "expected"),
    [("σ = 0.1", "sigma-0.1"), ("λ‖g‖", "lambda-g"), ("Größe é", "Gro-e-e"), ("a_b%", "a-b")],
)
def test_names_that_latex_takes(text: str, expected: str) -> None:
    assert manuscript.slug(text) == expected


@pytest.mark.latex
@needs_latex
def test_a_number_that_changes_changes_in_the_pdf(tmp_path: Path) -> None:
    folder = tmp_path / "paper"
    key = key_of(written(folder), "gradprom")
    text = pdf_text(folder)
    # in the text as well as in the table
    assert text.count("26.500 ± 0.707 (2)") == 2 and "Curves. σ & 50 %" in text
    assert "??" not in text
    mine = (folder / "paper.tex").read_text().replace("Title}", f"Of \\cellvalue{{{key}}}}}")
    (folder / "paper.tex").write_text(mine)
    for path in folder.rglob("*"):  # all is older than what comes
        os.utime(path, (1e9, 1e9))
    written(folder, 27.0)
    text = pdf_text(folder)
    assert "Of 27.500" in text and text.count("27.500 ± 0.707 (2)") == 2 and "26.500" not in text


@pytest.mark.latex
@needs_latex
def test_a_cell_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "paper"
    written(folder)
    text = (folder / "paper.tex").read_text()
    (folder / "paper.tex").write_text(text.replace("Title}", "\\cell{no/such/cell}}"))
    done = subprocess.run(["make"], cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode != 0 and "There is no cell no/such/cell" in done.stdout


def test_the_command_and_its_makefile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def report(study: object, names: list[str], narrowing: list[str]) -> Report:
        asked.append((study.name, names, narrowing))  # type: ignore[attr-defined]
        return Report([table()], [])

    monkeypatch.setattr(report_module, "report", report)
    folder, results = tmp_path / "paper", tmp_path / "my results"
    cli.main(["paper", "mine", "table1", "noise=0.1", "-o", str(folder), f"results={results}"])
    assert asked == [("mine", ["table1"], ["noise=0.1"])]
    assert re.search(rf"paper    {folder}: 1 tables, \d+ cells, 0 figures", capsys.readouterr().out)
    makefile = (folder / "Makefile").read_text()
    assert "$(GRADPROM) paper mine table1 noise=0.1 -o . 'results=../my results'\n" in makefile
