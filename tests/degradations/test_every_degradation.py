"""Every degradation is a function of image and draw alone, and refuses wrong options."""

import math
import subprocess
import sys

import pytest
import torch
from support.degraded import IDS, IMAGES, degrade, every

from gradprom.degradations import Blur, Completion, Downsample, Gaussian, Mix, Poisson


def test_operators_keep_what_an_image_would_lose():
    """No cut: an operator is linear beyond [0, 1] too."""
    beyond = 4 * IMAGES - 2
    for degradation in (Downsample(), Gaussian(), Poisson(), Mix()):
        drawn = degradation.draw(IDS, tuple(beyond.shape), torch.Generator().manual_seed(0))
        low, high = degradation.operator(beyond, drawn).aminmax()
        assert low < -0.2 and high > 1.2


def test_levels_lie_where_the_draw_lies():
    """Whether a part has drawn anything or not; `meta` stands for a GPU."""
    mix = Mix(order=["blur", "poisson", "gaussian"], gaussian=Gaussian(sigma_low=0.0))
    drawn = mix.draw(IDS, tuple(IMAGES.shape), torch.Generator().manual_seed(0))
    elsewhere = {key: value.to("meta") for key, value in drawn.items()}
    assert mix.noise_level(elsewhere, 5).device.type == "meta"
    assert Gaussian().noise_level({"noise": elsewhere["gaussian.noise"]}, 5).device.type == "meta"


def test_the_package_is_imported_without_torch():
    code = "import sys, gradprom.degradations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@every
def test_apply_keeps_dtype_and_output_shape_tells_the_truth(degradation):
    for dtype in (torch.float32, torch.float64):
        degraded = degrade(degradation, IMAGES.to(dtype))
        assert degraded.dtype == dtype and degraded.min() >= 0 and degraded.max() <= 1
        assert tuple(degraded.shape) == degradation.output_shape(tuple(IMAGES.shape))


@every
def test_apply_is_a_function_of_image_and_draw_alone(degradation):
    before, shape = IMAGES.clone(), tuple(IMAGES.shape)
    drawn = degradation.draw(IDS, shape, torch.Generator().manual_seed(5))
    assert all(len(value) == len(IDS) for value in drawn.values())
    first = degradation.apply(IMAGES, drawn)
    torch.manual_seed(6)
    assert torch.equal(first, degradation.apply(IMAGES, drawn)) and torch.equal(before, IMAGES)
    alone = degradation.apply(IMAGES[2:3], {key: value[2:3] for key, value in drawn.items()})
    assert torch.equal(first[2:3], alone)


@pytest.mark.parametrize(
    ("options", "values", "sentence"),
    [
        (Poisson, {"rate": 0.0}, "rate=0.0: allowed are numbers from 0.002 to 1"),
        (Poisson, {"rate": 1.01}, "rate=1.01: allowed are numbers from 0.002 to 1"),
        (Poisson, {"rate": math.inf}, "rate=inf: allowed are numbers from 0.002 to 1"),
        (Blur, {"kernel": 4}, "kernel=4: allowed are odd numbers >= 3"),
        (Blur, {"kernel": 1}, "kernel=1: allowed are odd numbers >= 3"),
        (Blur, {"sigma": 0.0}, "sigma=0.0: allowed for a blur are finite numbers > 0"),
        (Gaussian, {"sigma_low": 0.2}, "sigma_low=0.2: allowed are .* from 0 to sigma=0.1"),
        (Gaussian, {"sigma_low": -0.1}, "sigma_low=-0.1: allowed are .* from 0 to sigma=0.1"),
        (Gaussian, {"sigma_low": math.nan}, "sigma_low=nan: allowed are .* from 0 to sigma=0.1"),
        (Completion, {"drop": 1.0}, "drop=1.0: allowed are numbers from 0 to 0.99"),
        (Completion, {"drop": -0.1}, "drop=-0.1: allowed are numbers from 0 to 0.99"),
        (Completion, {"drop": math.nan}, "drop=nan: allowed are numbers from 0 to 0.99"),
        (Downsample, {"scale": 0}, "scale=0: allowed are whole numbers >= 1"),
        (Mix, {"order": []}, r"order=\[\]: allowed are one or more degradations"),
        (
            Mix,
            {"order": ["blur", "fog"]},
            r"order=\[blur,fog\]: .*fog is unknown; choose from blur, completion, decimation",
        ),
        (Mix, {"order": ["mix"]}, r"order=\[mix\]: allowed are all degradations but a mix"),
        (Mix, {"parts": {"fog": {}}}, r"parts: .*fog is unknown; choose from blur, completion"),
        (
            Mix,
            {"order": ["completion"], "parts": {"completion": 3}},
            r"parts.completion=3: allowed are its options",
        ),
        (Mix, {"order": ["blur", "blur"]}, r"order=\[blur,blur\]: each part may occur only once"),
    ],
)
def test_wrong_options_are_refused_with_the_value_and_what_is_allowed(options, values, sentence):
    with pytest.raises(ValueError, match=sentence):
        options(**values)
