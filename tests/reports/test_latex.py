"""Tables as LaTeX: what is escaped, and that pdflatex prints every number."""

import dataclasses
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
from support import records_factory

from gradprom.experiments import declared
from gradprom.reports.tables import latex
from gradprom.reports.tables.table import Table
from gradprom.runs.record import Revision

NAMES = [experiment.name for experiment in declared.default()]
NASTY = r"a_b % & # {c} ~ ^ \d $ <e> | \"f\" `g` σ γ λ Ω ± × ’ “h” é ß ς 日 ‖"


def compiled(text: str, folder: Path) -> tuple[str, str]:
    """The log and the text of the pages."""
    (folder / "tables.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60)
    log = (folder / "tables.log").read_text(errors="replace")
    assert done.returncode == 0, log[-3000:]
    pages = subprocess.run(
        ["pdftotext", "-layout", "tables.pdf", "-"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return log, unicodedata.normalize("NFKC", pages.stdout)


needs_latex = pytest.mark.skipif(
    not (shutil.which("pdflatex") and shutil.which("pdftotext")),
    reason="pdflatex and pdftotext are not installed",
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Table]:
    """All of the paper's, with all that a cell can have in it."""
    made = records_factory.make(tmp_path_factory.mktemp("made"), NAMES, rows=3)
    for number, record in enumerate(list(made.records.values())):
        if number % 5 == 0:
            made.records[record.id] = records_factory.failed(record, "out of memory")
        if number % 7 == 0:
            made.change(made.records[record.id], git=Revision())
    return made.tables()


@pytest.mark.latex
@needs_latex
def test_every_table_compiles_and_fits_its_page(tables: list[Table], tmp_path: Path) -> None:
    log, text = compiled(latex.document(tables), tmp_path)
    assert "Overfull" not in log and "Float too large" not in log
    pages = text.split("\f")
    assert len(pages) == len(tables) + 1
    for table, page in zip(tables, pages, strict=False):
        assert table.experiment.title in page
        for row in [*table.degraded, *table.rows]:
            for cell in row.cells.values():
                if cell.value is not None:
                    assert f"{cell.value.mean:.3f}" in page
                if cell.published is not None:
                    assert f"{cell.published.mean:.3f}" in page
    assert "1 failed" in text and "2/3 seeds" in text and "mixed revisions" in text


@pytest.mark.latex
@needs_latex
def test_names_cannot_break_it(tables: list[Table], tmp_path: Path) -> None:
    table = tables[4]
    named = {"title": NASTY, "group": NASTY, "details": {"a_b": NASTY}}
    rows = [
        dataclasses.replace(
            row, declared=dataclasses.replace(row.declared, **named), problems=[NASTY]
        )
        for row in table.rows
    ]
    experiment = dataclasses.replace(table.experiment, title=NASTY, caption=NASTY, slips=(NASTY,))
    nasty = dataclasses.replace(table, rows=rows, experiment=experiment, narrowing=[f"x={NASTY}"])
    _, text = compiled(latex.document([nasty]), tmp_path)
    for told in ("b % & # {c}", r"\d $ <e> |", "σ γ λ", "± ×", "[U+65E5]"):
        assert told in text
    assert "é" in text and "ß" in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("V_R", r"V\_R"),
        ("100 % & more #1", r"100 \% \& more \#1"),
        ("{a} $b", r"\{a\} \$b"),
        ("\\", r"\textbackslash{}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("σ = 0.1", r"$\sigma$ = 0.1"),
        ("γ λ Ω ς", r"$\gamma$ $\lambda$ $\Omega$ [U+03C2]"),
        ("CVPR’17", "CVPR'17"),
        ("1 ± 2 − 3", r"1 $\pm$ 2 $-$ 3"),
        ("日\x07", "[U+65E5][U+0007]"),
        ("e\u0301", "é"),
    ],
)
def test_escaping(text: str, escaped: str) -> None:
    assert latex.escape(text) == escaped


def test_the_best_are_bold(tables: list[Table]) -> None:
    table = tables[0]
    cells = [c for row in table.rows for c in row.cells.values() if c.best and c.value]
    wanted = [f"{cell.value.mean:.3f}" for cell in cells if cell.value]
    found = re.findall(r"\\textbf\{(\d+\.\d+) [^}]*\}", latex.latex(table))
    assert found == wanted and len(found) >= 12


def test_groups_span_the_table_and_columns_their_metrics(tables: list[Table]) -> None:
    text = latex.latex(tables[0])
    assert r"\multicolumn{13}{l}{\textit{Unsup.}}" in text
    assert text.count(r"\multicolumn{3}{c}") == 4
    assert r"\cmidrule(lr){2-4}\cmidrule(lr){5-7}\cmidrule(lr){8-10}\cmidrule(lr){11-13}" in text
