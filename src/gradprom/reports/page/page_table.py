"""A rebuilt table as HTML, in the paper's layout, for the report's page."""

from html import escape

from gradprom.reports.tables import layout
from gradprom.reports.tables.table import Line, Rebuilt, Shown

_BADGES = ("failed", "mixed", "other", "not", "seeds")
"""Words of the states that the style knows."""


def section(anchor: str, title: str, content: str) -> str:
    """A part of the page, which the navigation can show alone."""
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{content}</section>\n'


def listed(texts: list[str]) -> str:
    """A list of sentences; nothing for none."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="notes">{items}</ul>' if texts else ""


def table_section(table: Rebuilt, anchor: str) -> str:
    """A table with its caption, legend and slips; numbers that have runs are buttons."""
    details, shown = layout.details(table), layout.slots(table)
    body = "".join(
        _group(group, 1 + len(details) + len(shown))
        + "".join(_row(table, line, details, shown) for line in lines)
        for group, lines in layout.grouped(table)
    )
    title = escape(table.experiment.title)
    legend = " ".join([layout.OURS, layout.MARKS, *layout.said(table)])
    slips = f"<h3>Slips in the paper’s table</h3>{listed(list(table.experiment.slips))}"
    return section(
        anchor,
        table.experiment.title,
        f'<p class="caption">{escape(table.experiment.caption)}</p>'
        f'<div class="box" tabindex="0" role="region" aria-label="{title}">'
        f"<table class=results><thead>{_head(table, details, shown)}</thead>"
        f"<tbody>{body}</tbody></table></div>"
        f'<p class="legend">{escape(legend)}</p>'
        f"{slips if table.experiment.slips else ''}",
    )


def _head(table: Rebuilt, details: list[str], shown: list[tuple[int, str]]) -> str:
    above = f'<th colspan="{1 + len(details)}"></th>'
    for number, column in enumerate(table.columns):
        span = sum(n == number for n, _ in shown)
        above += f'<th scope=colgroup colspan="{span}"><span>{escape(column.title)}</span></th>'
    names = "<th></th>" + "".join(f"<th class=detail>{escape(name)}</th>" for name in details)
    names += "".join(
        f'<th scope=col class="{_side(shown, i)}"><button type=button class=sort>'
        f"{escape(layout.heading(metric))}</button></th>"
        for i, (_, metric) in enumerate(shown)
    )
    return f"<tr class=above>{above}</tr><tr>{names}</tr>"


def _side(shown: list[tuple[int, str]], place: int) -> str:
    """Marks the first metric of a column, so that columns stand apart."""
    return "first" if place == 0 or shown[place][0] != shown[place - 1][0] else ""


def _group(title: str, span: int) -> str:
    if not title:
        return ""
    return f'<tr class=group><th colspan="{span}"><span>{escape(title)}</span></th></tr>'


def _row(table: Rebuilt, line: Line, details: list[str], shown: list[tuple[int, str]]) -> str:
    row = line.row
    group = f"<span class=of>{escape(row.group)}</span> " if row.group else ""
    waits = "".join(f"<small>{escape(problem)}</small>" for problem in line.problems)
    cells = f"<th scope=row>{group}{escape(row.title)}{waits}</th>"
    cells += "".join(f"<td class=detail>{escape(row.details.get(d, ''))}</td>" for d in details)
    for i, (number, metric) in enumerate(shown):
        place = (table.experiment.title, row.label, table.columns[number].title)
        cells += _cell(line, (number, metric), _side(shown, i), place)
    kind = "pinned" if line is table.degraded else "grouped" if row.group else ""
    return f'<tr class="{kind}">{cells}</tr>'


def _cell(line: Line, key: tuple[int, str], side: str, place: tuple[str, ...]) -> str:
    """A number; where it has runs, a button that opens them."""
    cell, runs = line.cells.get(key), line.expected.get(key[0])
    if cell is None:
        return f'<td class="{side} none">{layout.MISSING}</td>'
    kind = {1: "best", 2: "second"}.get(cell.place, "")
    first = f'<td class="{side} {kind}" data-ours="{cell.value.mean if cell.value else ""}">'
    if not runs:
        return f"{first}{_number(cell)}</td>"
    told = {
        "data-runs": " ".join(f"{seed}:{run}" for seed, run in runs.items()),
        "data-place": " · ".join(place),
        "data-metric": cell.metric,
        "data-test-set": line.row.test_set,
        "title": " · ".join([*place, layout.heading(cell.metric)]),
    }
    attributes = " ".join(f'{name}="{escape(value)}"' for name, value in told.items())
    button = f"<button type=button class=cell tabindex=-1 aria-expanded=false {attributes}>"
    return f"{first}{button}{_number(cell)}</button></td>"


def _number(cell: Shown) -> str:
    mean, _, rest = layout.ours(cell).partition(" ")
    ours = f"<b>{mean}</b> <small>{rest.replace('± ', '±')}</small>" if mean else layout.MISSING
    text = f"<span class=ours>{ours}</span>"
    if cell.published is not None:
        printed = layout.theirs(cell.published, cell.metric)
        mark = f"<abbr title='{layout.SAID_OF_BELOW}'>{layout.BELOW}</abbr>"
        text += f"<span class=theirs title='published: {printed}'>{printed.split(' ')[0]}"
        text += f"{mark if cell.below_degraded else ''} <i>{layout.difference(cell)}</i></span>"
    return text + "".join(_badge(state) for state in cell.states)


def _badge(state: str) -> str:
    """A state in words, which its colour only repeats."""
    kind = next(word for word in (*_BADGES, "") if word in state)
    return f'<span class="badge {kind}">{escape(state)}</span>'
