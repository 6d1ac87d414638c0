"""A LaTeX article whose tables, figures and numbers are those of a report.

    <folder>/paper.tex             the text; written once, and then the author's
             Makefile              `make` compiles it, `make numbers` takes the numbers anew
             generated/numbers.tex a definition for each cell of each table
                       cells.txt   their keys, with what they print
                       tables.tex figures.tex and what they include

A cell's key is `<table>/<group>/<row>/<column>/<metric>`, in ASCII letters.
"""

import os
import re
import shlex
import shutil
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gradprom.reports.plots.style import Picture
from gradprom.reports.tables import layout
from gradprom.reports.tables.latex import escape, label, latex
from gradprom.reports.tables.table import Cell, Row, Table
from gradprom.storage.files import replacing, write_text

_IN_TEXT = 3
"""Cells that the first text quotes."""
_MACROS = r"""% Written by `gradprom paper`, which writes it again: change paper.tex instead.
% \cellvalue{KEY} is a mean, \cellspread{KEY} its sample standard deviation over runs,
% \cellruns{KEY} the number of runs, \cell{KEY} all of them. The keys are in cells.txt.
\makeatletter
\newcommand{\gp@cell}[4]{%
  \@namedef{gp@value@#1}{#2}\@namedef{gp@spread@#1}{#3}\@namedef{gp@runs@#1}{#4}}
\newcommand{\gp@get}[2]{\@ifundefined{gp@#1@#2}{\PackageError{gradprom}{There is no cell #2}%
  {The keys are in generated/cells.txt.}}{\@nameuse{gp@#1@#2}}}
\newcommand{\cellvalue}[1]{\gp@get{value}{#1}}
\newcommand{\cellspread}[1]{\gp@get{spread}{#1}}
\newcommand{\cellruns}[1]{\gp@get{runs}{#1}}
\newcommand{\cell}[1]{\cellvalue{#1}\expandafter\ifx\csname gp@spread@#1\endcsname\@empty\else
  ~$\pm$~\cellspread{#1}\fi\ (\cellruns{#1})}
"""
_TEXT = r"""\documentclass[a4paper,11pt]{article}
\usepackage[utf8]{inputenc}
\usepackage{amsmath,booktabs,graphicx}
\usepackage[margin=25mm]{geometry}
\input{generated/numbers}

\title{Title}
\author{Authors}

\begin{document}
\maketitle

\section{Results}
%s

\input{generated/tables}
\input{generated/figures}

\end{document}
"""
_MAKEFILE = """# `make` compiles the paper; `make numbers` takes the numbers from the records anew.
GRADPROM = gradprom

paper.pdf: paper.tex generated/numbers.tex
\tpdflatex -interaction=nonstopmode -halt-on-error paper.tex
\tpdflatex -interaction=nonstopmode -halt-on-error paper.tex

numbers:
\t$(GRADPROM) %s

.PHONY: numbers
"""


@dataclass(frozen=True)
class KeyedCell:
    """A cell with its key."""

    key: str
    table: Table
    row: Row
    column: str
    cell: Cell


def write(
    folder: Path, tables: list[Table], pictures: list[Picture], results: Path, words: Iterable[str]
) -> list[KeyedCell]:
    """Write an article, or take the numbers of one anew.

    Parameters
    ----------
    folder
        Of the article; what the author may have changed in it stays.
    tables, pictures
        Those of a report.
    results
        The folder of results, to which the Makefile's path is relative.
    words
        The study, and the tables and overrides of the command line.

    Returns
    -------
    list
        Every cell.
    """
    cells = keyed(tables)
    generated = folder / "generated"
    for number, table in enumerate(tables):
        write_text(generated / f"table-{number + 1}.tex", latex(table))
    inputs = [rf"\input{{generated/table-{number + 1}}}" for number in range(len(tables))]
    write_text(generated / "tables.tex", "\n".join(inputs) + "\n")
    write_text(generated / "figures.tex", "".join(_figure(each, generated) for each in pictures))
    write_text(generated / "cells.txt", "".join(map(_listed, cells)))
    if not (folder / "paper.tex").exists():
        write_text(folder / "paper.tex", _TEXT % "\n".join(_sentences(cells)))
    if not (folder / "Makefile").exists():
        place = shlex.quote(f"results={os.path.relpath(results, folder)}")
        command = f"paper {shlex.join(words)} -o . {place}".replace("$", "$$")
        write_text(folder / "Makefile", _MAKEFILE % command)
    # last, because `make` compares its time
    definitions = "".join(map(_definition, cells))
    write_text(generated / "numbers.tex", f"{_MACROS}{definitions}\\makeatother\n")
    return cells


