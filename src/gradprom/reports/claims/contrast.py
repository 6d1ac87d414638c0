"""One contrast of a claim: its effect, its interval, and whether it holds.

A contrast is a gain: of a metric of which less is better it is taken the other way round. It
holds when its 95 % bootstrap interval lies above 0 and every seed agrees. Published numbers are
judged by the sign of their difference alone: means of three decimals have no interval.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from gradprom.experiments.expansion import Cell, Expansion
from gradprom.metrics.registry import metric
from gradprom.reports.claims.image_scores import Evidence, Scored
from gradprom.reports.claims.specs import Sum, Term
from gradprom.reports.tables.published import published

HOLDS, FAILS, OPEN = "holds", "does not", "not decidable"


@dataclass
class Contrast:
    """One signed sum of cells, ours and the paper's."""

    text: str
    """Such as `Table I, σ = 0.1, PSNR: Sup. GradProm − Sup. Frozen-params.`."""
    metric: str
    published: float | None
    """None where one of its numbers is not printed."""
    published_verdict: str
    effect: float | None = None
    """Ours, mean over seeds; None where no seed has all its runs."""
    low: float | None = None
    high: float | None = None
    """The 95 % interval; None with fewer than 2 seeds."""
    by_seed: dict[int, float] = field(default_factory=dict)
    verdict: str = OPEN
    """`holds`, `does not` or `not decidable`."""
    reason: str = ""
    """Why it is not decidable; empty otherwise."""
    asked: bool = True
    """Whether all its cells are among those reported; others do not count for our verdict."""


def contrast(
    one: Sum, two_sided: bool, expansions: dict[str, Expansion], evidence: Evidence
) -> Contrast:
    """Judge a signed sum of cells; `two_sided` ones hold on either side of 0."""
    printed = _published(one)
    found = Contrast(one.text, one.metric, printed, _sign(printed, two_sided))
    cells = [_cell(term, expansions) for term in one.terms]
    there = [cell for cell in cells if cell is not None]
    if len(there) < len(cells):
        found.asked, found.reason = False, "not among the cells reported"
        return found
    scores = [evidence.of(cell, one.metric) for cell in there]
    found.reason = _missing(one, there, scores, evidence)
    if _same_tests(one, scores):
        _measure(found, one, scores, evidence)
    else:
        found.reason = found.reason or "runs on different test sets"
    if not found.reason:
        found.verdict = _verdict(found, two_sided)
    return found


def _published(one: Sum) -> float | None:
    found = [published(t.experiment, t.row, t.column, one.metric) for t in one.terms]
    values = [t.sign * p.mean for t, p in zip(one.terms, found, strict=True) if p is not None]
    # printed decimals that cancel leave nothing; as floats they leave 1e-16
    return round(sum(values), 6) if len(values) == len(one.terms) else None


def _sign(difference: float | None, two_sided: bool) -> str:
    if difference is None:
        return OPEN
    return HOLDS if difference > 0 or (two_sided and difference < 0) else FAILS


def _cell(term: Term, expansions: dict[str, Expansion]) -> Cell | None:
    """The cell of a term, None where it is not reported."""
    expansion = expansions.get(term.experiment.name)
    for cell in expansion.cells if expansion else ():
        # narrowing changes a row's overrides, not what it is called
        if (cell.row.label, cell.column.title) == (term.row.label, term.column.title):
            return cell
    return None


def _missing(
    one: Sum, cells: list[Cell], scores: list[dict[int, Scored]], evidence: Evidence
) -> str:
    """What keeps a contrast from being decided; nothing if all runs are there."""
    told = []
    for term, cell, by_seed in zip(one.terms, cells, scores, strict=True):
        if cell.problem or len(by_seed) < len(cell.runs):
            state = _state(cell, evidence.finished(cell), metric(one.metric).title)
            told.append(f"{term.written} ({term.place}): {state}")
    if told:
        return "; ".join(dict.fromkeys(told))
    return "fewer than 2 seeds" if len(_common(scores)) < 2 else ""


def _state(cell: Cell, finished: int, metric: str) -> str:
    if cell.problem:
        return cell.problem
    if finished == len(cell.runs):
        return f"no {metric} of its images"
    return f"{finished}/{len(cell.runs)} seeds" if finished else "not run"


def _common(scores: list[dict[int, Scored]]) -> list[int]:
    """The seeds that all cells have."""
    return sorted(set.intersection(*map(set, scores)))


def _same_tests(one: Sum, scores: list[dict[int, Scored]]) -> bool:
    """Whether each cell has one test set, and what is added on one is subtracted on it too."""
    balance: Counter[str] = Counter()
    for term, by_seed in zip(one.terms, scores, strict=True):
        test_sets = {score.test_set for score in by_seed.values()}
        if len(test_sets) > 1:
            return False
        balance.update({test_set: term.sign for test_set in test_sets})
    return not any(balance.values())


def _measure(
    found: Contrast, one: Sum, scores: list[dict[int, Scored]], evidence: Evidence
) -> None:
    """Fill in effect, interval and the effect of each seed."""
    signed = [(term.sign, by_seed) for term, by_seed in zip(one.terms, scores, strict=True)]
    seeds = _common(scores)
    found.by_seed = {s: sum(sign * by_seed[s].score for sign, by_seed in signed) for s in seeds}
    if seeds:
        found.effect = float(np.mean(list(found.by_seed.values())))
    if len(seeds) > 1:
        drawn = [sum(sign * by_seed[seed].drawn for sign, by_seed in signed) for seed in seeds]
        found.low, found.high = evidence.draws.interval(np.stack(drawn, axis=1))


def _verdict(found: Contrast, two_sided: bool) -> str:
    assert found.low is not None and found.high is not None
    above = min(found.low, *found.by_seed.values()) > 0
    below = max(found.high, *found.by_seed.values()) < 0
    return HOLDS if above or (two_sided and below) else FAILS
