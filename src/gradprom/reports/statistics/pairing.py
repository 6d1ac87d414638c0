"""What makes scores of several runs on the same images comparable, image by image."""

from collections.abc import Sequence

import numpy as np

from gradprom.metrics.pooling import Mean, column
from gradprom.metrics.registry import Metric, Table


def comparable(metric: Metric, tables: Sequence[Table]) -> list[Table]:
    """The tables without the values of images that have no finite one in each of them.

    A mean over other images than another run's would be no comparison. Pooled scores, such as an
    accuracy, have no such values.

    Parameters
    ----------
    metric
        The score that is compared.
    tables
        Columns by name, [images] each, in the same order of images.
    """
    if not isinstance(metric.score, Mean):
        return list(tables)
    name = metric.score.column
    values = [column(table, name) for table in tables]
    finite = np.logical_and.reduce([np.isfinite(each) for each in values])
    return [
        {**table, name: np.where(finite, each, np.nan)}
        for table, each in zip(tables, values, strict=True)
    ]
