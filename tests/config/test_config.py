"""Every shipped configuration composes and types; values are the paper's; messages help."""

import functools
import re
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
import yaml
from omegaconf import DictConfig
from support import tiny_runs

import gradprom.strategies
from gradprom import config
from gradprom.config import Config, components
from gradprom.data.base import Facts
from gradprom.errors import ConfigError

CONF = tiny_runs.CONF
GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())
COMPONENTS = sorted(set(config.PACKAGES) & set(GROUPS))  # recognizers and tasks have no nodes


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def compose(*overrides: str) -> DictConfig:
    config.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose("config", list(overrides))


def load(*overrides: str) -> Config:
    return config.load(compose(*overrides))


def shipped(group: str, name: str) -> dict[str, Any]:
    """What a file says itself; its defaults list is Hydra's."""
    content = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    return {key: value for key, value in content.items() if key != "defaults"}


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
    assert set(choices("auxiliary")) == {"none", "diagnosis", "segmentation", "multitask"}
    assert set(choices("profile")) == {"demo", "bench", "paper"}


@pytest.mark.parametrize("group", sorted(config.GROUPS))
def test_every_component_has_a_file_and_every_file_a_component(group: str) -> None:
    # one that only points to others has no name of its own
    named = {shipped(group, name).get("name") for name in choices(group)} - {None}
    assert named == set(components.component_names(group))


@functools.cache
def facts(dataset: str) -> Facts:
    options = config.options("dataset", compose(f"dataset={dataset}").dataset)
    return config.component("dataset", dataset).facts(options)


def fitting(group: str, name: str) -> list[str]:
    """What has to stand beside a choice that does not fit the defaults."""
    if group == "auxiliary" and name == "none":
        return ["strategy=mainstream"]
    if group == "dataset" and not facts(name).classes:
        return ["auxiliary=none", "strategy=mainstream"]
    if (group, name) == ("degradation", "downsample"):
        return ["scale=2"]
    return []


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
        if not str(value).startswith("${"):
            assert getattr(section, key) == value, f"{group}.{key}"


def fits(dataset: str, auxiliary: str, strategy: str) -> bool:
    tasks, known = shipped("auxiliary", auxiliary)["tasks"], facts(dataset)
    if strategy != "mainstream" and not tasks or strategy == "mgda" and len(tasks) > 1:
        return False
    there = {"diagnosis": known.classes, "segmentation": known.mask_classes}
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
    if auxiliary in ("diagnosis", "segmentation"):
        assert load("method=recognizer", f"auxiliary={auxiliary}").method.name == "recognizer"
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


# messages

