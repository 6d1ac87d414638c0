"""Low-count noise is what is left of the full dose's counts, and Poisson noise of a rate."""

import numpy as np
import pytest
import torch
from scipy import stats
from support.degraded import IMAGES

from gradprom.degradations import Poisson
from gradprom.degradations.low_count import LowCount, label


def test_counts_are_quantiles_of_poisson() -> None:
    """At 1 % of 2000 counts a white pixel has 20."""
    uniform = torch.rand(IMAGES.shape, generator=torch.Generator().manual_seed(2))
    degraded = LowCount(counts=2000, dose=0.01).apply(IMAGES, {"uniform": uniform})
    counts = stats.poisson.ppf(uniform.double().numpy(), 20 * IMAGES.double().numpy())
    np.testing.assert_allclose(degraded, (counts / 20).clip(0, 1), rtol=1e-6)


def test_thinned_counts_of_the_full_dose_have_its_distribution() -> None:
    """Each count of the full dose is kept with the probability of the dose."""
    rng = np.random.default_rng(0)
    kept = rng.binomial(rng.poisson(0.3 * 1000, 200_000), 0.01)
    low = LowCount()
    image = torch.full((1, 1, 400, 500), 0.3)
    drawn = low.draw(["a"], tuple(image.shape), torch.Generator().manual_seed(1))
    ours = low.apply(image, drawn).double().mul(10).round().numpy().ravel()
    shares = [np.bincount(x.astype(int).clip(max=10), minlength=11) / 200_000 for x in (ours, kept)]
    np.testing.assert_allclose(*shares, atol=0.005)


def test_the_defaults_are_the_rate_of_a_tenth() -> None:
    drawn = {"uniform": torch.rand(IMAGES.shape)}
    assert torch.equal(LowCount().apply(IMAGES, drawn), Poisson(rate=0.1).apply(IMAGES, drawn))
    assert float(LowCount(counts=400, dose=0.25).noise_level(drawn, 2)[1]) == pytest.approx(0.1)
    assert label({"name": "low_count", "counts": 1000.0, "dose": 0.01}) == "1 % of 1000 counts"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"counts": 0}, "counts=0: allowed"),
        ({"dose": 1.5}, "dose=1.5: allowed"),
        ({"counts": 50}, "leave a white pixel 0.5 counts: allowed are 1 to 500"),
        ({"dose": 1.0}, "leave a white pixel 1000 counts: allowed are 1 to 500"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        LowCount(**options)
