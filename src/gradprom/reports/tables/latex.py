"""A table as LaTeX, for plain pdflatex with booktabs, graphicx and inputenc."""

import unicodedata

from gradprom.reports.tables import layout
from gradprom.reports.tables.table import Cell, Row, Table

_PREAMBLE = r"""\documentclass[a4paper,landscape,10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage{amsmath,booktabs,graphicx}
\usepackage[margin=12mm]{geometry}
\pagestyle{empty}
\begin{document}
"""
# shrink to the line width, but never enlarge
_FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"

_TEXT = {
    **{c: f"\\{c}" for c in "_%&#{}$"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "|": "$|$", '"': "''", "`": r"\textasciigrave{}", "\n": " "},
    **{"’": "'", "‘": "`", "“": "``", "”": "''", "–": "--", "—": "---", "…": r"\ldots{}"},
    **{"±": r"$\pm$", "×": r"$\times$", "−": "$-$", "·": r"$\cdot$", "‖": r"$\|$"},
    **{"≤": r"$\leq$", "≥": r"$\geq$", "→": r"$\to$", "↓": r"$\downarrow$", "↑": r"$\uparrow$"},
    **{"†": r"\dag{}"},
    **{c: c for c in "ßæøåœłÆØÅŒŁ"},
}
_CAPITALS = "GAMMA DELTA THETA LAMBDA XI PI SIGMA UPSILON PHI PSI OMEGA".split()
_ACCENTS = set("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327")


def document(tables: list[Table]) -> str:
    """A LaTeX file that compiles by itself, with a page for each table."""
    return _PREAMBLE + "\\clearpage\n".join(map(latex, tables)) + "\\end{document}\n"


def latex(table: Table) -> str:
    """A `table` environment; the best in `\\textbf`, published numbers below ours.

    Needs the packages booktabs and graphicx, and inputenc with utf8.
    """
    body = [
        r"\begin{table}[p]",
        r"\centering",
        rf"\caption{{{escape(table.experiment.title)}. {escape(table.experiment.caption)}}}",
        rf"\label{{{label(table)}}}",
        _FITTED,
        *_tabular(table),
        "}",
        rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {_notes(table)}}}",
        r"\end{table}",
    ]
    return "\n".join(body) + "\n"


def label(table: Table) -> str:
    """What `\\ref` calls a table."""
    return f"tab:{''.join(c if c.isascii() and c.isalnum() else '-' for c in table.key)}"


def escape(text: str) -> str:
    """Text that LaTeX prints unchanged; letters that it lacks become `[U+65E5]`."""
    return "".join(map(_escaped, unicodedata.normalize("NFC", text)))


def _escaped(character: str) -> str:
    if character in _TEXT:
        return _TEXT[character]
    if character.isascii() and character.isprintable():
        return character
    name = unicodedata.name(character, "").replace("LAMDA", "LAMBDA")
    kind, _, letter = name.rpartition(" LETTER ")
    if kind == "GREEK SMALL" and letter.isalpha() and letter != "OMICRON":
        return rf"$\{letter.lower()}$"
    if kind == "GREEK CAPITAL" and letter in _CAPITALS:
        return rf"$\{letter.capitalize()}$"
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        return character
    return f"[U+{ord(character):04X}]"


def _tabular(table: Table) -> list[str]:
    details, slots = layout.details(table), layout.slots(table)
    left = 1 + len(details)
    lines = [
        rf"\begin{{tabular}}{{{'l' * left}{'r' * len(slots)}}}",
        r"\toprule",
        *_head(table, details, slots),
        r"\midrule",
    ]
    for number, (group, rows) in enumerate(layout.grouped(table)):
        if number:
            lines.append(r"\addlinespace")
        if group:
            lines.append(
                rf"\multicolumn{{{left + len(slots)}}}{{l}}{{\textit{{{escape(group)}}}}}\\"
            )
        lines += [_row(row, details, slots, indent=bool(group)) for row in rows]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _head(table: Table, details: list[str], slots: list[tuple[int, str]]) -> list[str]:
    """The titles of columns, a rule below each, and the titles of their metrics."""
    titles, rules, first = [], [], 2 + len(details)
    for number, column in enumerate(table.columns):
        span = sum(n == number for n, _ in slots)
        titles.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(column.title)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + span - 1}}}")
        first += span
    names = ["", *details, *(layout.heading(metric) for _, metric in slots)]
    return [
        " & ".join(["" for _ in ["", *details]] + titles) + r" \\",
        "".join(rules),
        " & ".join(map(escape, names)) + r" \\",
    ]


def _row(row: Row, details: list[str], slots: list[tuple[int, str]], indent: bool) -> str:
    title = (r"\quad " if indent else "") + escape(row.declared.title)
    texts = [escape(row.declared.details.get(name, "")) for name in details]
    return " & ".join([title, *texts, *(_cell(row.cells.get(key)) for key in slots)]) + r" \\[2pt]"


def _cell(cell: Cell | None) -> str:
    """Our number, the published one and the states, one below the other."""
    if cell is None:
        return escape(layout.MISSING)
    number = escape(layout.mean_text(cell) or layout.MISSING)
    number = rf"\textbf{{{number}}}" if cell.best else number
    below = []
    if cell.published is not None:
        mark = layout.BELOW if cell.below_degraded else ""
        published = layout.published_text(cell.published, cell.metric) + mark
        below.append(escape("; ".join(filter(None, [published, layout.difference_text(cell)]))))
    below += [rf"\textit{{{escape(state)}}}" for state in cell.states]
    if not below:
        return number
    stacked = rf"{{\normalsize {number}}} \\[2pt] " + r" \\ ".join(below)
    return rf"{{\scriptsize\begin{{tabular}}[t]{{@{{}}r@{{}}}}{stacked}\end{{tabular}}}}"


def _notes(table: Table) -> str:
    rank_note = layout.rank_note(table)
    notes = " ".join(filter(None, [layout.MEAN_NOTE, rank_note, *layout.notes(table)]))
    slips = [f"Slip in the paper: {slip}" for slip in table.experiment.slips]
    return r" \par ".join(map(escape, [notes, *slips]))
