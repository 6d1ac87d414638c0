"""The papers' claims as the page's template `claims.html` shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradprom.reports.claims.verdicts import NOTE
from gradprom.reports.tables import layout

if TYPE_CHECKING:
    from gradprom.reports.claims.verdicts import Contrast, JudgedClaim


@dataclass(frozen=True)
class Verdict:
    """A verdict as text; its colour only repeats the text."""

    text: str
    counts: str = ""
    """Such as `5 of 8 contrasts hold`."""

    @property
    def kind(self) -> str:
        """The end of its CSS class, such as `does-not`."""
        return self.text.replace(" ", "-")


@dataclass(frozen=True)
class ContrastView:
    """One contrast: the effect of our runs with its interval, and the published one."""

    text: str
    effect: str
    """Of our runs, such as `+0.500 [−0.100, +1.100]`."""
    seeds: str
    """The effect of each seed."""
    verdict: Verdict
    published: str
    published_verdict: Verdict
    reason: str


@dataclass(frozen=True)
class ClaimView:
    """One claim with its contrasts."""

    name: str
    text: str
    source: str
    verdict: Verdict
    published_verdict: Verdict
    contrasts: tuple[ContrastView, ...]

    @property
    def count(self) -> str:
        """Such as `3 contrasts`."""
        return f"{len(self.contrasts)} contrast{'s' if len(self.contrasts) != 1 else ''}"


@dataclass(frozen=True)
class ClaimsView:
    """All claims, the rule by which they were judged, and what is known of the rounding floor."""

    claims: tuple[ClaimView, ...]
    note: str
    floors: tuple[str, ...]


def claims_view(judged: list[JudgedClaim], floors: Sequence[str]) -> ClaimsView:
    """The judged claims as the template shows them."""
    return ClaimsView(tuple(map(claim_view, judged)), NOTE, tuple(floors))


def claim_view(claim: JudgedClaim) -> ClaimView:
    """A judged claim as the template shows it."""
    return ClaimView(
        name=claim.name,
        text=claim.text,
        source=claim.source,
        verdict=Verdict(claim.verdict, claim.counts),
        published_verdict=Verdict(claim.published_verdict, claim.published_counts),
        contrasts=tuple(map(_contrast, claim.contrasts)),
    )


def _contrast(contrast: Contrast) -> ContrastView:
    def number(value: float | None) -> str:
        return layout.MISSING if value is None else layout.signed(value, contrast.metric)

    interval = f" [{number(contrast.low)}, {number(contrast.high)}]"
    return ContrastView(
        text=contrast.text,
        effect=number(contrast.effect) + (interval if contrast.low is not None else ""),
        seeds=", ".join(f"seed {seed}: {number(v)}" for seed, v in contrast.by_seed.items()),
        verdict=Verdict(contrast.verdict),
        published=number(contrast.published)
        + ("" if contrast.published_p is None else f" (p = {contrast.published_p:.2g})"),
        published_verdict=Verdict(contrast.published_verdict),
        reason=contrast.reason,
    )