COMPLETION = "degradation.parts.completion."
REFUSED = [
    # the key as it was typed, the value, what is allowed
    (["noise=-1"], "noise=-1.0 must be a finite number >= 0"),
    (["noise=nan"], "noise=nan must be a finite number >= 0"),
    (["noise=inf"], "noise=inf must be a finite number >= 0"),
    (["seed=-1"], "seed=-1 must be >= 0"),
    (["study=stages"], "study=stages is reserved"),
    (["study=../up"], "study=../up must be a plain folder name, such as local"),
    (["supervision=semi"], "supervision=semi is not allowed; choose from supervised, unsuperv"),
    (["logger=wandb"], "logger=wandb is not allowed; choose from csv, tensorboard"),
    (["lam=-1"], "strategy=gradprom: lam must be a finite number >= 0, got -1.0"),
    (["lam=nan"], "strategy=gradprom: lam must be a finite number >= 0, got nan"),
    (["strategy.gate=soft"], "strategy=gradprom: gate must be one of hard, cosine, got 'soft'"),
    (["strategy=random_gate", "strategy.rate=2"], "rate must be between 0 and 1, got 2.0"),
    (["strategy.gate=[1]"], "strategy=gradprom: "),
    (["+strategy.gat=hard"], "strategy=gradprom: Key 'gat' not in 'GradProm'"),
    (["backbone.blocks=0"], "backbone=srresnet: blocks=0: allowed are whole numbers >= 1"),
    (["backbone.blocks=two"], "backbone=srresnet: Value 'two' of type 'str' could not be conv"),
    (["degradation.sigma=-1"], "degradation=gaussian: sigma=-1.0: allowed are finite numbers"),
    (["degradation.name=rain"], "degradation.name=rain is unknown; choose from blur, completion"),
    (["scale=2"], "scale=2 has no effect with degradation=gaussian; use degradation=downsample,"),
    (["degradation=mix", "scale=4"], "or a mix with downsample in degradation.order"),
    (["degradation=downsample"], "down-sampling needs a factor; choose scale=2, scale=3"),
    (["degradation=mix", "degradation.order=[downsample]"], "down-sampling needs a factor; choose"),
    (
        ["degradation=downsample", "scale=3"],
        "dataset.size=64: 64×64 pixels cannot be divided by scale=3",
    ),
    (["degradation=downsample", "scale=0"], "degradation=downsample: scale=0: allowed are whole"),
    (
        ["degradation=downsample", "scale=4", "dataset=isic2018", "dataset.size=250"],
        "dataset.size=250: 250×250 pixels cannot be divided by scale=4",
    ),
    (["degradation=mix", "degradation.order=[fog]"], "order=[fog]: degradation.name=fog is unknow"),
    (
        [
            "degradation=mix",
            "degradation.order=[completion]",
            "degradation.parts.completion.drop=1",
        ],
        "degradation=completion: drop=1.0: allowed are numbers from 0 to 0.99",
    ),
    (["degradation=mix", "degradation.order=[blur,blur]"], "order=[blur,blur]: each part may"),
    (["degradation=mix", "degradation.blur.kernel=4"], "degradation=mix: kernel=4: allowed are"),
    (["+degradation.blur.size=4", "degradation=mix"], "degradation=mix: Key 'size' not in 'Blur'"),
    (["trainer.lr=0"], "trainer.lr=0.0 must be a finite number > 0"),
    (["trainer.lr=inf"], "trainer.lr=inf must be a finite number > 0"),
    (["trainer.batch_size=0"], "trainer.batch_size=0 must be at least 1"),
    (["trainer.coupled_epochs=-1"], "trainer.coupled_epochs=-1 must be at least 0"),
    (["trainer.schedule=cosine"], "trainer.schedule=cosine is not allowed; choose from constant"),
    (["trainer.device=gpu"], "trainer.device=gpu is not allowed; choose from auto, cpu, cuda"),
    (["trainer.threads=0"], "trainer.threads=0 must be at least 1"),
    (["trainer.precision=fp16"], "trainer.precision=fp16 is not allowed; choose from float32"),
    (
        ["trainer.precision=tf32", "trainer.device=cpu"],
        "trainer.precision=tf32 is not available on trainer.device=cpu; it needs cuda",
    ),
    (
        ["trainer.precision=bf16", "trainer.device=mps"],
        "trainer.precision=bf16 is not available on trainer.device=mps; it needs cuda or cpu",
    ),
    (["trainer.compile=true", "trainer.devices=2"], "trainer.compile=true works on one device"),
    (["auxiliary.tasks=[diagnose]"], "auxiliary.tasks=diagnose is not allowed; choose from diag"),
    (["auxiliary.backbone=vgg"], "auxiliary.backbone=vgg is unknown; choose from resnet18"),
    (["evaluation.batch_size=0"], "evaluation.batch_size=0 must be at least 1"),
    (["dataset.size=20"], "allowed: multiples of 8 from 32 on"),
    (["dataset=covid_ct", "dataset.split=mine"], "must be one of official, paper, patient"),
    (
        ["dataset=covid_ct", "auxiliary=segmentation"],
        "auxiliary=segmentation needs masks and dataset=covid_ct has none; "
        "use auxiliary=diagnosis or auxiliary=none",
    ),
    (
        ["auxiliary=none"],
        "strategy=gradprom needs an auxiliary task and auxiliary=none has none; choose "
        "auxiliary=diagnosis, segmentation or multitask, or strategy=mainstream",
    ),
    (["strategy=mgda", "auxiliary=multitask"], "strategy=mgda takes two losses; choose a single"),
    # what Hydra itself proposes for a misspelt key
    (["+nois=0.1"], "nois is unknown; choose from auxiliary, backbone, data_root, dataset"),
    (["+trainer.lrr=1"], "trainer.lrr is unknown; choose from augment, batch_size"),
    (["+auxiliary.task=x"], "auxiliary.task is unknown; choose from backbone, coupled_lr, epochs"),
    (["~noise"], "Key 'noise' not in 'Root'"),
    (["~strategy"], "Missing mandatory value: strategy"),
]


