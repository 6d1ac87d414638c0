"""Every shipped configuration composes and types, and the values are the paper's."""

import functools
from dataclasses import fields
from itertools import product
from typing import Any

import pytest
from support.compositions import CONF, choices, component_names, compose, load, shipped

from gradprom import config
from gradprom.config import components
from gradprom.data.base import Facts
from gradprom.degradations import mix
from gradprom.errors import ConfigError

GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())


# what is shipped


def test_the_groups_are_there() -> None:
    assert set(GROUPS) >= {
        "dataset",
        "degradation",
        "backbone",
        "auxiliary",
        "strategy",
        "method",
        "profile",
    }
    tasks = {"none", "diagnosis", "segmentation", "multitask", "identity"}
    assert set(choices("auxiliary")) == tasks
    assert set(choices("profile")) == {"demo", "bench", "paper"}


@pytest.mark.parametrize("group", sorted(config.GROUPS))
def test_every_component_has_a_file_and_every_file_a_component(group: str) -> None:
    assert component_names(group) == set(components.component_names(group))


@functools.cache
def facts(dataset: str) -> Facts:
    options = config.options("dataset", compose(f"dataset={dataset}").dataset)
    return config.component("dataset", dataset).facts(options)


def fitting(group: str, name: str) -> list[str]:
    """What has to stand beside a choice that does not fit the defaults."""
    if group == "auxiliary" and name == "none":
        return ["strategy=mainstream"]
    if group == "auxiliary" and name == "identity":
        return ["dataset=faces"]
    if group == "dataset" and not facts(name).classes:
        return ["auxiliary=none", "strategy=mainstream"]
    if (group, name) == ("degradation", "downsample"):
        return ["scale=2"]
    return []


@pytest.mark.parametrize(
    ("group", "name"), [(g, n) for g in sorted(config.GROUPS) for n in choices(g)]
)
def test_a_file_names_every_option_so_that_it_can_be_overridden(group: str, name: str) -> None:
    node = compose(f"{group}={name}", *fitting(group, name))[group]
    options = {field.name for field in fields(config.component(group, node.name).Options)}
    if node.name == "mix":
        options -= {*mix.OWN_FIELDS, "parts"}  # those of its order are there
    assert options <= set(node)


@pytest.mark.parametrize("profile", choices("profile"))
@pytest.mark.parametrize(
    ("group", "name"),
    [(g, n) for g in GROUPS if g not in ("profile", "tune") for n in choices(g)],
)
def test_every_file_types_under_every_profile(group: str, name: str, profile: str) -> None:
    """And the typed values are those of the file, or the profile's."""
    typed = load(f"profile={profile}", f"{group}={name}", *fitting(group, name))
    section = getattr(typed, group)
    overridden = shipped("profile", profile).get(group, {})
    for key, value in {**shipped(group, name), **overridden}.items():
        assert is_typed(getattr(section, key), value), f"{group}.{key}"


def is_typed(typed: Any, value: Any) -> bool:
    """Whether a typed value is that of a file, part by part; interpolations have any."""
    if isinstance(value, dict) and not isinstance(typed, dict):
        return all(is_typed(getattr(typed, key), part) for key, part in value.items())
    return str(value).startswith("${") or bool(typed == value)


TWO_LOSSES = {
    name
    for name in choices("strategy")
    if components.component("strategy", name).Options.two_losses
}


def fits(dataset: str, auxiliary: str, strategy: str) -> bool:
    tasks, known = shipped("auxiliary", auxiliary)["tasks"], facts(dataset)
    if strategy != "mainstream" and not tasks or strategy in TWO_LOSSES and len(tasks) > 1:
        return False
    there = {"diagnosis": known.classes, "segmentation": known.mask_classes}
    there["identity"] = known.further.get("identity", ())
    return all(there[task] for task in tasks)


@pytest.mark.parametrize(
    ("dataset", "auxiliary", "strategy"),
    sorted(
        {
            *product(choices("dataset"), choices("auxiliary"), ["gradprom", "mainstream"]),
            *product(["phantom"], choices("auxiliary"), choices("strategy")),
        }
    ),
)
def test_datasets_tasks_and_strategies_fit_or_are_refused(
    dataset: str, auxiliary: str, strategy: str
) -> None:
    overrides = [f"dataset={dataset}", f"auxiliary={auxiliary}", f"strategy={strategy}"]
    if fits(dataset, auxiliary, strategy):
        typed = load(*overrides)
        assert typed.strategy.name == strategy and typed.dataset.name == dataset
        assert typed.auxiliary.tasks == shipped("auxiliary", auxiliary)["tasks"]
    else:
        with pytest.raises(ConfigError, match="; (use|choose) "):
            load(*overrides)


