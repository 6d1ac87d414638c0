"""The AUC over pairs of images, against counting pair by pair and Mann and Whitney's ranks."""

import math

import numpy as np
import pytest
from scipy import stats

from gradprom.metrics import verification
from gradprom.metrics.registry import METRICS, scores

AUC = METRICS["auc"]


def table(identity: np.ndarray, embedding: np.ndarray) -> dict[str, np.ndarray]:
    columns = {f"embedding_{i}": values for i, values in enumerate(np.atleast_2d(embedding.T))}
    return {"identity": identity, **columns}


def people(
    seed: int, images: int = 14, persons: int = 4, size: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Identities and embeddings on a coarse grid, so that many distances are equal."""
    rng = np.random.default_rng(seed)
    identity = rng.integers(0, persons, images)
    centres = rng.normal(0, 1, (persons, size))
    return identity, np.round(2 * (centres[identity] + rng.normal(0, 0.7, (images, size)))) / 2


def by_counting(identity: np.ndarray, embedding: np.ndarray, weights: np.ndarray) -> float:
    """Every pair of one identity against every pair of two."""
    n = len(identity)
    pairs = [(i, j) for i in range(n) for j in range(i)]
    won = total = 0.0
    for a, b in (p for p in pairs if identity[p[0]] == identity[p[1]]):
        for c, d in (p for p in pairs if identity[p[0]] != identity[p[1]]):
            same = sum((embedding[a] - embedding[b]) ** 2)
            other = sum((embedding[c] - embedding[d]) ** 2)
            weight = weights[a] * weights[b] * weights[c] * weights[d]
            won += weight * (1.0 if same < other else 0.5 if same == other else 0.0)
            total += weight
    return won / total if total else math.nan


def by_ranks(identity: np.ndarray, embedding: np.ndarray) -> float:
    """U / (m · n), from the ranks of the pairs; ties share their mean rank."""
    first, second = np.triu_indices(len(identity), 1)
    same = identity[first] == identity[second]
    likeness = -((embedding[first] - embedding[second]) ** 2).sum(axis=1)
    m, n = same.sum(), (~same).sum()
    ranks = stats.rankdata(likeness)[same].sum()
    return float((ranks - m * (m + 1) / 2) / (m * n))


@pytest.mark.parametrize("seed", range(4))
def test_the_area_is_the_counted_share(seed: int) -> None:
    identity, embedding = people(seed)
    found = scores(table(identity, embedding))["auc"]
    assert found == pytest.approx(by_counting(identity, embedding, np.ones(14)), rel=1e-12)
    assert found == pytest.approx(by_ranks(identity, embedding), rel=1e-12)
    assert 0.5 < found < 1


def test_weights_of_images_make_those_of_pairs() -> None:
    identity, embedding = people(7, images=9, persons=3)
    weights = np.random.default_rng(8).integers(0, 4, (2, 3, 9)).astype(float)
    found = AUC.score(table(identity, embedding), weights)
    assert found.shape == (2, 3)
    for place in np.ndindex(2, 3):
        expected = by_counting(identity, embedding, weights[place])
        assert found[place] == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_an_image_drawn_twice_makes_no_pair_with_itself() -> None:
    """Otherwise two copies, 0 apart, would be a pair of one identity that always wins."""
    identity, embedding = np.array([0, 0, 1, 1]), np.array([[0.0], [3.0], [1.0], [2.0]])
    once, twice = np.ones(4), np.array([2.0, 1.0, 1.0, 1.0])
    both = AUC.score(table(identity, embedding), np.stack([once, twice]))
    assert both[0] == pytest.approx(by_counting(identity, embedding, once))
    assert both[1] == pytest.approx(by_counting(identity, embedding, twice))


def test_parts_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    identity, embedding = people(3)
    weights = np.random.default_rng(4).integers(0, 3, (11, 14)).astype(float)
    whole = AUC.score(table(identity, embedding), weights)
    monkeypatch.setattr(verification, "CELLS", 200)  # two draws of 91 pairs at a time
    np.testing.assert_array_equal(AUC.score(table(identity, embedding), weights), whole)


def test_unit_embeddings_rank_as_their_cosines() -> None:
    rng = np.random.default_rng(5)
    identity, embedding = rng.integers(0, 4, 20), rng.normal(size=(20, 5))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    first, second = np.triu_indices(20, 1)
    cosine = (embedding[first] * embedding[second]).sum(axis=1)
    same = identity[first] == identity[second]
    found = stats.mannwhitneyu(cosine[same], cosine[~same]).statistic
    expected = found / (same.sum() * (~same).sum())
    assert scores(table(identity, embedding))["auc"] == pytest.approx(expected, rel=1e-12)


def test_unknown_identities_are_left_out_and_no_pairs_have_no_score() -> None:
    identity, embedding = people(2)
    more = table(np.append(identity, [-1, -1]), np.vstack([embedding, embedding[:2]]))
    assert scores(more)["auc"] == scores(table(identity, embedding))["auc"]
    for alone in (np.arange(5), np.zeros(5), np.full(5, -1)):
        assert math.isnan(scores(table(alone, np.arange(5.0)[:, None]))["auc"])
    weights = np.array([1.0, 0.0, 1.0])  # the draw lacks a pair of one identity
    assert math.isnan(AUC.score(table(np.array([0, 0, 1]), np.arange(3.0)[:, None]), weights))