@pytest.mark.parametrize(("overrides", "sentence"), REFUSED, ids=[" ".join(o) for o, _ in REFUSED])
def test_what_is_refused_is_told_in_one_line(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(*overrides)
    told = str(caught.value)
    assert sentence in told and "\n" not in told
    assert "object_type" not in told and "full_key" not in told


@pytest.mark.parametrize("group", sorted(config.GROUPS))
@pytest.mark.parametrize(
    "name", ["nosuch", "base", "small", "../x", "a.b", "X", "__init__", None, 3]
)
def test_an_unknown_component_is_told_with_the_known_ones(group: str, name: Any) -> None:
    """Modules of the package that only serve its components are unknown, too."""
    with pytest.raises(ConfigError) as caught:
        config.component(group, name)
    known = sorted({shipped(group, file).get("name") for file in choices(group)} - {None})
    assert str(caught.value) == f"{group}.name={name} is unknown; choose from {', '.join(known)}"


def test_a_broken_component_is_not_taken_for_an_unknown_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("import a_package_that_is_not_there\n")
    extend(monkeypatch, gradprom.strategies, tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        config.component("strategy", "broken")


# a strategy of one's own: one file, one YAML

HALF = '''
"""Half of the auxiliary gradient, always."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gradprom.strategies import Strategy


@dataclass(kw_only=True)
class Half(Strategy):
    compares: ClassVar[bool] = False
    name: str = "half"
    lam: float = 1.0
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share={self.share}: allowed are shares in (0, 1]")

    def weights(self, gram: Tensor) -> Tensor:
        weights = gram.new_full(gram.shape[:-1], self.lam * self.share)
        weights[..., 0] = 1.0
        return weights


Options = Half
'''


def extend(monkeypatch: pytest.MonkeyPatch, package: Any, folder: Path) -> None:
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The strategy `half`, and the override that finds its YAML."""
    code, conf = tmp_path / "code", tmp_path / "conf" / "strategy"
    code.mkdir()
    conf.mkdir(parents=True)
    (code / "half.py").write_text(HALF)
    (conf / "half.yaml").write_text("name: half\nlam: ${lam}\nshare: 0.25\n")
    extend(monkeypatch, gradprom.strategies, code)
    yield f"hydra.searchpath=[file://{conf.parent}]"
    sys.modules.pop("gradprom.strategies.half", None)
    vars(gradprom.strategies).pop("half", None)


def test_a_new_strategy_is_one_file_and_one_yaml(half: str, tmp_path: Path) -> None:
    """It is typed, checked, told among the choices, trained, and a row of the table."""
    from gradprom.reports import unplanned

    typed = load(half, "strategy=half", "lam=0.5")
    assert (typed.strategy.name, typed.strategy.lam, typed.strategy.share) == ("half", 0.5, 0.25)
    with pytest.raises(ConfigError, match=r"strategy=half: share=2.0: allowed are shares in"):
        load(half, "strategy=half", "strategy.share=2")
    with pytest.raises(ConfigError, match="choose from frozen, gradprom, half, joint"):
        load("strategy.name=hall")
    common = [half, *tiny_runs.PHANTOM]
    records = [
        tiny_runs.train(tmp_path / "results", f"strategy={name}", *common)
        for name in ("half", "joint")
    ]
    assert [record.choices["strategy"] for record in records] == ["half", "joint"]
    assert records[0].training_id != records[1].training_id
    rows = unplanned.expansion(records).experiment.rows
    assert [row.title for row in rows] == ["half", "joint"]


def test_the_readmes_strategy_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its two files, as they stand there."""
    text = (CONF.parent / "README.md").read_text()
    files = re.findall(r"^```\w+\n# ([\w/]+\.(?:py|yaml))\n(.*?)^```", text, re.M | re.S)
    assert [Path(name).parent.as_posix() for name, _ in files] == [
        "src/gradprom/strategies",
        "conf/strategy",
    ]
    for name, content in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
    extend(monkeypatch, gradprom.strategies, (tmp_path / files[0][0]).parent)
    name = Path(files[1][0]).stem
    typed = load(f"hydra.searchpath=[file://{tmp_path / 'conf'}]", f"strategy={name}", "lam=0.5")
    sys.modules.pop(f"gradprom.strategies.{name}")
    vars(gradprom.strategies).pop(name)
    # alike, against, and as far apart as it still lets through
    for inner, weight in ((1.0, 0.5), (-1.0, 0.0), (-0.4, 0.5)):
        gram = torch.tensor([[1.0, inner], [inner, 1.0]])
        assert typed.strategy.weights(gram).tolist() == [1.0, weight]
