"""What is bold: a cell is worse than the best by the paired interval and the margin, or it is not.

The intervals are those of a direct bootstrap in NumPy, image by image, with the same draws.
"""

from pathlib import Path

import numpy as np
import pytest
from support.scored_study import Scored, best

from gradprom.experiments import papers
from gradprom.metrics.registry import METRICS
from gradprom.reports.claims import specs
from gradprom.reports.compare import paired_differences
from gradprom.reports.statistics.effect import Effect, effect
from gradprom.reports.statistics.image_scores import StudyScores
from gradprom.reports.tables import layout

IMAGES = 30
GROUPS = [f"patient-{n // 3}" for n in range(IMAGES)]
EASY = np.random.default_rng(0).normal(30, 3, IMAGES)
MARGIN = 0.05


def noise(seed: int, spread: float) -> np.ndarray:
    """Of mean 0, so that a difference of means is what it was made."""
    drawn = np.random.default_rng(seed).normal(0, spread, IMAGES)
    return drawn - drawn.mean()


def direct(first: list[np.ndarray], second: list[np.ndarray], scores: StudyScores) -> list[float]:
    """The interval of first − second, [seeds] arrays of [images], from a loop over the draws."""
    [weights] = scores.draws._images.values()
    chances = scores.draws.seeds(len(first))
    differences = []
    for images, seeds in zip(weights, chances, strict=True):
        picked = np.repeat(np.arange(IMAGES), images.astype(int))
        by_seed = [a[picked].mean() - b[picked].mean() for a, b in zip(first, second, strict=True)]
        differences.append(float(np.dot(seeds, by_seed)))
    return list(np.quantile(differences, [0.025, 0.975]))


@pytest.mark.parametrize(
    ("behind", "spread", "bold"),
    [
        (0.04, 0.0, True),  # surely behind, but by less than the margin
        (0.06, 0.01, False),
        (0.5, 0.02, False),
        (0.2, 2.0, True),  # far behind in the mean, but the images do not agree
    ],
)
def test_a_cell_is_bold_unless_it_is_worse(
    tmp_path: Path, behind: float, spread: float, bold: bool
) -> None:
    study = Scored(tmp_path, GROUPS)
    values: dict[str, list[np.ndarray]] = {"gradprom": [], "joint": []}
    for seed in range(3):
        values["gradprom"].append(EASY + noise(seed, 0.001))
        values["joint"].append(EASY - behind + noise(10 + seed, spread))
        for name, of_seeds in values.items():
            study.add(name, {"psnr": of_seeds[-1]}, seed=seed)
    scores = study.scores()
    table = study.table(scores)
    assert best(table) == ({"gradprom", "joint"} if bold else {"gradprom"})
    low, _ = direct(values["gradprom"], values["joint"], scores)
    assert (low > 0 and behind >= MARGIN) == (not bold)
    cells = {row.declared.title: row.cells[0, "psnr"] for row in table.rows}
    by_seed = {name: scores.by_seed(cell.finished, "", "psnr") for name, cell in cells.items()}
    measured = effect([(1, by_seed["gradprom"]), (-1, by_seed["joint"])], scores)
    assert measured.mean == pytest.approx(behind)
    assert [measured.low, measured.high] == pytest.approx(
        direct(values["gradprom"], values["joint"], scores), abs=1e-12
    )


def test_less_is_better_for_an_error(tmp_path: Path) -> None:
    study = Scored(tmp_path)
    for name, error in (("joint", 0.05), ("frozen", 0.02), ("gradprom", 0.02)):
        study.add(name, {"rmse": error + noise(len(name), 1e-4)})
    assert best(study.table(), "rmse") == {"frozen", "gradprom"}


def test_an_accuracy_is_paired_image_by_image(tmp_path: Path) -> None:
    """Both are wrong in some images more; one always in the same, the other in others."""
    study, label = Scored(tmp_path), np.ones(40, int)
    wrong = {"gradprom": range(8), "joint": range(10), "frozen": range(20, 31)}
    for name, images in wrong.items():
        prediction = label.copy()
        prediction[list(images)] = 0
        study.add(name, {"label": label, "prediction": prediction})
    # 0.05 and 0.075 behind: two of 40 images, drawn or not; 8 and 11 images against each other
    assert best(study.table(), "accuracy") == {"gradprom", "joint", "frozen"}
    study.add("mainstream", {"label": label, "prediction": np.where(np.arange(40) < 16, 0, 1)})
    assert "mainstream" not in best(study.table(), "accuracy")  # 8 more of 40, none fewer


def test_without_scores_of_images_the_margin_decides_and_the_note_says_so(tmp_path: Path) -> None:
    study = Scored(tmp_path)
    for name, shift in (("gradprom", 0.0), ("joint", 0.04), ("frozen", 0.06)):
        run = study.add(name, {"psnr": EASY - shift + noise(len(name), 5.0)})
        (study.study.run(run) / "scores.csv").unlink()
    table = study.table()
    assert best(table) == {"gradprom", "joint"}
    assert "the margin alone decides" in layout.rank_note(table)
    assert "With one seed" in layout.rank_note(table)


