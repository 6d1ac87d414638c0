"""The paper's claims, judged from the records and on the published numbers themselves."""

import csv
import io
from dataclasses import dataclass

from gradprom.experiments.expansion import Expansion
from gradprom.reports.claims.contrast import FAILS, HOLDS, OPEN, Contrast, contrast
from gradprom.reports.claims.image_scores import Evidence
from gradprom.reports.claims.specs import Claim, read_claims
from gradprom.runs.record import Record
from gradprom.runs.records import Study

__all__ = ["Claim", "Contrast", "Judged", "as_csv", "judge", "markdown", "read_claims"]

NOTE = (
    "A contrast holds when its 95 % bootstrap interval (seeds, then groups, then images) lies "
    "above 0 and all seeds agree. With few seeds that is lenient: where seeds differ far more "
    "than images do, the interval of 3 covers the truth three times in four, and all 3 agree on "
    "the claim's side by chance once in eight. Published numbers are judged by their sign alone."
)


@dataclass
class Judged:
    """One claim with its contrasts; it holds when all of them do."""

    name: str
    text: str
    source: str
    verdict: str
    published_verdict: str
    contrasts: list[Contrast]

    @property
    def counts(self) -> str:
        """Such as `5 of 8 contrasts hold`, for ours, of those that are reported."""
        return _counts([c.verdict for c in self.contrasts if c.asked])

    @property
    def published_counts(self) -> str:
        """The same for the published numbers."""
        return _counts([c.published_verdict for c in self.contrasts])


def judge(
    claims: list[Claim], expansions: dict[str, Expansion], records: dict[str, Record], study: Study
) -> list[Judged]:
    """Judge claims.

    Parameters
    ----------
    claims
        As `read_claims` finds them.
    expansions
        By the experiment's name, narrowed as they are reported. Contrasts of cells that are not
        among them are judged on the published numbers alone.
    records
        By run id.
    study
        Where the runs' tables of images lie.
    """
    evidence = Evidence(records, study)
    return [_judged(claim, expansions, evidence) for claim in claims]


def _judged(claim: Claim, expansions: dict[str, Expansion], evidence: Evidence) -> Judged:
    contrasts = [contrast(one, claim.two_sided, expansions, evidence) for one in claim.sums]
    return Judged(
        name=claim.name,
        text=claim.text,
        source=claim.source,
        verdict=_all([c.verdict for c in contrasts if c.asked]),
        published_verdict=_all([c.published_verdict for c in contrasts]),
        contrasts=contrasts,
    )


def _all(verdicts: list[str]) -> str:
    """One that fails is enough; what cannot be decided keeps the others from holding."""
    if FAILS in verdicts:
        return FAILS
    return HOLDS if verdicts and set(verdicts) == {HOLDS} else OPEN


def _counts(verdicts: list[str]) -> str:
    if not verdicts:
        return "none reported"
    return f"{verdicts.count(HOLDS)} of {len(verdicts)} contrasts hold"


def markdown(judged: list[Judged]) -> str:
    """A table of verdicts, how they come about, then the contrasts of each claim."""
    lines = ["| Claim | Source | Ours | Published |", "| --- | --- | --- | --- |"]
    lines += [
        _line(
            one.text,
            one.source,
            f"{one.verdict} ({one.counts})",
            f"{one.published_verdict} ({one.published_counts})",
        )
        for one in judged
    ]
    lines += ["", NOTE, *(line for one in judged for line in _details(one))]
    return "\n".join(lines) + "\n"


def _details(one: Judged) -> list[str]:
    lines = ["", f"### {one.text}", "", "| Contrast | Ours, 95 % interval | Seeds | Published |"]
    lines.append("| --- | ---: | ---: | ---: |")
    for c in one.contrasts:
        ours = f"{interval_text(c)} {c.verdict}" + (f": {c.reason}" if c.reason else "")
        seeds = ", ".join(_number(value, 4) for value in c.by_seed.values()) or "–"
        printed = f"{_number(c.published, 3)} {c.published_verdict}"
        lines.append(_line(c.text, ours.strip(), seeds, printed))
    return lines


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def interval_text(contrast: Contrast) -> str:
    """Such as `+0.0312 [+0.0101, +0.0519]`; nothing where there is no effect."""
    if contrast.effect is None:
        return ""
    spread = f" [{_number(contrast.low, 4)}, {_number(contrast.high, 4)}]"
    return _number(contrast.effect, 4) + (spread if contrast.low is not None else "")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def as_csv(judged: list[Judged]) -> str:
    """A line for each contrast; seeds as `seed:effect`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    titles = "claim source claim_verdict claim_published_verdict contrast metric effect low high"
    titles += " seeds published verdict published_verdict reason"
    writer.writerow(titles.split())
    for one in judged:
        for c in one.contrasts:
            seeds = " ".join(f"{seed}:{value:.6g}" for seed, value in c.by_seed.items())
            writer.writerow(
                [one.name, one.source, one.verdict, one.published_verdict, c.text, c.metric]
                + [c.effect, c.low, c.high, seeds, c.published]
                + [c.verdict, c.published_verdict, c.reason]
            )
    return buffer.getvalue()
