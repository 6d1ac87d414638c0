"""Composed once for each choice of groups, a configuration is what Hydra itself composes."""

import pytest
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from gradprom.config import composing
from gradprom.config.composing import Composer
from gradprom.experiments import declared
from gradprom.experiments.expansion import Identity, expand

ORDINARY = [
    [],
    ["noise=0.2", "seed=3"],
    ["strategy=frozen", "lam=1e-3", "strategy.pass_gradient=false"],
    ["profile=paper", "trainer.lr=0.5", "dataset=camus", "auxiliary=segmentation"],
    ["dataset.size=32", "profile=bench", "backbone=larger", "backbone.pretrained=true"],
    ["degradation=mix", "degradation.order=[gaussian,blur]", "noise=0.3"],
    ["+trainer.lrr=1"],
    ["backbone=srresnet", "backbone.blocks=2", "evaluate_on=[lizard]"],
]


def plain(node: DictConfig) -> object:
    return OmegaConf.to_container(
        OmegaConf.masked_copy(node, [str(key) for key in node if key != "hydra"]), resolve=True
    )


def table_words() -> list[list[str]]:
    """The words of every forty-first run of the eight tables."""
    asked: list[list[str]] = []

    def keep(words: list[list[str]]) -> list[Identity]:
        asked.extend(words)
        return [Identity("x")] * len(words)

    for experiment in declared.read("all"):
        expand(experiment, keep, lambda run: None)
    return asked[::41]


def test_a_composer_composes_what_hydra_does() -> None:
    composer = Composer(composing.compose)
    for words in [*ORDINARY, *table_words(), *ORDINARY]:
        node, choices = composer(words)
        whole = composing.compose(words)
        assert plain(node) == plain(whole), words
        assert choices == dict(whole.hydra.runtime.choices)


def test_hydra_is_asked_once_for_each_choice_of_groups() -> None:
    asked: list[list[str]] = []

    def compose(words: list[str]) -> DictConfig:
        asked.append(words)
        return composing.compose(words)

    composer = Composer(compose)
    for noise in (0.1, 0.2):
        for strategy in ("joint", "frozen"):
            assert composer([f"noise={noise}", f"strategy={strategy}"])[0].noise == noise
    assert asked == [["strategy=joint"], ["strategy=frozen"]]


@pytest.mark.parametrize("word", ["noise=hello", "nois=0.1", "trainer.batch_size=x"])
def test_wrong_values_are_refused_as_hydra_does(word: str) -> None:
    composer = Composer(composing.compose)
    composer(["seed=1"])  # a configuration is there to be copied
    with pytest.raises(HydraException):
        composer([word])
