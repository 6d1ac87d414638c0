"""What every degradation keeps to: each that is found by name, and some of many options."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from support import documented
from torch import Tensor

import gradprom.degradations
from gradprom import config
from gradprom.config.components import component_names
from gradprom.config.folders import choices
from gradprom.degradations import (
    Blur,
    Completion,
    Decimation,
    Degradation,
    Downsample,
    Gaussian,
    Mix,
    Poisson,
    RandomProblems,
    degrade_for_evaluation,
    labels,
)
from gradprom.errors import ConfigError
from gradprom.identity import canonical

NAMES = component_names("degradation")
"""Of the repository, and of plug-ins."""
DEFAULTS = {name: config.component("degradation", name).Options() for name in NAMES}
MADE: dict[str, Degradation] = {
    **DEFAULTS,
    "gaussian of a range": Gaussian(sigma=0.3, sigma_low=0.1, clamp=False),
    "fine poisson": Poisson(rate=0.01),
    "wide blur": Blur(kernel=7, sigma=1.5),
    "circular blur": Blur(kernel=9, sigma=1.5, border="circular"),
    "down-sampling by 3": Downsample(scale=3),
    "decimation by 3": Decimation(scale=3, filter="gaussian"),
    "problems of all sizes": RandomProblems(scales=[2, 3], sigma=0.0),
    "much completion": Completion(drop=0.9),
    "a long mix": Mix(
        order=["blur", "downsample", "completion", "gaussian"],
        downsample=Downsample(scale=3),
        parts={"completion": {"drop": 0.4}},
    ),
}
SIZES = [(15, 9), (16, 12), (12, 21)]
every = pytest.mark.parametrize("degradation", MADE.values(), ids=MADE)
sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: "×".join(map(str, size)))
IDS = ["a", "b/1.png", "ü", "d"]


def images(size: tuple[int, int], seed: int = 0, channels: int = 3, count: int = 4) -> Tensor:
    shape = (count, channels, *size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw(degradation: Degradation, shape: Any, seed: int = 1) -> dict[str, Tensor]:
    ids = [str(number) for number in range(shape[0])]
    return degradation.draw(ids, tuple(shape), torch.Generator().manual_seed(seed))


def fits(degradation: Degradation, size: tuple[int, int]) -> bool:
    return not (size[0] % degradation.scale or size[1] % degradation.scale)


def fitting(degradation: Degradation) -> tuple[int, int]:
    return next(size for size in SIZES if fits(degradation, size))


def test_all_are_found_by_name() -> None:
    assert set(NAMES) >= {"blur", "completion", "downsample", "gaussian", "mix", "poisson"}
    for name, options in DEFAULTS.items():
        assert options.name == name
        assert name in choices("degradation")


@pytest.mark.parametrize("name", NAMES)
def test_options_pass_through_omegaconf(name: str) -> None:
    typed = config.component("degradation", name).Options
    options = OmegaConf.to_object(OmegaConf.structured(typed))
    assert isinstance(options, typed) and options == typed()


@every
def test_draw_is_a_function_of_the_generator_alone(degradation: Degradation) -> None:
    # large enough for discrete draws of four images to differ
    shape = (4, 3, *(8 * side for side in fitting(degradation)))
    before, state = copy.deepcopy(degradation), torch.get_rng_state()
    one, two, other = (draw(degradation, shape, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state) and degradation == before
    assert list(one) == list(two) and all(torch.equal(one[key], two[key]) for key in one)
    assert all(len(value) == 4 for value in one.values())
    assert not one or any(not torch.equal(one[key], other[key]) for key in one)
    for value in one.values():  # each image has a draw of its own
        assert len({tuple(row.flatten().tolist()) for row in value}) == 4


@every
def test_apply_is_pure(degradation: Degradation) -> None:
    clean = images(fitting(degradation)).float()
    drawn = draw(degradation, clean.shape)
    given, kept = clean.clone(), {key: value.clone() for key, value in drawn.items()}
    first = degradation.apply(clean, drawn)
    torch.manual_seed(9)
    assert torch.equal(degradation.apply(clean, drawn), first)
    assert torch.equal(clean, given) and all(torch.equal(drawn[k], kept[k]) for k in kept)
    assert first.dtype == clean.dtype


@every
@sizes
@pytest.mark.parametrize("channels", [1, 3])
def test_output_shape_and_scale_are_true(
    degradation: Degradation, size: tuple[int, int], channels: int
) -> None:
    clean = images(size, channels=channels)
    if not fits(degradation, size):
        with pytest.raises(ValueError, match="cannot be divided"):
            degradation.output_shape(tuple(clean.shape))
        return
    expected = degradation.output_shape(tuple(clean.shape))
    drawn = draw(degradation, clean.shape)
    assert tuple(degradation.apply(clean, drawn).shape) == expected
    assert tuple(degradation.operator(clean, drawn).shape) == expected
    assert expected[-2:] == tuple(side // degradation.scale for side in size)
    assert tuple(degradation.adjoint(images(expected[-2:]), drawn, (4, 3, *size)).shape)[1:] == (
        3,
        *size,
    )


@every
def test_an_images_part_is_independent_of_its_batch(degradation: Degradation) -> None:
    """In order, size, and company: to the bit in evaluation, in operators to rounding.

    Products of matrices may be rounded in another order where more of them are computed at once.
    """
    clean = images(fitting(degradation)).float()
    together = degrade_for_evaluation(degradation, clean, IDS, seed=7)
    rows = [2, 0, 3]
    part = degrade_for_evaluation(degradation, clean[rows], [IDS[row] for row in rows], seed=7)
    assert torch.equal(part, together[rows])
    drawn = draw(degradation, clean.shape)
    chosen = {key: value[rows] for key, value in drawn.items()}
    whole = degradation.operator(clean, drawn)
    few = degradation.operator(clean[rows], chosen)
    torch.testing.assert_close(few, whole[rows], rtol=1e-6, atol=1e-6)
    shape = tuple(clean.shape)
    back = degradation.adjoint(whole, drawn, shape)
    alone = degradation.adjoint(whole[rows], chosen, (3, *shape[1:]))
    torch.testing.assert_close(alone, back[rows], rtol=1e-6, atol=1e-6)


@every
@sizes
def test_the_adjoint_is_one(degradation: Degradation, size: tuple[int, int]) -> None:
    """⟨A x, y⟩ = ⟨x, Aᵀ y⟩ image by image, each with parameters of its own."""
    if not fits(degradation, size):
        return
    x = images(size) - 0.5
    drawn = draw(degradation, x.shape)
    forward = degradation.operator(x, drawn)
    y = images(tuple(forward.shape[-2:]), seed=3) - 0.5
    backward = degradation.adjoint(y, drawn, tuple(x.shape))
    left, right = (forward * y).sum((1, 2, 3)), (x * backward).sum((1, 2, 3))
    norms = forward.flatten(1).norm(dim=1) * y.flatten(1).norm(dim=1)
    assert ((left - right).abs() <= 1e-6 * norms).all()
    assert (forward.abs().sum((1, 2, 3)) > 0).all()


@every
def test_the_adjoint_is_the_transposed_matrix(degradation: Degradation) -> None:
    """Column by column of a tiny image, against row by row."""
    size = (9, 6) if degradation.scale == 3 else (8, 6)
    drawn = draw(degradation, (1, 1, *size))
    many = size[0] * size[1]

    def repeated(count: int) -> dict[str, Tensor]:
        return {k: v.repeat(count, *[1] * (v.dim() - 1)) for k, v in drawn.items()}

    unit = torch.eye(many, dtype=torch.float64).view(many, 1, *size)
    matrix = degradation.operator(unit, repeated(many)).flatten(1).T
    smaller = degradation.output_shape((1, 1, *size))[-2:]
    few = smaller[0] * smaller[1]
    unit = torch.eye(few, dtype=torch.float64).view(few, 1, *smaller)
    transposed = degradation.adjoint(unit, repeated(few), (few, 1, *size)).flatten(1).T
    torch.testing.assert_close(transposed, matrix.T, rtol=0, atol=1e-12)
    x = images(size, channels=1, count=1)
    product = (matrix @ x.flatten()).view(1, 1, *smaller)
    torch.testing.assert_close(degradation.operator(x, drawn), product)


@every
def test_operators_are_linear_and_differentiable(degradation: Degradation) -> None:
    size = fitting(degradation)
    x, z = images(size).requires_grad_(), images(size, seed=5)
    drawn = draw(degradation, x.shape)
    joint = degradation.operator(2 * x - 3 * z, drawn)
    apart = 2 * degradation.operator(x, drawn) - 3 * degradation.operator(z, drawn)
    torch.testing.assert_close(joint, apart)
    y = images(tuple(apart.shape[-2:]), seed=6).requires_grad_()
    [gradient] = torch.autograd.grad((degradation.operator(x, drawn) * y).sum(), x)
    torch.testing.assert_close(gradient, degradation.adjoint(y, drawn, tuple(x.shape)))
    [gradient] = torch.autograd.grad((degradation.adjoint(y, drawn, tuple(x.shape)) * z).sum(), y)
    torch.testing.assert_close(gradient, degradation.operator(z, drawn))


@every
def test_noise_level_is_one_number_an_image(degradation: Degradation) -> None:
    shape = (4, 3, *fitting(degradation))
    drawn = draw(degradation, shape)
    level = degradation.noise_level(drawn, 4)
    assert level.shape == (4,) and level.dtype == torch.float32
    assert level.isfinite().all() and (level >= 0).all()


@pytest.mark.parametrize(
    "degradation",
    [
        Gaussian(sigma=0.05, clamp=False),
        Gaussian(sigma=0.2, sigma_low=0.05, clamp=False),
        Poisson(rate=0.004),
        Blur(),
        Completion(drop=0.4),
        Downsample(scale=2),
        Mix(order=["completion", "gaussian"], gaussian=Gaussian(sigma=0.05, clamp=False)),
    ],
    ids=lambda degradation: degradation.name,
)
def test_noise_level_is_what_is_not_linear(degradation: Degradation) -> None:
    """The standard deviation of y − A x; of white images for Poisson, and below the range's end."""
    grey = 1.0 if isinstance(degradation, Poisson) else 0.5
    clean = torch.full((4, 3, 64, 64), grey, dtype=torch.float64)
    drawn = draw(degradation, clean.shape)
    noise = degradation.apply(clean, drawn) - degradation.operator(clean, drawn)
    measured = noise.flatten(1).std(dim=1)
    if isinstance(degradation, Poisson):  # half of it is cut away
        measured = noise.square().mean((1, 2, 3)).mul(2).sqrt()
    level = degradation.noise_level(drawn, 4).double()
    torch.testing.assert_close(measured, level, rtol=0.05, atol=1e-12)


