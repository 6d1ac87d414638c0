"""What all forms of a table share: the order of its parts, its texts, the notes beneath it."""

from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.tables.published import Published
from gradprom.reports.tables.table import Cell, Row, Table

OURS = "Ours: mean ± sample standard deviation over seeds (their number); ± needs two."
MARKS = "Best bold, second underlined."
MISSING = "–"
BELOW = "↓"
"""Marks a published number that is worse than the degraded input itself."""
SAID_OF_BELOW = "published worse than the degraded input itself"


def slots(table: Table) -> list[tuple[int, str]]:
    """The number columns: every column's metrics, as far as any row has them."""
    there = {key for row in table.rows for key in row.cells}
    numbered = range(len(table.columns))
    return [(n, m) for n in numbered for m in table.experiment.metrics if (n, m) in there]


def heading(metric: str) -> str:
    """A metric's name above its numbers."""
    return metric_of(metric).title


def details(table: Table) -> list[str]:
    """Names of what is printed beside the titles, such as `Backbone`, in order."""
    return list(dict.fromkeys(key for row in table.rows for key in row.declared.details))


def rows(table: Table) -> list[Row]:
    """All rows, the degraded input first where it is known."""
    return [*table.degraded, *table.rows]


def grouped(table: Table) -> list[tuple[str, list[Row]]]:
    """Neighbouring rows of one group under its heading; no heading where there is no group."""
    groups: list[tuple[str, list[Row]]] = []
    for row in rows(table):
        if not groups or groups[-1][0] != row.declared.group:
            groups.append((row.declared.group, []))
        groups[-1][1].append(row)
    return groups


def number(value: float, metric: str) -> str:
    """A mean with the digits of its metric; in powers of ten where its axis is in those."""
    one = metric_of(metric)
    return one.brief.format(value) if one.log else one.number(value)


def ours(cell: Cell) -> str:
    """Such as `24.610 ± 0.030 (3)`; the mean alone for the degraded input, which no run made."""
    if cell.value is None:
        return ""
    mean, std = number(cell.value.mean, cell.metric), cell.value.std
    if not cell.finished:
        return mean
    spread = "" if std is None else f" ± {number(std, cell.metric)}"
    return f"{mean}{spread} ({cell.value.n})"


def theirs(published: Published, metric: str) -> str:
    """The published number as the paper prints it."""
    if published.std is None:
        return number(published.mean, metric)
    one = metric_of(metric)
    digits = one.digits if one.std_digits is None else one.std_digits
    return f"{one.number(published.mean)} ± {published.std:.{digits}f}"


def difference(cell: Cell) -> str:
    """Ours less the published number, signed; nothing where the two are not comparable."""
    if cell.difference is None:
        return ""
    return signed(cell.difference, cell.metric)


def signed(value: float, metric: str) -> str:
    """A difference of means: `+0.111`, `−2.335`, `0.000`."""
    # + 0.0 turns a rounded -0.0 into 0.0
    rounded = round(value, metric_of(metric).digits) + 0.0
    return f"{'+' if rounded > 0 else ''}{number(rounded, metric)}".replace("-", "−")


def said(table: Table) -> list[str]:
    """What a reader must know of the numbers: what ran, of what, and what the marks mean."""
    cells = [cell for row in table.rows for cell in row.cells.values()]
    told = [f"Asked for with {' '.join(table.asked)}."] if table.asked else []
    told += [f"Ran: {'; '.join(table.setup)}."] if table.setup else []
    if any(c.value and c.published and not c.comparable for c in cells):
        told.append(
            f"The published numbers are of {table.datasets}: beside ours of other data they stand "
            f"without a difference."
        )
    if any(cell.published for cell in cells):
        told.append("The published number stands beneath ours, with ours less published.")
    if any(cell.below_degraded for cell in cells):
        told.append(f"{BELOW} {SAID_OF_BELOW}.")
    return told + unrunnable(table)


def unrunnable(table: Table) -> list[str]:
    """Why rows have no runs, a sentence for each reason."""
    reasons: dict[str, list[str]] = {}
    for row in table.rows:
        for problem in row.problems:
            reasons.setdefault(problem, []).append(
                f"{row.declared.group} {row.declared.title}".strip()
            )
    return [f"Not run: {', '.join(labels)}: {problem}." for problem, labels in reasons.items()]
