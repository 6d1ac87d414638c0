"""One contrast of a claim: its effect, its interval, and whether it holds.

A contrast is a gain: for a metric where lower is better, its sign is reversed. It holds when its
95 % bootstrap interval and the effect of every seed lie above 0, and the effect is no smaller than
the metric's margin. It is equivalent when the interval lies within the margin on both sides of 0.
Published numbers are judged by the sign of their difference, and beside it by the paper's own ±, if
there are any: Welch's t test of the signed sum of means.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

from scipy import stats

from gradprom.experiments.expansion import Cell, Expansion
from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.claims.specs import Claim, Sum, Term
from gradprom.reports.statistics.effect import effect
from gradprom.reports.statistics.image_scores import RunScore, StudyScores
from gradprom.reports.tables.published import Published, published
from gradprom.runs.record import Record

HOLDS, EQUIVALENT, FAILS, UNDECIDABLE = "holds", "equivalent", "does not", "not decidable"
LEVEL = 0.05
"""Of the test on published numbers, two-sided."""


@dataclass
class Contrast:
    """One signed sum of cells, from our runs and from the paper's numbers."""

    text: str
    """Such as `Table I, σ = 0.1, PSNR: Sup. GradProm − Sup. Frozen-params.`."""
    metric: str
    """Name in the metric registry."""
    published: float | None
    """The same sum of the paper's numbers; None where it does not print one of them."""
    published_verdict: str
    """By the sign: `holds`, `does not`, or `not decidable` without numbers."""
    effect: float | None = None
    """Mean over the seeds of our runs; None where no seed has all its runs."""
    low: float | None = None
    high: float | None = None
    """The 95 % interval of the effect; None with fewer than 2 seeds."""
    by_seed: dict[int, float] = field(default_factory=dict)
    """The effect of each seed that has all its runs."""
    verdict: str = UNDECIDABLE
    """`holds`, `equivalent`, `does not` or `not decidable`."""
    reason: str = ""
    """Why it is not decidable; empty otherwise."""
    reported: bool = True
    """Whether all its cells are among those reported. Others do not count for our verdict."""
    published_p: float | None = None
    """Two-sided p of Welch's test on the paper's means and ±; None where one is not printed."""
    published_low: float | None = None
    published_high: float | None = None
    """The 95 % interval of the published difference by the same test."""
    cells: str = ""
    """`text` without the metric."""
    margin: float = 0.0
    """A smaller effect makes no difference; in the metric's unit."""

    @property
    def published_significant(self) -> bool:
        """Whether the published difference goes beyond the paper's own ±."""
        return self.published_p is not None and self.published_p < LEVEL


def judge_contrast(
    signed_sum: Sum, claim: Claim, expansions: dict[str, Expansion], scores: StudyScores
) -> Contrast:
    """Judge a signed sum of cells.

    Parameters
    ----------
    signed_sum
        The cells with their signs, and the metric.
    claim
        The claim that it is part of: whether it also holds below 0, the margins, and how many runs
        the paper's ± are over.
    expansions
        The reported experiments by name, with the run ids of their cells.
    scores
        The scores of the study's runs.
    """
    numbers = _published_numbers(signed_sum)
    printed = _difference(numbers)
    contrast = Contrast(
        signed_sum.text,
        signed_sum.metric,
        printed,
        _sign_verdict(printed, claim.two_sided),
        cells=signed_sum.cells,
        margin=claim.margins.get(signed_sum.metric, 0.0),
    )
    if printed is not None and (test := _welch(numbers, claim.published_runs)) is not None:
        contrast.published_p, half = test
        contrast.published_low, contrast.published_high = printed - half, printed + half
    cells_or_none = [_reported_cell(term, expansions) for term in signed_sum.terms]
    cells = [cell for cell in cells_or_none if cell is not None]
    if len(cells) < len(cells_or_none):
        contrast.reported, contrast.reason = False, "not among the cells reported"
        return contrast
    cell_scores = [
        scores.by_seed(cell.runs, cell.row.test_set, signed_sum.metric) for cell in cells
    ]
    contrast.reason = _missing_runs(signed_sum, cells, cell_scores, scores.records)
    if _same_test_sets(signed_sum, cell_scores):
        _measure(contrast, signed_sum, cell_scores, scores)
    else:
        contrast.reason = contrast.reason or "runs on different test sets"
    if not contrast.reason:
        contrast.verdict = _interval_verdict(contrast, claim.two_sided)
    return contrast


def _published_numbers(signed_sum: Sum) -> list[tuple[int, Published]] | None:
    """The paper's number of each cell with its sign; None where it does not print one of them."""
    numbers = []
    for term in signed_sum.terms:
        number = published(term.experiment, term.row, term.column, signed_sum.metric)
        if number is None:
            return None
        numbers.append((term.sign, number))
    return numbers


def _difference(numbers: list[tuple[int, Published]] | None) -> float | None:
    """The signed sum of published means."""
    if numbers is None:
        return None
    # printed decimals that cancel should give 0; as floats they give 1e-16
    return round(sum(sign * number.mean for sign, number in numbers), 6)


