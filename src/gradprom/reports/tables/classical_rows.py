"""Rows of classical filters beneath the degraded input, and the mark of rows that are below them.

Any run of `method=classical` on the images, degradation and evaluation seed of a table's runs
counts, whatever sweep it is of.
"""

import functools
import json
from collections.abc import Mapping

from gradprom.experiments.declared import Experiment
from gradprom.metrics.registry import METRICS
from gradprom.reports.tables.references import Tested, reference_rows, tested_images
from gradprom.reports.tables.table import Row
from gradprom.runs.record import Record, value_of

_TITLES = {"non_local_means": "non-local means", "bm3d": "BM3D"}
"""Titles of filters; those of others are their names with spaces."""
Filters = Mapping[str, dict[str, Tested]]
"""By test condition and name of the filter: its run."""


def classical_rows(
    experiment: Experiment, rows: list[Row], records: dict[str, Record]
) -> list[Row]:
    """Score the filters on the images of a table's rows, a row for each filter and test set.

    Filters that a row of the table has itself get no second one.
    """
    filters = _filters(records)
    own = {
        (_condition((record, "")), _filter(record))
        for row in rows
        for runs in row.expected.values()
        for record in map(records.get, runs.values())
        if record is not None and _is_classical(record)
    }

    def source(name: str, tested: Tested) -> Tested | None:
        condition = _condition(tested)
        return None if (condition, name) in own else filters.get(condition, {}).get(name)

    filled = []
    for name in sorted({name for of_condition in filters.values() for name in of_condition}):
        title = _TITLES.get(name, name.replace("_", " "))
        of_filter = functools.partial(source, name)
        filled += reference_rows(title, str, experiment, rows, records, of_filter)
    return filled


def mark_below_classical(rows: list[Row], records: dict[str, Record]) -> None:
    """Mark means that, as printed, are not better than the best filter on the same images."""
    filters = _filters(records)
    for row in rows:
        for (_, metric), cell in row.cells.items():
            if cell.value is None or not METRICS[metric].better:
                continue
            record = records[next(iter(cell.finished.values()))]
            if _is_classical(record):
                continue
            runs = filters.get(_condition((record, row.declared.test_set)), {}).values()
            values = [value_of(run, metric, test_set) for run, test_set in runs]
            shown = METRICS[metric]
            ours, *best = (
                shown.sign * round(value, shown.digits)
                for value in (cell.value.mean, *values)
                if value is not None
            )
            cell.below_classical = bool(best) and ours <= max(best)


def _filters(records: dict[str, Record]) -> Filters:
    filters: dict[str, dict[str, Tested]] = {}
    for record in records.values():
        if record.finished and _is_classical(record):
            for tested in [(record, ""), *((record, name) for name in record.evaluate_on)]:
                of_condition = filters.setdefault(_condition(tested), {})
                of_condition.setdefault(_filter(record), tested)
    return filters


def _condition(tested: Tested) -> str:
    """The degraded images that a run is tested on."""
    record, test_set = tested
    degradation = json.dumps(record.setting("degradation"), sort_keys=True)
    return f"{tested_images(record, test_set)} {degradation}"


def _is_classical(record: Record) -> bool:
    return bool(record.setting("method.name") == "classical")


def _filter(record: Record) -> str:
    return str(record.setting("method.filter"))
