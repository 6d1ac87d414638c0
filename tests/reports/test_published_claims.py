"""The paper's claims are judged on its own printed numbers, where some of them do not hold."""

from pathlib import Path

import pytest
from scipy import stats
from support.small_table import read

from gradprom.reports.claims import verdicts
from gradprom.reports.claims.contrast import Contrast
from gradprom.reports.claims.verdicts import JudgedClaim
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.reports.tables.published import Published, published
from gradprom.runs.records import Study


@pytest.fixture(scope="module")
def on_paper() -> dict[str, JudgedClaim]:
    judged = verdicts.judge(
        verdicts.read_claims(), {}, StudyScores({}, Study(Path("nowhere"), "none"))
    )
    return {one.name: one for one in judged}


def published_cell(name: str, label: str, title: str) -> Published:
    table = read(name)
    [row] = [r for r in table.rows if r.label == label]
    [column] = [c for c in table.columns if c.title == title]
    found = published(table, row, column, "psnr")
    assert found is not None
    return found


def failing(judged: JudgedClaim) -> dict[str, float | None]:
    return {c.text: c.published for c in judged.contrasts if c.published_verdict == "does not"}


def test_the_ablation_holds_on_paper(on_paper: dict[str, JudgedClaim]) -> None:
    names = [
        f"{pair}-{task}"
        for pair in ("gradprom-over-frozen", "frozen-over-joint", "joint-over-benchmark")
        for task in ("diagnosis", "segmentation")
    ]
    for name in names:
        # 4 σ × 2 supervisions × PSNR and SSIM
        assert on_paper[name].published_verdict == "holds"
        assert on_paper[name].published_counts.startswith("16 of 16 contrasts hold, ")
    first = on_paper["gradprom-over-frozen-diagnosis"].contrasts[0]
    assert first.text == "Table I, σ = 0.05, PSNR: Unsup. GradProm − Unsup. Frozen-params."
    assert first.published == 1.196  # as A-1 says


def test_a3_contradicts_table_1_at_three_of_four(on_paper: dict[str, JudgedClaim]) -> None:
    judged = on_paper["diagnosis-unsupervised"]
    assert judged.published_verdict == "does not"
    assert [c.published for c in judged.contrasts] == [-1.467, -1.263, -0.044, 0.069]
    # "roughly": at σ = 0.3 by the last decimal
    assert failing(on_paper["segmentation-supervised"]) == {
        "Table II, σ = 0.3, PSNR: Sup. GradProm − Unsup. GradProm": -0.001
    }


def test_table_3_has_strategies_below_the_lower_bound(on_paper: dict[str, JudgedClaim]) -> None:
    assert failing(on_paper["strategies-over-benchmark-mixed"]) == {
        "Table III, Sup., PSNR: Joint training − Benchmark-i": -1.901,
        "Table III, Sup., SSIM: Joint training − Benchmark-i": -0.001,
        "Table III, Sup., PSNR: Frozen-params. − Benchmark-i": -1.742,
    }


def test_the_gain_of_table_3_is_larger_where_a5_says_smaller(
    on_paper: dict[str, JudgedClaim],
) -> None:
    judged = on_paper["gain-shrinks-mixed"]
    assert judged.published_counts.startswith("1 of 4 contrasts hold")
    # unsupervised PSNR: 21.262 - 19.836 against A-5's 0.384; supervised: 1.349 against 1.902
    assert [c.published for c in judged.contrasts if c.metric == "psnr"] == [1.042, -0.553]
    assert judged.contrasts[0].text == (
        "PSNR: Table II, σ = 0.3 (Unsup. GradProm − Unsup. Frozen-params.)"
        " + Table III, Unsup. (Frozen-params. − GradProm)"
    )


def test_an_out_of_line_number_fails_the_state_of_the_art(on_paper: dict[str, JudgedClaim]) -> None:
    assert failing(on_paper["state-of-the-art-camus"]) == {
        "Table VIII, σ = 0.3, PSNR: Ours (V_R seg) ResNet-101 − DDM": -8.712
    }


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("single-over-multitask", "32 of 32"),
        ("single-over-multitask-segmentation", "7 of 8"),
        ("transfer-over-estr", "4 of 4"),
        ("transfer-drop-smaller", "3 of 4"),
        ("over-estr-isic", "24 of 24"),
        ("over-estr-lizard", "15 of 16"),
        ("larger-backbone", "32 of 32"),
        ("segmentation-over-diagnosis-isic", "11 of 12"),
        ("diagnosis-over-segmentation-lizard", "7 of 8"),
        ("segmentation-over-benchmark", "10 of 10"),
    ],
)
def test_further_verdicts_on_paper(
    on_paper: dict[str, JudgedClaim], name: str, counts: str
) -> None:
    assert on_paper[name].published_counts.startswith(f"{counts} contrasts hold")


