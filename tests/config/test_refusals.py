"""What a configuration cannot mean is refused in one line with the key, the value and a remedy."""

from pathlib import Path
from typing import Any

import pytest
from support.compositions import component_names, extend, load

import gradprom.strategies
from gradprom import config
from gradprom.errors import ConfigError

REFUSED = [
    # the key as it was typed, the value, what is allowed
    (["noise=-1"], "noise=-1.0: allowed are numbers from 0 to 1, in units of the image's range"),
    (["noise=nan"], "noise=nan: allowed are numbers from 0 to 1"),
    (["noise=inf"], "noise=inf: allowed are numbers from 0 to 1"),
    # the habit of images in [0, 255]
    (["noise=25"], "noise=25.0: allowed are numbers from 0 to 1, in units of the image's range"),
    (["noise=25"], "for 25 of 255 grey levels write 25/255 = 0.098"),
    (["degradation.sigma=25"], "degradation=gaussian: sigma=25.0: allowed are numbers from 0 to 1"),
    (["degradation=mix", "degradation.gaussian.sigma=25"], "degradation=mix: sigma=25.0: allowed"),
    (["degradation=poisson", "degradation.rate=30"], "rate=30.0: allowed are numbers from 0.002"),
    (["degradation=poisson", "degradation.rate=30"], "for 30 counts of a white pixel write 0.0333"),
    (["degradation=completion", "degradation.drop=50"], "drop=50.0: allowed are numbers from 0 to"),
    # limits of scoring
    (
        ["dataset=isic2018", "size=8"],
        "dataset.size=8: images of 8×8 pixels are too small: SSIM needs at least 11×11",
    ),
    (["evaluate_on=[{name: isic2018, size: 8}]"], "dataset.size=8: images of 8×8 pixels are too"),
    (["seed=-1"], "seed=-1 must be >= 0"),
    (["study=stages"], "study=stages is reserved"),
    (["study=../up"], "study=../up must be a plain folder name, such as local"),
    (["supervision=semi"], "supervision=semi is not allowed; choose from supervised, unsuperv"),
    (["logger=neptune"], "logger=neptune is not allowed; choose from csv, tensorboard, wandb, ml"),
    (["logger=[csv,x]"], "logger=x is not allowed; choose from csv, tensorboard, wandb, mlflow"),
    (["lam=-1"], "strategy=gradprom: lam must be a finite number >= 0, got -1.0"),
    (["lam=nan"], "strategy=gradprom: lam must be a finite number >= 0, got nan"),
    (["strategy.gate=soft"], "strategy=gradprom: gate must be one of hard, cosine, got 'soft'"),
    (["strategy=random_gate", "strategy.rate=2"], "rate must be between 0 and 1, got 2.0"),
    (["strategy.gate=[1]"], "strategy=gradprom: "),
    (["+strategy.gat=hard"], "strategy=gradprom: Key 'gat' not in 'GradProm'"),
    (["backbone.blocks=0"], "backbone=unet: blocks=0: allowed are whole numbers >= 1"),
    (["backbone.blocks=two"], "backbone=unet: Value 'two' of type 'str' could not be conv"),
    (["degradation.sigma=-1"], "degradation=gaussian: sigma=-1.0: allowed are numbers"),
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
    (["trainer.clip=-1"], "trainer.clip=-1"),
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
    (
        ["trainer.graph=always"],
        "trainer.graph=always is not allowed; choose from auto, true, false",
    ),
    (
        ["trainer.graph=true", "trainer.compile=true"],
        "trainer.graph=true does not go with trainer.compile=true; remove one of them",
    ),
    (
        ["trainer.graph=true", "trainer.devices=2"],
        "trainer.graph=true does not go with trainer.devices=2; remove one of them",
    ),
    (["auxiliary.tasks=[diagnose]"], "auxiliary.tasks=diagnose is not allowed; choose from diag"),
    (["auxiliary.backbone=vgg"], "auxiliary.backbone=vgg is unknown; choose from patch, resnet"),
    (["evaluation.batch_size=0"], "evaluation.batch_size=0 must be at least 1"),
    (["dataset.size=20"], "allowed: multiples of 8 from 32 on"),
    (["dataset=covid_ct", "dataset.split=mine"], "must be one of official, paper, patient"),
    (
        ["dataset=covid_ct", "auxiliary=segmentation"],
        "auxiliary=segmentation needs masks and dataset=covid_ct has none; "
        "use auxiliary=diagnosis or auxiliary=none with strategy=mainstream",
    ),
    (
        ["dataset=folder"],
        "auxiliary=diagnosis needs class labels and dataset=folder has none; "
        "use auxiliary=none with strategy=mainstream",
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
    (["+auxiliary.task=x"], "auxiliary.task is unknown; choose from backbone, batchnorm, clamp,"),
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
    known = sorted(component_names(group))
    assert str(caught.value) == f"{group}.name={name} is unknown; choose from {', '.join(known)}"


def test_a_broken_component_is_not_taken_for_an_unknown_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("import a_package_that_is_not_there\n")
    extend(monkeypatch, gradprom.strategies, tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        config.component("strategy", "broken")
