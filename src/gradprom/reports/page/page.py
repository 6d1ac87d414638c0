"""The report as one page: tables, the runs behind every number, claims and figures.

One HTML file without a network: style, script and data are inside; pictures are files beside it.
All that comes from records is escaped here, or put in as text by the script.
"""

from __future__ import annotations

import time
from collections import Counter
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from gradprom.reports.page.data import address, as_json, embedded
from gradprom.reports.page.page_table import listed, section, table_section
from gradprom.reports.tables import layout
from gradprom.reports.tables.table import Rebuilt, Record
from gradprom.runs.records import Study
from gradprom.storage.files import write_text

if TYPE_CHECKING:
    from gradprom.reports.claims.verdicts import Contrast, Judged
    from gradprom.reports.plots.style import Picture


def write_page(
    path: Path,
    rebuilt: list[Rebuilt],
    records: dict[str, Record],
    study: Study,
    judged: list[Judged],
    pictures: list[Picture],
    problems: list[str],
) -> None:
    """Write the page to `path`, with links to the study's folders relative to it.

    Parameters
    ----------
    records
        By run id; those of no table can be reached as `#run-<id>`.
    problems
        What could not be read, a sentence each.
    """
    sections = {
        anchor: (table.experiment.title, table_section(table, anchor))
        for table, anchor in zip(rebuilt, _anchors(rebuilt), strict=True)
    }
    for title, found in (
        ("Claims", "".join(map(_claim, judged))),
        ("Figures", "".join(_figure(picture, path) for picture in pictures)),
        ("Problems", listed(problems)),
    ):
        if found:
            sections[title.lower()] = title, section(title.lower(), title, found)
    page = Template(_part("page.html")).substitute(
        title=escape(f"{study.name} – report"),
        study=escape(study.name),
        summary=_summary(list(records.values())),
        links="".join(f'<a href="#{a}">{escape(title)}</a>' for a, (title, _) in sections.items()),
        sections="".join(content for _, content in sections.values()),
        style=_part("page.css"),
        data=as_json(embedded(records, study, path)),
        script="".join(map(_part, ("page.js", "page_details.js", "page_curves.js"))),
    )
    write_text(path, page)


def _part(name: str) -> str:
    return Path(__file__).with_name(name).read_text()


def _anchors(rebuilt: list[Rebuilt]) -> list[str]:
    """`table1`; further ones of the same experiment by their whole key."""
    names = [table.experiment.key for table in rebuilt]
    return [
        escape(name if name not in names[:i] else table.key)
        for i, (name, table) in enumerate(zip(names, rebuilt, strict=True))
    ]


def _summary(records: list[Record]) -> str:
    """When, how many runs, of which code, on which devices."""
    states = Counter(record["status"] for record in records)
    hours = sum(record.get("duration", 0) for record in records) / 3600
    devices = dict.fromkeys(str(record.get("device", "")).split(": ")[-1] for record in records)
    revisions = Counter(_revision(record["git"]) for record in records)
    told = {
        "written": time.strftime("%d %B %Y, %H:%M"),
        "runs": ", ".join(f"{n} {state}" for state, n in states.most_common()) or "none",
        "computing": f"{hours:.1f} h on {', '.join(filter(None, devices))}",
        "revision": ", ".join(f"{name} ({n})" for name, n in revisions.most_common()),
    }
    return "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in told.items())


def _revision(git: dict[str, Any]) -> str:
    return f"{(git['revision'] or 'no git')[:7]}{' with changes' if git['dirty'] else ''}"


def _claim(claim: Judged) -> str:
    rows = "".join(map(_contrast, claim.contrasts))
    names = ("contrast", "ours, 95 % interval", "", "published", "", "")
    head = "".join(f"<th>{name}</th>" for name in names)
    return (
        f'<article class=claim id="claim-{escape(claim.name)}"><h3>{escape(claim.name)} '
        f"{_verdict('ours', claim.verdict, claim.counts)}"
        f"{_verdict('published', claim.published_verdict, claim.published_counts)}</h3>"
        f"<p>{escape(claim.text)} <cite>{escape(claim.source)}</cite></p>"
        f"<details><summary>{_counted(len(claim.contrasts))}</summary><div class=box>"
        f"<table class=plain><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        "</details></article>"
    )


def _counted(number: int) -> str:
    return f"{number} contrast{'s' if number != 1 else ''}"


def _verdict(whose: str, verdict: str, counts: str = "") -> str:
    told = f" <i>{escape(counts)}</i>" if counts else ""
    kind = verdict.replace(" ", "-")
    return f'<span class="verdict v-{kind}"><i>{whose}</i> <b>{escape(verdict)}</b>{told}</span>'


def _contrast(contrast: Contrast) -> str:
    def number(value: float | None) -> str:
        return layout.MISSING if value is None else layout.signed(value, contrast.metric)

    interval = f" [{number(contrast.low)}, {number(contrast.high)}]"
    seeds = ", ".join(f"seed {seed}: {number(v)}" for seed, v in contrast.by_seed.items())
    ours = number(contrast.effect) + (interval if contrast.low is not None else "")
    cells = [
        escape(contrast.text),
        f'<span title="{escape(seeds)}">{ours}</span>',
        _verdict("", contrast.verdict),
        number(contrast.published),
        _verdict("", contrast.published_verdict),
        escape(contrast.reason),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _figure(picture: Picture, page: Path) -> str:
    png, whole = address(picture.png, page), address(picture.vector or picture.png, page)
    title = escape(picture.title)
    return (
        f'<figure id="figure-{escape(picture.name)}"><a href="{whole}">'
        f'<img loading=lazy src="{png}" alt="{title}"></a>'
        f"<figcaption><b>{title}.</b> {escape(picture.caption)}</figcaption></figure>"
    )