def _welch(numbers: list[tuple[int, Published]] | None, runs: int) -> tuple[float, float] | None:
    """Welch's test that the signed sum of published means is 0, each ± over so many runs.

    For a sum of any number of means, with the degrees of freedom of Satterthwaite.

    Returns
    -------
    tuple[float, float] | None
        The two-sided p, and half the width of the 95 % interval; None where a ± is not printed.
    """
    if numbers is None or runs < 2:
        return None
    stds = [number.std for _, number in numbers if number.std is not None]
    if len(stds) < len(numbers) or not any(stds):
        return None
    variances = [std**2 / runs for std in stds]
    freedom = sum(variances) ** 2 / sum(v**2 / (runs - 1) for v in variances)
    error = math.sqrt(sum(variances))
    t = sum(sign * number.mean for sign, number in numbers) / error
    half = stats.t.ppf(1 - LEVEL / 2, freedom) * error
    return float(2 * stats.t.sf(abs(t), freedom)), float(half)


def _sign_verdict(difference: float | None, two_sided: bool) -> str:
    if difference is None:
        return UNDECIDABLE
    return HOLDS if difference > 0 or (two_sided and difference < 0) else FAILS


def _reported_cell(term: Term, expansions: dict[str, Expansion]) -> Cell | None:
    """The cell of a term; None where it is not reported."""
    expansion = expansions.get(term.experiment.name)
    for cell in expansion.cells if expansion else ():
        # narrowing changes a row's overrides, but not its label
        if (cell.row.label, cell.column.title) == (term.row.label, term.column.title):
            return cell
    return None


def _missing_runs(
    signed_sum: Sum,
    cells: list[Cell],
    cell_scores: list[dict[int, RunScore]],
    records: dict[str, Record],
) -> str:
    """Which runs a contrast still needs to be decided; empty if it has them all."""
    states = []
    for term, cell, by_seed in zip(signed_sum.terms, cells, cell_scores, strict=True):
        if cell.problem or len(by_seed) < len(cell.runs):
            title = metric_of(signed_sum.metric).title
            state = _cell_state(cell, _finished_count(cell, records), title)
            states.append(f"{term.written} ({term.place}): {state}")
    if states:
        return "; ".join(dict.fromkeys(states))
    return "fewer than 2 seeds" if len(_common_seeds(cell_scores)) < 2 else ""


def _finished_count(cell: Cell, records: dict[str, Record]) -> int:
    return sum(run in records and records[run].finished for run in cell.runs.values())


def _cell_state(cell: Cell, finished: int, metric_title: str) -> str:
    if cell.problem:
        return cell.problem
    if finished == len(cell.runs):
        return f"no {metric_title} of its images"
    return f"{finished}/{len(cell.runs)} seeds" if finished else "not run"


def _common_seeds(cell_scores: list[dict[int, RunScore]]) -> list[int]:
    """The seeds that all cells have, in ascending order."""
    return sorted(set.intersection(*map(set, cell_scores)))


def _same_test_sets(signed_sum: Sum, cell_scores: list[dict[int, RunScore]]) -> bool:
    """Whether each cell has one test set, and the signs of each test set's cells cancel."""
    balance: Counter[str] = Counter()
    for term, by_seed in zip(signed_sum.terms, cell_scores, strict=True):
        image_sets = {run.images for run in by_seed.values()}
        if len(image_sets) > 1:
            return False
        balance.update({images: term.sign for images in image_sets})
    return not any(balance.values())


def _measure(
    contrast: Contrast,
    signed_sum: Sum,
    cell_scores: list[dict[int, RunScore]],
    scores: StudyScores,
) -> None:
    """Fill in the effect, its interval and the effect of each seed."""
    signs = [term.sign for term in signed_sum.terms]
    measured = effect(list(zip(signs, cell_scores, strict=True)), scores)
    contrast.by_seed, contrast.effect = measured.by_seed, measured.mean
    if len(measured.by_seed) < len(_common_seeds(cell_scores)):
        contrast.reason = contrast.reason or "no image has a finite score in all runs of a seed"
    if len(measured.by_seed) > 1:
        contrast.low, contrast.high = measured.low, measured.high
        if measured.low is None:
            contrast.reason = contrast.reason or "no draw of images has a score"


def _interval_verdict(contrast: Contrast, two_sided: bool) -> str:
    """The verdict of a measured contrast, from its interval, its seeds and the margin."""
    margin = contrast.margin
    assert contrast.effect is not None and contrast.low is not None and contrast.high is not None
    if margin > 0 and -margin <= contrast.low and contrast.high <= margin:
        return EQUIVALENT
    above = min(contrast.low, *contrast.by_seed.values()) > 0
    below = max(contrast.high, *contrast.by_seed.values()) < 0
    counts = abs(contrast.effect) >= margin
    return HOLDS if counts and (above or (two_sided and below)) else FAILS