def test_seeds_that_two_rows_do_not_share_are_not_paired(tmp_path: Path) -> None:
    study = Scored(tmp_path)
    for seed in (0, 1):
        study.add("gradprom", {"psnr": EASY}, seed=seed)
        study.add("joint", {"psnr": EASY - 1 + noise(1, 9.0)}, seed=seed + 2 * (seed == 1))
    # the seed that both have decides: with nine decibels of noise, nothing is worse
    assert best(study.table()) == {"gradprom", "joint"}
    assert "the margin alone" not in layout.rank_note(study.table())


def test_an_image_that_is_infinite_in_one_run_counts_in_neither(tmp_path: Path) -> None:
    """It would be the best of its column by another set of images than its rival's."""
    study, hard = Scored(tmp_path), EASY.copy()
    hard[0] = 5.0
    perfect = EASY - 0.2
    perfect[0] = np.inf
    study.add("gradprom", {"psnr": perfect})
    study.add("joint", {"psnr": hard})
    table = study.table()
    means = {row.declared.title: row.cells[0, "psnr"].value for row in table.rows}
    first, second = means["gradprom"], means["joint"]
    assert first is not None and second is not None and first.mean > second.mean
    # as printed gradprom is ahead; on the images that both have it is 0.2 dB behind
    assert best(table) == {"gradprom", "joint"}


def test_a_row_alone_is_not_marked(tmp_path: Path) -> None:
    study = Scored(tmp_path)
    study.add("gradprom", {"psnr": EASY})
    assert best(study.table()) == set() and layout.rank_note(study.table()) == ""


def test_a_score_that_is_no_number_neither_wins_nor_decides(tmp_path: Path) -> None:
    study = Scored(tmp_path)
    study.add("gradprom", {"psnr": np.full(IMAGES, np.nan)})
    study.add("joint", {"psnr": EASY})
    study.add("frozen", {"psnr": EASY - 1})
    assert best(study.table()) == {"joint"}


def test_the_note_names_the_margins_of_what_is_shown(tmp_path: Path) -> None:
    study = Scored(tmp_path)
    for name in ("gradprom", "joint"):
        study.add(name, {"psnr": EASY, "ssim": EASY / 50})
    assert "reaches the margin (PSNR 0.05 dB, SSIM 0.001)." in layout.rank_note(study.table())


# margins


def test_a_table_has_the_margins_of_its_paper_or_of_the_first() -> None:
    first, *others = papers.papers()
    assert specs.margins_of(None) == specs.margins_of(first)
    assert specs.margins_of(first) == specs.read_claims()[0].margins
    for paper in others:
        own = paper.folder / "claims.yaml"
        expected = specs.read_claims(own)[0].margins if own.is_file() else specs.margins_of(None)
        assert specs.margins_of(paper) == expected
    assert len({(paper.folder / "claims.yaml").is_file() for paper in others}) == 2


# one definition of pairing


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_claims_and_compare_leave_out_the_same_images(tmp_path: Path, bad: float) -> None:
    """An image without a finite value in one of two runs is in neither mean."""
    rng = np.random.default_rng(7)
    study = Scored(tmp_path, GROUPS)
    tables = {name: {"psnr": EASY + rng.normal(0, 1, IMAGES)} for name in ("joint", "frozen")}
    tables["joint"]["psnr"][3] = bad
    tables["frozen"]["psnr"][[4, 5]] = bad
    runs = {name: study.add(name, table) for name, table in tables.items()}
    scores = study.scores()
    joint, frozen = (scores.by_seed({0: runs[name]}, "", "psnr") for name in ("joint", "frozen"))
    found = effect([(1, frozen), (-1, joint)], scores)
    metric, groups = METRICS["psnr"], np.array(GROUPS)
    [compared] = paired_differences([metric], tables["joint"], tables["frozen"], groups)
    both = np.setdiff1d(np.arange(IMAGES), [3, 4, 5])
    gain = (tables["frozen"]["psnr"] - tables["joint"]["psnr"])[both]
    assert found.mean == pytest.approx(gain.mean())
    assert compared.second - compared.first == pytest.approx(gain.mean())
    # two sets of 2,000 draws: the ends differ by chance alone
    width = compared.high - compared.low
    assert (found.low, found.high) == pytest.approx((compared.low, compared.high), abs=0.1 * width)
    weights = scores.draws.images(joint[0].images, groups)[:, both]
    drawn = (weights * gain).sum(axis=1) / weights.sum(axis=1)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_runs_without_a_common_image_have_no_difference(tmp_path: Path) -> None:
    study = Scored(tmp_path)
    halves = [np.where(np.arange(IMAGES) % 2 == n, EASY, np.inf) for n in (0, 1)]
    runs = [study.add(n, {"psnr": h}) for n, h in zip(("joint", "frozen"), halves, strict=True)]
    scores = study.scores()
    one, other = (scores.by_seed({0: run}, "", "psnr") for run in runs)
    assert effect([(1, one), (-1, other)], scores) == Effect({}, None, None)
