"""A mix is its parts one after the other, and so are its operator and its noise level."""

import math
from itertools import permutations

import pytest
import torch
from support.degraded import IDS, IMAGES, degrade

from gradprom.degradations import Blur, Completion, Downsample, Gaussian, Mix, Poisson
from gradprom.errors import ConfigError
from gradprom.identity import canonical, digest


def by_hand(order, images, seed):
    """The parts one after the other, with one generator."""
    generator = torch.Generator().manual_seed(seed)
    parts = {
        "blur": Blur(),
        "poisson": Poisson(),
        "gaussian": Gaussian(),
        "downsample": Downsample(),
    }
    ids = [str(number) for number in range(len(images))]
    for name in order:
        images = parts[name].apply(images, parts[name].draw(ids, tuple(images.shape), generator))
    return images


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_mix_is_its_parts_in_their_order(count):
    found = []
    for order in permutations(["blur", "poisson", "gaussian", "downsample"], count):
        degraded = degrade(Mix(order=list(order)), IMAGES, seed=4)
        assert torch.equal(degraded, by_hand(order, IMAGES, seed=4))
        found.append(degraded)
    for one in range(len(found)):  # and the order matters
        assert not any(torch.equal(found[one], other) for other in found[:one])


def test_the_usual_mix_is_table_iii():
    assert Mix().order == ["blur", "poisson", "gaussian"]
    assert (Mix().blur, Mix().poisson) == (Blur(kernel=3, sigma=2.0), Poisson(rate=0.1))


def test_a_part_that_is_not_used_leaves_no_trace():
    one = Mix(order=["gaussian"], gaussian=Gaussian(), blur=Blur(sigma=9.0), poisson=Poisson())
    assert one == Mix(order=["gaussian"]) and one.blur is None
    gaussian = {"name": "gaussian", "sigma": 0.1, "clamp": True}
    assert canonical(one) == {"name": "mix", "order": ["gaussian"], "gaussian": gaussian}
    changed = Mix(order=["gaussian"], gaussian=Gaussian(sigma=0.2))
    assert len({digest(d) for d in (one, changed, Mix(), Mix(order=["poisson", "blur"]))}) == 4


def test_a_mix_takes_any_other_degradation_with_its_options():
    one = Mix(order=["completion", "gaussian"], parts={"completion": {"drop": 0.2}, "poisson": {}})
    assert one.parts == {"completion": Completion(drop=0.2)} and one.poisson is None
    assert canonical(one)["parts"] == {"completion": {"name": "completion", "drop": 0.2}}
    usual = Mix(order=["completion"])
    assert usual.parts == {"completion": Completion()} and Mix().parts is None
    assert "parts" not in canonical(Mix())
    drawn = one.draw(IDS, tuple(IMAGES.shape), torch.Generator().manual_seed(4))
    holes = IMAGES * drawn["completion.mask"]
    assert torch.equal(
        one.apply(IMAGES, drawn), (holes + 0.1 * drawn["gaussian.noise"]).clamp(0, 1)
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"drop": 2}, "degradation=completion: drop=2"),
        ({"drop": "many"}, "degradation=completion: .*'many'"),
        ({"share": 0.1}, "degradation=completion: .*share"),
    ],
)
def test_options_of_a_part_are_typed_and_checked_by_its_file(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Mix(order=["completion"], parts={"completion": options})


def test_the_operator_of_a_mix_is_the_product_of_its_parts():
    mix = Mix(order=["blur", "downsample", "gaussian"], downsample=Downsample(scale=2))
    drawn = mix.draw(IDS, tuple(IMAGES.shape), torch.Generator().manual_seed(0))
    assert torch.equal(
        mix.operator(IMAGES, drawn), Downsample().operator(Blur().apply(IMAGES, {}), {})
    )
    expected = Blur().adjoint(Downsample().adjoint(IMAGES, {}, (5, 3, 24, 16)), {}, (5, 3, 24, 16))
    assert torch.equal(mix.adjoint(IMAGES, drawn, (5, 3, 24, 16)), expected)
    assert Mix(order=["downsample", "blur"], downsample=Downsample(scale=3)).scale == 3


def test_levels_of_a_mix_add_up_in_squares():
    mix = Mix(order=["blur", "gaussian", "poisson"], gaussian=Gaussian(sigma=0.3))
    drawn = mix.draw(IDS, tuple(IMAGES.shape), torch.Generator().manual_seed(0))
    torch.testing.assert_close(mix.noise_level(drawn, 5), torch.full((5,), math.sqrt(0.19)))
    alone = Mix(order=["blur", "gaussian"], gaussian=Gaussian(sigma=0.3))
    assert torch.equal(alone.noise_level(drawn, 5), torch.full((5,), 0.3))