def keyed(tables: list[Table]) -> list[KeyedCell]:
    """Every cell of some tables with a key of its own, in their order."""
    cells: dict[str, KeyedCell] = {}
    for table in tables:
        for row in table.rows:
            for (number, metric), cell in row.cells.items():
                column = table.columns[number].title
                declared = row.declared
                parts = [table.key, declared.group, declared.title, *declared.details.values()]
                key = "/".join(filter(None, map(slug, [*parts, column, metric])))
                again = sum(other == key or other.startswith(f"{key}/again") for other in cells)
                key += f"/again{again}" * bool(again)
                cells[key] = KeyedCell(key, table, row, column, cell)
    return list(cells.values())


def slug(text: str) -> str:
    """A text in ASCII letters, digits, dots and hyphens: `σ = 0.1` is `sigma-0.1`."""
    letters = (_spelt(character) for character in unicodedata.normalize("NFKD", text))
    return re.sub(r"[^A-Za-z0-9.]+", "-", "".join(letters)).strip("-.")


def _spelt(character: str) -> str:
    name = unicodedata.name(character, "").replace("LAMDA", "LAMBDA")
    return name.rpartition(" LETTER ")[2].lower() if name.startswith("GREEK") else character


def _numbers(cell: Cell) -> tuple[str, str, str]:
    """Value, spread and number of runs as LaTeX; the spread may be empty."""
    if cell.value is None:
        return r"\textbf{??}", "", "0"
    spread = "" if cell.value.std is None else layout.number(cell.value.std, cell.metric)
    runs = cell.value.n if cell.finished else 0
    return escape(layout.number(cell.value.mean, cell.metric)), escape(spread), str(runs)


def _definition(keyed_cell: KeyedCell) -> str:
    numbers = "".join(f"{{{text}}}" for text in _numbers(keyed_cell.cell))
    return f"\\gp@cell{{{keyed_cell.key}}}{numbers}\n"


def _listed(keyed_cell: KeyedCell) -> str:
    cell = keyed_cell.cell
    texts = filter(None, [layout.mean_text(cell), *cell.states])
    return f"{keyed_cell.key}  {', '.join(texts) or layout.MISSING}\n"


def _sentences(cells: list[KeyedCell]) -> list[str]:
    """A line for some of the cells, to show how numbers come into the text."""
    own = [each for each in cells if each.cell.finished and not each.row.reference]
    return [
        rf"In {escape(each.column)}, {escape(each.row.declared.title)} has "
        rf"\cell{{{each.key}}} {escape(layout.heading(each.cell.metric))} "
        rf"(Table~\ref{{{label(each.table)}}})."
        for each in (own or cells)[:_IN_TEXT]
    ]


def _figure(picture: Picture, generated: Path) -> str:
    """A figure environment; its image is copied."""
    name = slug(picture.name)
    with picture.png.open("rb") as source, replacing(generated / f"{name}.png") as target:
        shutil.copyfileobj(source, target)
    caption = escape(f"{picture.title}. {picture.caption}".strip())
    return "\n".join(
        [
            r"\begin{figure}[p]",
            r"\centering",
            rf"\includegraphics[width=\linewidth,height=0.8\textheight,keepaspectratio]"
            rf"{{generated/{name}.png}}",
            rf"\caption{{{caption}}}",
            rf"\label{{fig:{name}}}",
            "\\end{figure}\n",
        ]
    )
