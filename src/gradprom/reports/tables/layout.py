"""What all forms of a table share: the order of its parts, its texts, the notes beneath it."""

from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.tables.published import Published
from gradprom.reports.tables.table import Line, Rebuilt, Shown

OURS = "Ours: mean ± sample standard deviation over seeds (their number); ± needs two."
MARKS = "Best bold, second underlined."
MISSING = "–"
BELOW = "↓"
"""Marks a published number that is worse than the degraded input itself."""
SAID_OF_BELOW = "published worse than the degraded input itself"


def slots(table: Rebuilt) -> list[tuple[int, str]]:
    """The number columns: every column's metrics, as far as any row has them."""
    there = {key for line in table.lines for key in line.cells}
    numbered = range(len(table.columns))
    return [(n, m) for n in numbered for m in table.experiment.metrics if (n, m) in there]


def heading(metric: str) -> str:
    """A metric's name above its numbers."""
    return metric_of(metric).title


def details(table: Rebuilt) -> list[str]:
    """Names of what is printed beside the titles, such as `Backbone`, in order."""
    return list(dict.fromkeys(key for line in table.lines for key in line.row.details))


def lines(table: Rebuilt) -> list[Line]:
    """All rows, the degraded input first where it is known."""
    return [*([table.degraded] if table.degraded.cells else []), *table.lines]


def grouped(table: Rebuilt) -> list[tuple[str, list[Line]]]:
    """Neighbouring rows of one group under its heading; no heading where there is no group."""
    groups: list[tuple[str, list[Line]]] = []
    for line in lines(table):
        if not groups or groups[-1][0] != line.row.group:
            groups.append((line.row.group, []))
        groups[-1][1].append(line)
    return groups


def number(value: float, metric: str) -> str:
    """A mean with the digits of its metric."""
    return metric_of(metric).number(value)


def ours(cell: Shown) -> str:
    """Such as `24.610 ± 0.030 (3)`; the mean alone for the degraded input, which no run made."""
    if cell.value is None:
        return ""
    if not cell.finished:
        return number(cell.value.mean, cell.metric)
    return cell.value.text(metric_of(cell.metric).digits)


def theirs(published: Published, metric: str) -> str:
    """The published number as the paper prints it."""
    if published.std is None:
        return number(published.mean, metric)
    one = metric_of(metric)
    digits = one.digits if one.std_digits is None else one.std_digits
    return f"{one.number(published.mean)} ± {published.std:.{digits}f}"


def difference(cell: Shown) -> str:
    """Ours less the published number, signed; nothing where the two are not comparable."""
    if cell.difference is None:
        return ""
    return signed(cell.difference, cell.metric)


def signed(value: float, metric: str) -> str:
    """A difference of means: `+0.111`, `−2.335`, `0.000`."""
    # + 0.0 turns a rounded -0.0 into 0.0
    rounded = round(value, metric_of(metric).digits) + 0.0
    return f"{'+' if rounded > 0 else ''}{number(rounded, metric)}".replace("-", "−")


def said(table: Rebuilt) -> list[str]:
    """What a reader must know of the numbers: what ran, of what, and what the marks mean."""
    cells = [cell for line in table.lines for cell in line.cells.values()]
    told = [f"Asked for with {' '.join(table.asked)}."] if table.asked else []
    told += [f"Ran: {'; '.join(table.setup)}."] if table.setup else []
    if any(c.value and c.published and not c.comparable for c in cells):
        told.append(
            f"The published numbers are of {table.declared}: beside ours of other data they stand "
            f"without a difference."
        )
    if any(cell.published for cell in cells):
        told.append("The published number stands beneath ours, with ours less published.")
    if any(cell.below_degraded for cell in cells):
        told.append(f"{BELOW} {SAID_OF_BELOW}.")
    return told + unrunnable(table)


def unrunnable(table: Rebuilt) -> list[str]:
    """Why rows have no runs, a sentence for each reason."""
    reasons: dict[str, list[str]] = {}
    for line in table.lines:
        for problem in line.problems:
            reasons.setdefault(problem, []).append(f"{line.row.group} {line.row.title}".strip())
    return [f"Not run: {', '.join(labels)}: {problem}." for problem, labels in reasons.items()]
