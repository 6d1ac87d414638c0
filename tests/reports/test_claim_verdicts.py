"""Claims are judged on made-up runs whose effects are known, and the verdicts are written down."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.judged_runs import IMAGES, RISING, Made, better, claim, scores

from gradprom.experiments.expansion import Cell
from gradprom.reports.claims import verdicts
from gradprom.runs.record import DatasetInfo


def test_effects_and_intervals_of_runs(tmp_path: Path) -> None:
    made = Made(tmp_path, "table1", noise=["0.1"])
    # GradProm is better by 0.4, 0.5 and 0.6 dB, the same on every image but for the runs' noise
    made.fill(lambda cell, seed: RISING(cell, seed) + 0.1 * (seed - 1) * ("Grad" in cell.row.title))
    [judged] = made.judge(claim("gradprom-over-frozen-diagnosis"))
    assert (judged.verdict, judged.counts) == ("holds", "4 of 4 contrasts hold")
    asked = [c for c in judged.contrasts if c.reported]
    assert {c.text.split(",")[1] for c in asked} == {" σ = 0.1"}
    first = asked[0]
    assert first.by_seed == pytest.approx({0: 0.4, 1: 0.5, 2: 0.6})
    assert first.effect == pytest.approx(0.5)
    # pairing leaves images' 3 dB out: seeds of 0.08 in the whole, three drawn of three
    assert first.low is not None and first.high is not None
    assert 0.38 < first.low < 0.45 and 0.55 < first.high < 0.62
    assert first.reason == ""
    assert judged.published_counts.startswith("16 of 16 contrasts hold")  # of the whole table


def test_the_sign_is_that_of_the_claim(tmp_path: Path) -> None:
    made = Made(tmp_path, "table1", noise=["0.1"]).fill(RISING)
    # unsupervised - supervised: no difference; then the wrong way round
    [judged] = made.judge(claim("diagnosis-unsupervised"))
    assert judged.verdict == "equivalent"
    made.fill(lambda cell, seed: RISING(cell, seed) + ("Sup." in cell.row.group))
    [judged] = made.judge(claim("diagnosis-unsupervised"))
    [contrast] = [c for c in judged.contrasts if c.reported]
    assert contrast.verdict == "does not"
    assert contrast.high is not None and contrast.high < -0.9


def test_seeds_that_disagree_do_not_hold(tmp_path: Path) -> None:
    """With twenty seeds the interval excludes 0, but one of them is against it."""
    made = Made(tmp_path, "table1", noise=["0.1"], seed=[str(i) for i in range(20)])
    against = {0: -0.2}
    made.fill(lambda cell, seed: against.get(seed, 1.0) * ("Grad" in cell.row.title))
    [judged] = made.judge(claim("gradprom-over-frozen-diagnosis"))
    first = next(c for c in judged.contrasts if c.reported)
    assert first.low is not None and first.low > 0
    assert (first.verdict, first.reason) == ("does not", "")


def test_three_seeds_that_disagree_do_not_hold(tmp_path: Path) -> None:
    made = Made(tmp_path, "table1", noise=["0.1"])
    made.fill(lambda cell, seed: [1.0, 1.1, -0.1][seed] * ("Grad" in cell.row.title))
    [judged] = made.judge(claim("gradprom-over-frozen-diagnosis"))
    assert (judged.verdict, judged.counts) == ("does not", "0 of 4 contrasts hold")


def test_an_interval_with_0_in_it_does_not_hold(tmp_path: Path) -> None:
    """All seeds agree, but on images of which three in ten are much worse."""
    made = Made(tmp_path, "table1", noise=["0.1"]).fill(RISING)
    uneven = np.where(np.arange(IMAGES) % 10 < 3, -2.0, 1.0)  # mean 0.1
    for seed in range(3):
        cell = made.cell("Sup. GradProm", "σ = 0.1")
        run = made.cell("Sup. Frozen-params.", "σ = 0.1").runs[seed]
        table = scores(1.0, run)
        made.write(cell, seed, table.assign(psnr=table["psnr"] + uneven))
    [judged] = made.judge(claim("gradprom-over-frozen-diagnosis"))
    by_text = {c.text: c for c in judged.contrasts}
    found = by_text["Table I, σ = 0.1, PSNR: Sup. GradProm − Sup. Frozen-params."]
    assert found.by_seed == pytest.approx({0: 0.1, 1: 0.1, 2: 0.1})
    assert found.low is not None and found.low < 0 and found.verdict == "does not"


@pytest.mark.parametrize(
    ("gain", "margin", "verdict"),
    [
        (0.5, 0.4, "holds"),
        (0.5, 0.6, "equivalent"),  # all of the interval lies within
        (-0.5, 0.6, "equivalent"),
        (-0.5, 0.4, "does not"),
        (0.5, 0.501, "does not"),  # above 0, below the margin, and the interval beyond it
        (0.0, 0.0, "does not"),  # without a margin nothing is equivalent
    ],
)
def test_what_a_margin_makes_of_an_effect(
    tmp_path: Path, gain: float, margin: float, verdict: str
) -> None:
    made = Made(tmp_path, "table1", noise=["0.1"], strategy=["gradprom", "frozen"]).fill(
        better(GradProm=gain)
    )
    asked = replace(claim("gradprom-over-frozen-diagnosis"), margins={"psnr": margin})
    [judged] = made.judge(asked)
    found = [c for c in judged.contrasts if c.reported and c.metric == "psnr"]
    assert {c.verdict for c in found} == {verdict}


def test_a_claim_has_the_weakest_verdict_of_its_contrasts(tmp_path: Path) -> None:
    made = Made(tmp_path, "table1", noise=["0.1", "0.2"])
    made.fill(lambda cell, s: ("Grad" in cell.row.title) * (cell.column.title == "σ = 0.1"))
    asked = replace(claim("gradprom-over-frozen-diagnosis"), margins={"psnr": 0.2, "ssim": 0.01})
    [judged] = made.judge(asked)
    assert judged.verdict == "equivalent"
    assert judged.counts == "4 of 8 contrasts hold, 4 equivalent"


def test_missing_runs_are_named(tmp_path: Path) -> None:
    made = Made(tmp_path, "table1", noise=["0.1"]).fill(RISING)
    gradprom = made.cell("Sup. GradProm", "σ = 0.1")
    made.change(gradprom.runs[2], status="failed")
    frozen = made.cell("Sup. Frozen-params.", "σ = 0.1")
    joint = made.cell("Sup. Joint training", "σ = 0.1")
    for run in joint.runs.values():
        del made.records[run]
    for run in made.cell("Unsup. GradProm", "σ = 0.1").runs.values():
        (made.study.run(run) / "scores.csv").unlink()
    over_frozen, over_joint, between = made.judge(
        claim("gradprom-over-frozen-diagnosis"),
        claim("frozen-over-joint-diagnosis"),
        claim("diagnosis-unsupervised"),
    )
    assert over_frozen.verdict == "not decidable"
    found = [c for c in over_frozen.contrasts if c.reported and "Unsup." not in c.text]
    assert {c.reason for c in found} == {"Sup. GradProm (Table I, σ = 0.1): 2/3 seeds"}
    # what is there is told all the same
    assert list(found[0].by_seed) == [0, 1] and found[0].effect == pytest.approx(0.5)
    assert found[0].low is not None
    reasons = {c.reason for c in over_joint.contrasts if c.reported}
    assert reasons == {"", "Sup. Joint training (Table I, σ = 0.1): not run"}
    assert len(frozen.runs) == 3
    [contrast] = [c for c in between.contrasts if c.reported]
    assert contrast.reason == (
        "Unsup. GradProm (Table I, σ = 0.1): no PSNR of its images; "
        "Sup. GradProm (Table I, σ = 0.1): 2/3 seeds"
    )


def test_one_that_fails_outweighs_those_that_are_missing(tmp_path: Path) -> None:
    made = Made(tmp_path, "table1", noise=["0.1", "0.2"]).fill(better(GradProm=-1.0))
    for run in made.cell("Sup. GradProm", "σ = 0.1").runs.values():
        del made.records[run]
    [judged] = made.judge(claim("gradprom-over-frozen-diagnosis"))
    assert {c.verdict for c in judged.contrasts if c.reported} == {"does not", "not decidable"}
    assert judged.verdict == "does not"


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    made = Made(tmp_path, "table1", noise=["0.1"], seed=["0"]).fill(RISING)
    [judged] = made.judge(claim("gradprom-over-frozen-diagnosis"))
    first = next(c for c in judged.contrasts if c.reported)
    assert (first.verdict, first.reason) == ("not decidable", "fewer than 2 seeds")
    assert first.effect == pytest.approx(0.5) and first.low is None
    assert judged.verdict == "not decidable"


@pytest.mark.parametrize("what", ["ids", "content"])
@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_other_test_images_decide_nothing(tmp_path: Path, what: str, seeds: list[int]) -> None:
    """Of one seed among three, or of one row against the other."""
    made = Made(tmp_path, "table1", noise=["0.1"]).fill(RISING)
    cell = made.cell("Unsup. GradProm", "σ = 0.1")
    for seed in seeds:
        if what == "ids":
            made.write(cell, seed, scores(1.5, cell.runs[seed], prefix="other"))
        else:
            made.change(cell.runs[seed], dataset=DatasetInfo(fingerprint="smaller images"))
    [judged] = made.judge(claim("gradprom-over-frozen-diagnosis"))
    first = next(c for c in judged.contrasts if c.reported)
    assert (first.verdict, first.reason) == ("not decidable", "runs on different test sets")
    assert first.effect is None


def test_order_of_images_does_not_matter(tmp_path: Path) -> None:
    made = Made(tmp_path, "table1", noise=["0.1"]).fill(RISING)
    [before] = made.judge(claim("gradprom-over-frozen-diagnosis"))
    cell = made.cell("Unsup. GradProm", "σ = 0.1")
    made.write(cell, 1, scores(1.5, cell.runs[1]).sample(frac=1, random_state=0))
    [after] = made.judge(claim("gradprom-over-frozen-diagnosis"))
    assert after.contrasts[4].low == pytest.approx(before.contrasts[4].low)


def test_pooled_metrics(tmp_path: Path) -> None:
    """Accuracy of labelled images; the interval by counting images."""
    made = Made(tmp_path, "table1", noise=["0.1"])
    label = np.array([-1, *[0, 1] * 19, 0])
    for cell in made.expansions["table1"].cells:
        # right in 30 of 39, Benchmark-ii in 20 of 39
        right = 20 if cell.row.title == "Benchmark-ii" else 30
        prediction = np.where(np.arange(IMAGES) <= right, label, 1 - label)
        for seed, run in cell.runs.items():
            made.write(cell, seed, scores(0, run).assign(label=label, prediction=prediction))
    [judged] = made.judge(claim("diagnosis-over-benchmark"))
    first = next(c for c in judged.contrasts if c.reported)
    assert first.effect == pytest.approx(10 / 39)
    # of 20 pairs, 4 gain in both images and 2 in one: the variance over pairs, and within them
    variance = ((4 + 2 * 0.5**2) / 20 - 0.25**2) / 20 + (2 * 0.25 / 20) / 40
    ends = 10 / 39 - 1.96 * variance**0.5, 10 / 39 + 1.96 * variance**0.5
    assert (first.low, first.high) == pytest.approx(ends, abs=0.02)
    assert first.verdict == "holds"


def test_differences_over_two_tables(tmp_path: Path) -> None:
    """The gain of Table III is smaller by 0.3 dB, on the same test images: paired."""
    made = Made(tmp_path, "table2", "table3", noise=["0.3"])

    def shift(cell: Cell, seed: int) -> float:
        gain = 0.2 if cell.column.title.endswith("sup.") or cell.column.title == "Sup." else 0.5
        return gain * (cell.row.title == "GradProm")

    made.fill(shift)
    [judged] = made.judge(claim("gain-shrinks-mixed"))
    assert (judged.verdict, judged.counts) == ("holds", "4 of 4 contrasts hold")
    assert judged.contrasts[0].effect == pytest.approx(0.3)


def test_another_test_set_has_draws_of_its_own(tmp_path: Path) -> None:
    """Table IV's transfer is of the other test set's file; drops pair where the images are equal,
    and where they are not the interval is wider for the images of both."""
    made = Made(tmp_path, "table4")
    hard = np.linspace(-1, 1, IMAGES)

    def fill(prefix: str) -> verdicts.Contrast:
        for cell in made.expansions["table4"].cells:
            transfer, gradprom = bool(cell.row.test_set), "GradProm" in cell.row.title
            for seed, run in cell.runs.items():
                table = scores(-3 * transfer, run, prefix if transfer else "image")
                table["psnr"] += gradprom * (hard + 0.5 * transfer)
                made.write(cell, seed, table, data="lizard")
        smaller, gap = made.judge(claim("transfer-drop-smaller"), claim("domain-gap"))
        assert smaller.contrasts[0].effect == pytest.approx(0.5)
        if prefix == "image":
            assert gap.contrasts[0].effect == pytest.approx(3.0)
        else:
            assert gap.contrasts[0].reason == "runs on different test sets"
        return smaller.contrasts[0]

    same, other = fill("image"), fill("another")
    # equal images cancel and leave the runs' noise; of two sets each mean of `hard` stays, whose
    # groups have a variance of 1/3 over 20
    assert same.low is not None and other.low is not None and other.high is not None
    assert same.low > 0.4
    assert other.high - other.low == pytest.approx(2 * 1.96 * (2 * (1 / 3) / 20) ** 0.5, rel=0.1)


def test_two_sided_claims_hold_on_either_side(tmp_path: Path) -> None:
    made = Made(tmp_path, "lambda")
    sides = {"λ = 1e-4": -1.0, "λ = 1e-3": 1.0, "λ = 1e-2": 0.0}
    made.fill(lambda cell, s: sides.get(cell.column.title, 1) * (cell.row.title == "GradProm"))
    paper, each = made.judge(claim("lambda-of-the-paper"), claim("lambda-each"))
    assert (paper.verdict, paper.counts) == ("holds", "4 of 4 contrasts hold")
    assert each.verdict == "equivalent"
    assert each.counts == "20 of 24 contrasts hold, 4 equivalent"
    assert {c.text[:11] for c in each.contrasts if c.verdict != "holds"} == {"λ, λ = 1e-2"}


def test_rows_that_wait_say_for_what(tmp_path: Path) -> None:
    made = Made(tmp_path, "table5")
    for cell in made.expansions["table5"].cells:
        if cell.row.title == "U-SAID":
            cell.problem = "waits for method U-SAID"
            cell.runs.clear()
    made.fill(better())
    [judged] = made.judge(claim("state-of-the-art-isic"))
    waiting = [c for c in judged.contrasts if c.text.endswith("− U-SAID")]
    reasons = {c.reason.split(": ")[1] for c in waiting}
    assert reasons == {"waits for method U-SAID"} and len(waiting) == 6
    assert {c.verdict for c in waiting} == {"not decidable"}


# written down


def test_markdown_and_csv(tmp_path: Path) -> None:
    made = Made(tmp_path, "table1", noise=["0.1"]).fill(RISING)
    judged = made.judge(claim("gradprom-over-frozen-diagnosis"), claim("diagnosis-unsupervised"))
    text = verdicts.markdown(judged)
    assert "| holds (4 of 4 contrasts hold) | holds (16 of 16 contrasts hold, " in text
    assert "| equivalent (0 of 1 contrasts hold, 1 equivalent) | does not (1 of 4 " in text
    contrast = next(c for c in judged[0].contrasts if c.reported)
    assert f"{contrast.effect:+.4f} [{contrast.low:+.4f}, {contrast.high:+.4f}] holds" in text
    assert "| −1.467 does not, p = " in text
    widths = {line.count(" | ") for line in text.splitlines() if line.startswith("|")}
    assert widths == {3}
    lines = list(csv.DictReader(io.StringIO(verdicts.as_csv(judged))))
    assert len(lines) == 16 + 4
    [line] = [one for one in lines if one["contrast"] == contrast.text]
    assert float(line["effect"]) == contrast.effect and float(line["low"]) == contrast.low
    assert line["verdict"] == "holds" and line["published"] == "1.231"
    assert float(line["published_p"]) == contrast.published_p
    assert [float(pair.split(":")[1]) for pair in line["seeds"].split()] == pytest.approx([0.5] * 3)