def record(degradation: Any) -> dict[str, Any]:
    """Its options as they are in a record."""
    return dict(OmegaConf.to_container(OmegaConf.structured(degradation)))  # type: ignore[arg-type]


def test_labels_tell_all_that_differ_apart() -> None:
    titles = [labels.label(record(degradation)) for degradation in MADE.values()]
    assert len(set(titles)) == len(titles) and all(titles)
    keys = [labels.sort_key(record(degradation)) for degradation in MADE.values()]
    assert sorted(keys) and all(isinstance(value, int | float) for key in keys for value in key)


@pytest.mark.parametrize("name", NAMES)
def test_each_file_has_its_own_label_and_sort_key(name: str) -> None:
    module, options = config.component("degradation", name), record(DEFAULTS[name])
    assert module.label(options) == labels.label(options)
    assert module.sort_key(options)[0] < labels.UNKNOWN or name == "mix"


def test_labels_need_no_torch() -> None:
    made = [record(degradation) for degradation in MADE.values()]
    code = f"""
import sys
from gradprom.degradations.labels import label, sort_key
sorted({made!r}, key=sort_key)
print(" | ".join(label(options) for options in {made!r}))
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().split(" | ") == [labels.label(options) for options in made]


def test_defaults_have_ids_without_what_is_younger() -> None:
    """Fields that came later leave no trace while they are not used."""
    assert list(canonical(Gaussian())) == ["name", "sigma", "clamp"]
    assert list(canonical(Mix())) == ["name", "order", "blur", "poisson", "gaussian"]


def test_the_documentations_degradation_keeps_the_contract(tmp_path: Path) -> None:
    """Its file and its YAML as they stand there, in a mix; `tests/proofs` has it alone."""
    with documented.component("degradations.md", gradprom.degradations, tmp_path) as (module, conf):
        typed = documented.configuration(conf, "degradation=stripes", "degradation.share=0.3")
        stripes = typed.degradation
        assert isinstance(stripes, module.Options) and stripes.share == 0.3
        mix = ["degradation=mix", "degradation.order=[blur,stripes,gaussian]"]
        mixed = documented.configuration(conf, *mix, "+degradation.parts.stripes.share=0.2")
        assert mixed.degradation.parts == {"stripes": module.Options(share=0.2)}
        with pytest.raises(ConfigError, match="degradation=stripes: share=1.0: allowed"):
            documented.configuration(conf, *mix, "+degradation.parts.stripes.share=1")
        with pytest.raises(ConfigError, match="mix, poisson, random_problems, stripes"):
            documented.configuration(conf, "degradation.name=stripe")
        for degradation in (mixed.degradation,):
            test_draw_is_a_function_of_the_generator_alone(degradation)
            test_apply_is_pure(degradation)
            test_output_shape_and_scale_are_true(degradation, SIZES[0], 3)
            test_an_images_part_is_independent_of_its_batch(degradation)
            test_the_adjoint_is_one(degradation, SIZES[0])
            test_the_adjoint_is_the_transposed_matrix(degradation)
            test_operators_are_linear_and_differentiable(degradation)
            test_noise_level_is_one_number_an_image(degradation)
        assert labels.label(record(stripes)) == "stripes 0.3"
        parts = {"stripes": record(stripes)}
        assert labels.label({"name": "mix", "order": ["stripes"], "parts": parts}) == (
            "mix of stripes 0.3"
        )
        assert labels.sort_key(record(stripes)) == (5, 0.3)
