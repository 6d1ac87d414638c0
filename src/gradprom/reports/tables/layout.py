"""What all forms of a table share: the order of its parts, its texts, the notes below it."""

import math

from gradprom.metrics.registry import NO_NUMBER
from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.tables.published import Published
from gradprom.reports.tables.table import Cell, Row, Slot, Table

MEAN_NOTE = "Ours: mean ± sample standard deviation over seeds (their number); ± needs two."
MISSING = NO_NUMBER
BELOW = "↓"
"""Marks a published number that is worse than the degraded input itself."""
BELOW_MEANING = "published worse than the degraded input itself"
BELOW_CLASSICAL = "†"
"""Marks a number of ours that is not better than the best classical filter's."""
BELOW_CLASSICAL_MEANING = "not better than the best classical filter, which knows the noise"


def slots(table: Table) -> list[Slot]:
    """The columns of numbers, as column number and metric; those that no row has are left out."""
    filled = {key for row in table.rows for key in row.cells}
    numbers = range(len(table.columns))
    return [(n, m) for n in numbers for m in table.experiment.metrics if (n, m) in filled]


def heading(metric: str) -> str:
    """The title of a metric."""
    return metric_of(metric).title


def details(table: Table) -> list[str]:
    """Names of the details printed beside the row titles, such as `Backbone`, in order."""
    return list(dict.fromkeys(key for row in table.rows for key in row.declared.details))


def rows(table: Table) -> list[Row]:
    """All rows, references first."""
    return [*references(table), *table.rows]


def references(table: Table) -> list[Row]:
    """The rows of what no row trained: degraded input, filters, recognizers, baselines."""
    return [*table.degraded, *table.classical, *table.recognizers, *table.baselines]


def grouped(table: Table) -> list[tuple[str, list[Row]]]:
    """Neighbouring rows of one group with its heading, which is empty for rows without a group."""
    groups: list[tuple[str, list[Row]]] = []
    for row in rows(table):
        if not groups or groups[-1][0] != row.declared.group:
            groups.append((row.declared.group, []))
        groups[-1][1].append(row)
    return groups


def number(value: float, metric: str) -> str:
    """A mean with the digits of its metric; in powers of ten for metrics with a log axis."""
    shown = metric_of(metric)
    return shown.brief_text(value) if shown.log else shown.number(value)


def mean_text(cell: Cell) -> str:
    """Our number, such as `24.610 ± 0.030 (3)`; the mean alone for the degraded input.

    Its mean is marked where it is not better than the best classical filter's.
    """
    if cell.value is None:
        return ""
    mark = BELOW_CLASSICAL if cell.below_classical else ""
    mean, std = f"{number(cell.value.mean, cell.metric)}{mark}", cell.value.std
    if not cell.finished:
        return mean
    spread = "" if std is None else f" ± {number(std, cell.metric)}"
    return f"{mean}{spread} ({cell.value.n})"


def published_text(published: Published, metric: str) -> str:
    """The published number as the paper prints it."""
    if published.std is None:
        return number(published.mean, metric)
    shown = metric_of(metric)
    digits = shown.digits if shown.std_digits is None else shown.std_digits
    return f"{shown.number(published.mean)} ± {published.std:.{digits}f}"


def difference_text(cell: Cell) -> str:
    """Our number minus the published one, signed; empty where the two are not comparable."""
    if cell.difference is None:
        return ""
    return signed(cell.difference, cell.metric)


def signed(value: float, metric: str) -> str:
    """A difference of means, such as `+0.111`, `−2.335` or `0.000`."""
    # + 0.0 turns a rounded -0.0 into 0.0
    rounded = round(value, metric_of(metric).digits) + 0.0
    return f"{'+' if 0 < rounded < math.inf else ''}{number(rounded, metric)}".replace("-", "−")


def rank_note(table: Table) -> str:
    """What bold means, and among which rows if the table has several test sets; or empty."""
    cells = [cell for row in table.rows for cell in row.cells.values()]
    if not any(cell.best for cell in cells):
        return ""
    among = ", among the rows tested on the same images" if len(table.degraded) > 1 else ""
    margin = f" and the difference reaches the margin ({margins(table)})" if margins(table) else ""
    sentences = [
        f"Bold: the best of a column and all that are not worse{among}. Worse means that the 95 % "
        f"interval of the paired difference (bootstrap over seeds, groups, images) lies wholly on "
        f"the worse side of 0{margin}."
    ]
    if any(cell.value and cell.value.n == 1 for cell in cells):
        sentences.append("With one seed the interval is over images alone.")
    if not all(cell.paired for cell in cells):
        sentences.append("Where single images have no scores, the margin alone decides.")
    return " ".join(sentences)


def margins(table: Table) -> str:
    """Such as `PSNR 0.05 dB, SSIM 0.001`: of the metrics that the table shows."""
    shown = dict.fromkeys(metric for _, metric in slots(table))
    return ", ".join(
        f"{heading(metric)} {table.margins[metric]:g} {metric_of(metric).unit}".strip()
        for metric in shown
        if table.margins.get(metric)
    )


def plain(text: str) -> str:
    """Text that Markdown shows unchanged."""
    text = "".join(f"\\{c}" if c in "\\`*_[]|#~" else c for c in text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")


def notes(table: Table) -> list[str]:
    """Sentences below the table: the overrides, what ran, and what the marks mean."""
    cells = [cell for row in table.rows for cell in row.cells.values()]
    sentences = [f"Overrides: {' '.join(table.narrowing)}."] if table.narrowing else []
    sentences += [f"Ran: {'; '.join(table.setup)}."] if table.setup else []
    sentences += table.floors
    if any(c.value and c.published and not c.comparable for c in cells):
        sentences.append(
            f"The published numbers are of {table.datasets}; no difference is shown to our "
            f"numbers of other data."
        )
    if any(cell.published for cell in cells):
        sentences.append("Below our number: the published one, and ours minus published.")
    if any(cell.below_degraded for cell in cells):
        sentences.append(f"{BELOW} {BELOW_MEANING}.")
    if any(cell.below_classical for cell in cells):
        sentences.append(f"{BELOW_CLASSICAL} {BELOW_CLASSICAL_MEANING}.")
    if table.recognizers:
        sentences.append("The recognizer on degraded and on clean images: before coupled training.")
    states = [state for row in rows(table) for c in row.cells.values() for state in c.states]
    if any(state.endswith(" left out") for state in states):
        sentences.append(
            "Images left out of a mean: their score is infinite, as is the PSNR of an image that "
            "equals the clean one."
        )
    if any(state.endswith(" not finite") for state in states):
        sentences.append("Not finite: runs whose score is not a number, left out of the mean.")
    return sentences + unrunnable(table)


def unrunnable(table: Table) -> list[str]:
    """Why cells cannot be run, a sentence for each reason."""
    reasons: dict[str, list[str]] = {}
    for row in table.rows:
        for problem in row.problems:
            reasons.setdefault(problem, []).append(
                f"{row.declared.group} {row.declared.title}".strip()
            )
    return [f"Not run: {', '.join(labels)}: {problem}." for problem, labels in reasons.items()]
