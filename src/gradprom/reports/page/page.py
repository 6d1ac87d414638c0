"""The report as one page: tables, the runs behind every number, claims and figures.

One HTML file that needs no network: it contains style, script and data; pictures are files beside
it. The templates escape every text. Only our own style and script are inserted unescaped, and the
JSON, which cannot end its script element.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gradprom.reports.page.data import as_json, page_data, relative_link
from gradprom.reports.page.page_claims import claims_view
from gradprom.reports.page.page_runs import RunsView, all_runs, runs_of_table
from gradprom.reports.page.page_table import TableView, table_view
from gradprom.reports.page.page_tunings import tunings
from gradprom.reports.tables import layout, summary_text
from gradprom.reports.tables.table import Table
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.files import write_text

if TYPE_CHECKING:
    from gradprom.reports.claims.verdicts import JudgedClaim
    from gradprom.reports.plots.style import Picture

FOLDER = Path(__file__).parent
TEMPLATES = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals |= {
    "few": 8,  # shorter lists are seen at a glance, and need no filter
    "missing": layout.MISSING,
    "below": layout.BELOW,
    "below_meaning": layout.BELOW_MEANING,
    "summary_note": summary_text.NOTE,
}


@dataclass(frozen=True)
class Part:
    """A part of a tab."""

    anchor: str
    title: str
    template: str
    content: Any
    """What the template shows, under the name `part.content`."""
    figures: tuple[dict[str, str], ...] = ()
    """Pictures that belong to it."""
    about: str = ""
    """What tells it from others, in the tab's contents."""


@dataclass(frozen=True)
class Tab:
    """One of the page's tabs, which are shown one at a time."""

    name: str
    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class TablePart:
    """A table and, unless it is a paper's, the list of its runs."""

    table: TableView
    runs: RunsView | None


def write_page(
    path: Path,
    tables: list[Table],
    records: dict[str, Record],
    study: Study,
    judged: list[JudgedClaim],
    pictures: list[Picture],
    problems: list[str],
    floors: Sequence[str] = (),
) -> None:
    """Write the page.

    Its first tab has what was run: the tables of sweeps and single runs, each with its runs and
    its pictures.

    Parameters
    ----------
    path
        The page's file; its links to the study's folders are relative.
    tables
        In the order of the page.
    records
        By run id; each can be reached as `#run-<id>`.
    study
        The study that holds the runs' folders.
    judged
        The claims.
    pictures
        The figures, as files.
    problems
        What could not be read, a sentence each.
    floors
        What is known of the rounding floor, a sentence each.
    """
    shown = {anchor: table for table, anchor in zip(tables, _anchors(tables), strict=True)}
    keys = {table.key for table in shown.values()}
    parts = {
        "was-run": [
            _table_part(anchor, table, tables, records, pictures, path)
            for anchor, table in shown.items()
            if table.experiment.paper is None
        ],
        "papers": [
            _table_part(anchor, table, tables, records, pictures, path)
            for anchor, table in shown.items()
            if table.experiment.paper is not None
        ],
        "tunings": [
            Part(f"tuning-{tuning.name}", f"Tuning {tuning.name}", "tuning.html", tuning)
            for tuning in tunings(study, path)
        ],
        "claims": _claims_part(judged, floors, pictures, path),
        "figures": _part(
            *("figures", "Figures"),
            [_figure(p, path) for p in pictures if p.table not in keys | {"claims"}],
        ),
        "runs": [Part("all-runs", "Runs", "runs.html", all_runs(records))] if records else [],
        "problems": _part("problems", "Problems", problems),
    }
    page = TEMPLATES.get_template("page.html").render(
        study=study.name,
        summary=_summary(list(records.values())),
        tabs=[Tab(name, TABS[name], tuple(of)) for name, of in parts.items() if of],
        style=_page_file("page.css"),
        data=as_json(page_data(records, study, path)),
        script="".join(map(_page_file, SCRIPTS)),
    )
    write_text(path, page)


TABS = {
    "was-run": "What was run",
    "papers": "Papers’ tables",
    "tunings": "Tunings",
    "claims": "Claims",
    "figures": "Figures",
    "runs": "All runs",
    "problems": "Problems",
}
"""Titles of the tabs, in their order; those without content are left out."""
SCRIPTS = ("page.js", "page_columns.js", "page_details.js", "page_curves.js")


def _part(name: str, title: str, content: list[Any]) -> list[Part]:
    """A tab's only part; none without content."""
    return [Part(name, title, f"{name}.html", content)] if content else []


def _claims_part(
    judged: list[JudgedClaim], floors: Sequence[str], pictures: list[Picture], page: Path
) -> list[Part]:
    """The claims, with the figures of them; none without claims."""
    if not judged:
        return []
    figures = tuple(_figure(picture, page) for picture in pictures if picture.table == "claims")
    return [Part("claims", "Claims", "claims.html", claims_view(judged, floors), figures)]


def _table_part(
    anchor: str,
    table: Table,
    tables: list[Table],
    records: dict[str, Record],
    pictures: list[Picture],
    page: Path,
) -> Part:
    runs = runs_of_table(table, records) if table.experiment.paper is None else None
    figures = tuple(_figure(picture, page) for picture in pictures if picture.table == table.key)
    content = TablePart(table_view(table), runs)
    return Part(
        *(anchor, table.experiment.title, "table.html", content, figures),
        about=_what_tells_apart(table, tables),
    )


def _what_tells_apart(table: Table, tables: list[Table]) -> str:
    """What a sweep varied, or how a table was narrowed if the page has several of its kind."""
    if table.experiment.name.startswith("sweep-"):
        return _varied(table.experiment.caption)
    alike = [set(t.narrowing) for t in tables if t.experiment.name == table.experiment.name]
    own = [word for word in table.narrowing if word not in set.intersection(*alike)]
    return " ".join(own) or ("as declared" if len(alike) > 1 else "")


def _varied(command: str) -> str:
    """The overrides of a command that have several values."""
    return " ".join(word for word in command.split() if set(",(") & set(word))


def _page_file(name: str) -> str:
    """A file of this folder, which the page contains unescaped."""
    return (FOLDER / name).read_text(encoding="utf-8")


def _anchors(tables: list[Table]) -> list[str]:
    """Such as `table1`; for further tables of the same experiment their whole key."""
    names = [table.experiment.key for table in tables]
    return [
        name if name not in names[:i] else table.key
        for i, (name, table) in enumerate(zip(names, tables, strict=True))
    ]


def _summary(records: list[Record]) -> dict[str, str]:
    """When the page was written, and the number, device hours and code of its runs."""
    states = Counter(record.status for record in records)
    hours = sum(record.duration or 0 for record in records) / 3600
    devices = dict.fromkeys(record.device.split(": ")[-1] for record in records)
    revisions = Counter(record.git.text(digits=7) for record in records)
    return {
        "written": time.strftime("%d %B %Y, %H:%M"),
        "runs": ", ".join(f"{n} {state}" for state, n in states.most_common()) or "none",
        "computing": f"{hours:.1f} h on {', '.join(filter(None, devices))}",
        "revision": ", ".join(f"{name} ({n})" for name, n in revisions.most_common()),
    }


def _figure(picture: Picture, page: Path) -> dict[str, str]:
    return {
        "name": picture.name,
        "title": picture.title,
        "caption": picture.caption,
        "png": relative_link(picture.png, page),
        "full_size": relative_link(picture.vector or picture.png, page),
    }
