"""A column of a table: the degradation, in its own words."""

from typing import Any

from gradprom.degradations import labels

Options = dict[str, Any]


def title(degradation: Options) -> str:
    """Such as `σ=0.1`, `×2`, or `blur 3×3 σ=2 + Poisson 0.1 + σ=0.3`.

    `degradation` is a record's configuration. Two that differ have different titles.
    """
    return labels.label(degradation)


def rank(degradation: Options) -> tuple[Any, ...]:
    """What columns are sorted by: single degradations first, kind by kind, in rising values."""
    return labels.sort_key(degradation), title(degradation)