def psnr(judged: JudgedClaim) -> list[Contrast]:
    return [c for c in judged.contrasts if c.metric == "psnr"]


def test_published_differences_by_welchs_test(on_paper: dict[str, JudgedClaim]) -> None:
    """Against scipy's, for the two means and ± of Table I, three runs each."""
    cells = {
        row: published_cell("table1", row, "σ = 0.1") for row in ("Sup. GradProm", "Benchmark-i")
    }
    arguments = [v for one in cells.values() for v in (one.mean, one.std, 3)]
    expected = stats.ttest_ind_from_stats(*arguments, equal_var=False).pvalue
    found = {c.text: c for c in psnr(on_paper["gradprom-over-benchmark"])}
    contrast = found["Table I, σ = 0.1, PSNR: Sup. GradProm − Benchmark-i"]
    assert contrast.published_p == pytest.approx(expected)
    assert contrast.published_significant == (expected < 0.05)


def test_a_published_interval_ends_where_welchs_test_does(
    on_paper: dict[str, JudgedClaim],
) -> None:
    """A difference of half the interval's width has p = 0.05."""
    contrast = on_paper["gradprom-over-frozen-diagnosis"].contrasts[0]
    first = published_cell("table1", "Unsup. GradProm", "σ = 0.05")
    second = published_cell("table1", "Unsup. Frozen-params.", "σ = 0.05")
    assert first.std is not None and second.std is not None and contrast.published is not None
    assert contrast.published_low is not None and contrast.published_high is not None
    half = contrast.published_high - contrast.published
    assert contrast.published - contrast.published_low == pytest.approx(half)
    test = stats.ttest_ind_from_stats(half, first.std, 3, 0.0, second.std, 3, equal_var=False)
    assert test.pvalue == pytest.approx(0.05)


def test_no_gain_in_psnr_over_frozen_or_joint_goes_beyond_the_papers_own_spread(
    on_paper: dict[str, JudgedClaim],
) -> None:
    names = ["gradprom-over-frozen-diagnosis", "gradprom-over-frozen-segmentation"]
    contrasts = [c for name in [*names, "gradprom-over-joint"] for c in psnr(on_paper[name])]
    assert len(contrasts) == 32 and not any(c.published_significant for c in contrasts)
    over_none = psnr(on_paper["gradprom-over-benchmark"])
    assert len(over_none) == 16 and sum(c.published_significant for c in over_none) == 10


def test_numbers_without_a_spread_are_judged_by_sign_alone(
    on_paper: dict[str, JudgedClaim],
) -> None:
    judged = on_paper["over-estr-isic"]
    assert {c.published_p for c in judged.contrasts} == {None}
    assert judged.published_counts == "24 of 24 contrasts hold"


def test_what_is_not_printed_is_not_decidable(on_paper: dict[str, JudgedClaim]) -> None:
    for name in ("lambda-of-the-paper", "gradprom-over-random-gate"):
        assert on_paper[name].published_verdict == "not decidable"
        assert {c.published for c in on_paper[name].contrasts} == {None}


def test_nothing_reported_is_not_decidable(on_paper: dict[str, JudgedClaim]) -> None:
    for one in on_paper.values():
        assert (one.verdict, one.counts) == ("not decidable", "none reported")


def test_task_gan_over_gan_in_all_but_the_error_of_faces(on_paper: dict[str, JudgedClaim]) -> None:
    judged = on_paper["task-gan-over-gan-published"]
    assert [c.published for c in judged.contrasts] == [
        *(1.5, 0.008, 0.005),
        *(3.88, 0.083, 0.019),
        *(0.57, 0.012, -0.001),
    ]
    [text] = failing(judged)
    assert text.startswith("Task-GAN, Table 2, LFW-a, ×8; here drawn faces, RMSE")


def test_where_a_paper_prints_nothing_no_count_is_shown(on_paper: dict[str, JudgedClaim]) -> None:
    judged = on_paper["gated-over-joint"]
    assert judged.published_verdict == "not decidable" and judged.published_counts == "none printed"
