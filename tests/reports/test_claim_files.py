"""A file of claims is read, and what is wrong in it is named with its line."""

from pathlib import Path

import pytest

from gradprom.errors import ConfigError
from gradprom.reports.claims import verdicts
from gradprom.reports.claims.verdicts import Claim


def declared(folder: Path, text: str) -> list[Claim]:
    """Claims of a file of one's own."""
    path = folder / "claims.yaml"
    path.write_text(text)
    return verdicts.read_claims(path)


GOOD = """
- name: better
  text: GradProm is better.
  source: Table I
  metrics: [psnr]
  contrasts:
    - {columns: each, plus: [table1 | Sup. GradProm], minus: [table1 | Benchmark-i]}
"""


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    [found] = declared(tmp_path, GOOD)
    assert [one.text for one in found.sums] == [
        f"Table I, σ = {sigma}, PSNR: Sup. GradProm − Benchmark-i"
        for sigma in ("0.05", "0.1", "0.2", "0.3")
    ]
    assert not found.two_sided


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("  source:", "  origin:", "claims.yaml:4: unknown key origin; choose from name, text,"),
        ("  source: Table I\n", "", "claims.yaml:2: the key source is missing"),
        ("[psnr]", "[psnr, dice]", "claims.yaml:5: unknown metric dice; choose from psnr, ssim"),
        ("[psnr]", "[gate]", "claims.yaml:5: unknown metric gate"),
        ("[psnr]", "[miou]", "claims.yaml:7: Sup. GradProm of table1 has no metric miou"),
        ("[psnr]", "[accuracy]", "claims.yaml:7: Benchmark-i of table1 has no metric accuracy"),
        ("[table1 | Sup", "[table9 | Sup", "claims.yaml:7: experiment=table9 is unknown; choose"),
        ("Sup. GradProm", "Sup. PCGrad", "claims.yaml:7: table1 has no row Sup. PCGrad; choose"),
        ("Benchmark-i]", "Sup.]", "claims.yaml:7: row Sup. of table1 fits several rows"),
        ("Benchmark-i]", "Benchmark-i | σ = 1]", "claims.yaml:7: table1 has no column σ = 1; ch"),
        ("columns: each, ", "", "claims.yaml:7: expected experiment | row | column, not table1"),
        ("each", "all", "claims.yaml:7: columns can only be each"),
        ("minus:", "less:", "claims.yaml:7: unknown key less; choose from columns, plus, minus"),
        ("[psnr]", "[psnr", "claims.yaml:6: "),
    ],
)
def test_files_that_mean_nothing(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        declared(tmp_path, GOOD.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path.name}/{sentence}")


WITH_MARGINS = "margins: {psnr: 0.05}\npublished_runs: 3\nclaims:" + GOOD.replace("\n", "\n  ")


def test_a_file_with_margins(tmp_path: Path) -> None:
    [found] = declared(tmp_path, WITH_MARGINS)
    assert found.margins == {"psnr": 0.05} and found.published_runs == 3 and len(found.sums) == 4
    [plain] = declared(tmp_path, GOOD)
    assert plain.margins == {} and plain.published_runs == 0


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("psnr: 0.05", "dice: 0.05", "claims.yaml:1: unknown key dice; choose from psnr, ssim"),
        ("0.05", "-1", "claims.yaml:1: the margin of psnr must be a number >= 0, not -1"),
        ("0.05", "small", "claims.yaml:1: the margin of psnr must be a number >= 0, not small"),
        ("runs: 3", "runs: 1", "claims.yaml:2: published_runs must be a whole number >= 2, not 1"),
        ("margins:", "margin:", "claims.yaml:1: unknown key margin; choose from claims, margins"),
        ("claims:", "claim:", "claims.yaml:3: unknown key claim; choose from claims, margins"),
    ],
)
def test_margins_that_mean_nothing(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        declared(tmp_path, WITH_MARGINS.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path.name}/{sentence}")


def test_the_claims_of_the_paper_have_a_margin_in_each_of_their_metrics() -> None:
    for claim in verdicts.read_claims():
        assert {one.metric for one in claim.sums} <= set(claim.margins), claim.name


def test_rows_are_told_from_the_left(tmp_path: Path) -> None:
    text = GOOD.replace("table1 | Sup. GradProm", "table5 | Ours (V_R seg) ResNet-101")
    text = text.replace("table1 | Benchmark-i", "table5 | ESTR ResNet-50")
    [found] = declared(tmp_path, text)
    ours, estr = found.sums[0].terms
    assert ours.row.details["Backbone"] == "ResNet-101" and ours.row.title == "Ours (V_R seg)"
    assert (estr.sign, estr.row.details["Backbone"]) == (-1, "ResNet-50")
    # an exact label is no beginning of a longer one, here of "Joint training, λ scaled"
    cell = "controls | Joint training | λ = 1e-4, σ = 0.1"
    [found] = declared(tmp_path, GOOD.replace("[table1 | Benchmark-i]", f'["{cell}"]'))
    assert found.sums[0].terms[1].row.title == "Joint training"