def test_what_the_datasets_have() -> None:
    assert len(facts("phantom").classes) == 3 and len(facts("phantom").mask_classes) == 2
    assert len(facts("covid_ct").classes) == 2 and not facts("covid_ct").mask_classes


@pytest.mark.parametrize("auxiliary", choices("auxiliary"))
def test_the_recognizer_method_takes_one_task(auxiliary: str) -> None:
    if auxiliary in ("diagnosis", "segmentation", "identity"):
        dataset = "faces" if auxiliary == "identity" else "phantom"
        typed = load("method=recognizer", f"auxiliary={auxiliary}", f"dataset={dataset}")
        assert typed.method.name == "recognizer"
    else:
        with pytest.raises(ConfigError, match="method=recognizer trains one recognizer; choose"):
            load("method=recognizer", f"auxiliary={auxiliary}")


# values


def test_paper_has_the_papers_values() -> None:
    """Section 4.1, and what docs/open-choices.md says of what it does not give."""
    typed = load("profile=paper")
    assert typed.strategy.name == "gradprom" and typed.strategy.lam == 1e-4
    assert typed.strategy.gate == "hard" and typed.strategy.granularity == "whole"
    t = typed.trainer
    assert (t.batch_size, t.lr, t.schedule, t.augment) == (8, 1e-4, "constant", True)
    assert (t.warmup_epochs, t.coupled_epochs) == (50, 50)
    a = typed.auxiliary
    assert (a.backbone, a.lr, a.coupled_lr, a.epochs) == ("resnet101", 1e-4, 1e-4, 50)
    assert a.pretrained and typed.backbone.pretrained
    assert (typed.backbone.name, typed.backbone.encoder) == ("resnet_encoder", "resnet50")
    assert typed.dataset.size == 256
    assert typed.degradation.clamp and typed.degradation.name == "gaussian"
    assert load("profile=paper", "backbone=resnet101").backbone.encoder == "resnet101"
    published = load("profile=paper", "backbone=srresnet").backbone
    assert (published.channels, published.blocks) == (64, 16)


def test_an_alias_reaches_all_that_it_stands_for() -> None:
    typed = load("noise=0.3", "lam=0.5", "seed=7", "strategy=random_gate", "backbone=resnet50")
    assert (typed.degradation.sigma, typed.strategy.lam) == (0.3, 0.5)
    assert (typed.strategy.seed, typed.seed) == (7, 7)
    for wanted in (True, False):
        typed = load(f"pretrained={wanted}", "backbone=resnet50")
        assert typed.auxiliary.pretrained is typed.backbone.pretrained is wanted
    assert load("data_root=/elsewhere", "dataset=covid_ct").dataset.root == "/elsewhere"


def test_a_mix_is_table_iii_unless_told_otherwise() -> None:
    mix = load("degradation=mix", "noise=0.3", "degradation.blur.sigma=1").degradation
    assert mix.order == ["blur", "poisson", "gaussian"] and mix.downsample is None
    assert (mix.blur.kernel, mix.blur.sigma) == (3, 1.0) and type(mix.blur.sigma) is float
    assert (mix.poisson.rate, mix.gaussian.sigma, mix.gaussian.clamp) == (0.1, 0.3, True)
    mix = load("degradation=mix", "degradation.order=[downsample,gaussian]", "scale=4").degradation
    assert (mix.order, mix.downsample.scale) == (["downsample", "gaussian"], 4)
    assert mix.blur is None and mix.poisson is None


def test_a_mix_takes_further_parts() -> None:
    order = "degradation.order=[completion,gaussian]"
    mix = load("degradation=mix", order, "degradation.parts.completion.drop=0.25").degradation
    assert mix.order == ["completion", "gaussian"] and mix.blur is None
    assert [(part.name, part.drop) for part in mix.parts.values()] == [("completion", 0.25)]


def test_each_image_may_have_its_own_noise_level() -> None:
    noise = load("degradation.sigma_low=0.05", "noise=0.2").degradation
    assert (noise.sigma_low, noise.sigma) == (0.05, 0.2)


def test_an_enhancer_may_enlarge_by_three() -> None:
    assert load("degradation=downsample", "scale=3", "dataset.size=96").degradation.scale == 3


def test_the_command_line_wins_over_the_profile() -> None:
    typed = load("profile=paper", "backbone=srresnet_small", "trainer.lr=0.5", "dataset.size=64")
    assert typed.backbone.channels == shipped("backbone", "srresnet_small")["channels"]
    assert (typed.trainer.lr, typed.dataset.size) == (0.5, 64)


def test_numbers_have_the_types_of_the_schema() -> None:
    typed = load("noise=1", "lam=1", "trainer.lr=1", "evaluation.seed=3")
    for value in (typed.degradation.sigma, typed.strategy.lam, typed.trainer.lr):
        assert type(value) is float and value == 1.0
    assert type(typed.evaluation.seed) is int
