"""The papers' claims, judged from the records and on the published numbers themselves."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from gradprom.experiments.expansion import Expansion
from gradprom.reports.claims.contrast import (
    EQUIVALENT,
    FAILS,
    HOLDS,
    UNDECIDABLE,
    Contrast,
    judge_contrast,
)
from gradprom.reports.claims.specs import Claim, read_claims
from gradprom.reports.statistics.image_scores import StudyScores

__all__ = ["Claim", "Contrast", "JudgedClaim", "as_csv", "judge", "markdown", "read_claims"]

NOTE = (
    "A contrast holds when its 95 % bootstrap interval (seeds, then groups, then images) lies "
    "above 0, all seeds agree, and the effect reaches the metric's margin. It is equivalent when "
    "the interval lies within the margin on both sides of 0. With few seeds this is lenient: where "
    "seeds differ far more than images do, the interval of 3 seeds covers the truth three times in "
    "four, and all 3 agree with the claim by chance once in eight. Published numbers are judged by "
    "their sign; p is that of Welch's t test on the paper's means and ±."
)
CSV_COLUMNS = (
    *("claim", "source", "claim_verdict", "claim_published_verdict", "contrast", "metric"),
    *("effect", "low", "high", "seeds", "published", "verdict", "published_verdict", "reason"),
    *("published_p", "published_low", "published_high"),
)


@dataclass
class JudgedClaim:
    """One claim with its contrasts; it holds when all of them do."""

    name: str
    text: str
    """The statement."""
    source: str
    """Where the paper makes it."""
    verdict: str
    """Of our runs: the weakest of its contrasts', `holds`, `equivalent` or `does not`; or `not
    decidable`."""
    published_verdict: str
    """The same of the published numbers."""
    contrasts: list[Contrast]

    @property
    def counts(self) -> str:
        """Such as `5 of 8 contrasts hold`: of our runs, among the contrasts reported."""
        return _counts([c.verdict for c in self.contrasts if c.reported])

    @property
    def published_counts(self) -> str:
        """The same for the published numbers, and how many differences go beyond the paper's ±."""
        printed = [c.published_verdict for c in self.contrasts]
        if set(printed) <= {UNDECIDABLE}:
            return "none printed"
        counts = _counts(printed)
        tested = [c for c in self.contrasts if c.published_p is not None]
        if not tested:
            return counts
        beyond = sum(c.published_significant and c.published_verdict == HOLDS for c in tested)
        return f"{counts}, {beyond} beyond ±"


def judge(
    claims: list[Claim], expansions: dict[str, Expansion], scores: StudyScores
) -> list[JudgedClaim]:
    """Judge claims.

    Parameters
    ----------
    claims
        As returned by `read_claims`.
    expansions
        By the experiment's name, narrowed as they are reported. Contrasts of cells that are not
        among them are judged on the published numbers alone.
    scores
        The scores of the study's runs.
    """
    return [_judge_claim(claim, expansions, scores) for claim in claims]


def _judge_claim(
    claim: Claim, expansions: dict[str, Expansion], scores: StudyScores
) -> JudgedClaim:
    contrasts = [judge_contrast(signed_sum, claim, expansions, scores) for signed_sum in claim.sums]
    return JudgedClaim(
        name=claim.name,
        text=claim.text,
        source=claim.source,
        verdict=_joint_verdict([c.verdict for c in contrasts if c.reported]),
        published_verdict=_joint_verdict([c.published_verdict for c in contrasts]),
        contrasts=contrasts,
    )


def _joint_verdict(verdicts: list[str]) -> str:
    """A claim fails with any of its contrasts; otherwise all must be decided, and it has the
    weakest of their verdicts."""
    for verdict in (FAILS, UNDECIDABLE, EQUIVALENT):
        if verdict in verdicts:
            return verdict
    return HOLDS if verdicts else UNDECIDABLE


def _counts(verdicts: list[str]) -> str:
    if not verdicts:
        return "none reported"
    equivalent = verdicts.count(EQUIVALENT)
    also = f", {equivalent} equivalent" if equivalent else ""
    return f"{verdicts.count(HOLDS)} of {len(verdicts)} contrasts hold{also}"


def markdown(judged: list[JudgedClaim], floors: Sequence[str] = ()) -> str:
    """Markdown: a table of verdicts, the rule behind them and what is known of the rounding floor,
    a sentence each, then the contrasts of each claim."""
    lines = ["| Claim | Source | Ours | Published |", "| --- | --- | --- | --- |"]
    lines += [
        _table_line(
            claim.text,
            claim.source,
            f"{claim.verdict} ({claim.counts})",
            f"{claim.published_verdict} ({claim.published_counts})",
        )
        for claim in judged
    ]
    lines += [
        "",
        NOTE,
        *(line for floor in floors for line in ("", floor)),
        *(line for claim in judged for line in _contrast_lines(claim)),
    ]
    return "\n".join(lines) + "\n"


def _contrast_lines(claim: JudgedClaim) -> list[str]:
    """A heading and a table of a claim's contrasts."""
    lines = ["", f"### {claim.text}", "", "| Contrast | Ours, 95 % interval | Seeds | Published |"]
    lines.append("| --- | ---: | ---: | ---: |")
    for c in claim.contrasts:
        effect = f"{interval_text(c)} {c.verdict}" + (f": {c.reason}" if c.reason else "")
        seeds = ", ".join(_signed(value, 4) for value in c.by_seed.values()) or "–"
        printed = f"{_signed(c.published, 3)} {c.published_verdict}"
        printed += "" if c.published_p is None else f", p = {c.published_p:.2g}"
        lines.append(_table_line(c.text, effect.strip(), seeds, printed))
    return lines


def _table_line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def interval_text(contrast: Contrast) -> str:
    """Such as `+0.0312 [+0.0101, +0.0519]`; empty where there is no effect."""
    if contrast.effect is None:
        return ""
    interval = f" [{_signed(contrast.low, 4)}, {_signed(contrast.high, 4)}]"
    return _signed(contrast.effect, 4) + (interval if contrast.low is not None else "")


def _signed(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def as_csv(judged: list[JudgedClaim]) -> str:
    """CSV with a line for each contrast; seeds as `seed:effect`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for claim in judged:
        for c in claim.contrasts:
            seeds = " ".join(f"{seed}:{value:.6g}" for seed, value in c.by_seed.items())
            writer.writerow(
                [claim.name, claim.source, claim.verdict, claim.published_verdict]
                + [c.text, c.metric, c.effect, c.low, c.high, seeds, c.published]
                + [c.verdict, c.published_verdict, c.reason]
                + [c.published_p, c.published_low, c.published_high]
            )
    return buffer.getvalue()
