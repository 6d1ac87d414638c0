"""`-m method=gan,pixel method.generator.lr=0.004`: an option that the default method lacks."""

from pathlib import Path

import pytest
from support import cli_process

from gradprom.config.held_back import give_back, hold_back

SINGLE = (
    *("method.generator.lr=0.004", "+backbone.ends=3", "dataset.splits=[a,b]"),
    *("backbone.title='a, b'", "method.solver={name: admm, level: null}"),
)
OTHERS = (
    *("-m", "noise=0.1", "strategy=joint,frozen", "strategy.lam=1,2"),
    *("method.x=", "trainer.lr=1"),
)


def test_single_options_of_components_pass_hydra_as_sweeps_and_come_back() -> None:
    held = hold_back([*SINGLE, *OTHERS])
    keys_and_values = [word.split("=", 1) for word in SINGLE]
    assert held[: len(SINGLE)] == [f"{key}=choice({value})" for key, value in keys_and_values]
    assert held[len(SINGLE) :] == [*OTHERS]
    assert give_back(held) == [*SINGLE, *OTHERS]


def test_a_choice_of_several_stays() -> None:
    words = ["-m", "method.generator.lr=choice(1,2)", "backbone.channels=range(1,4)"]
    assert hold_back(words) == words == give_back(words)


def test_a_single_run_is_left_alone() -> None:
    assert hold_back([*SINGLE]) == [*SINGLE]


def test_a_sweep_of_methods_with_an_option_that_the_default_lacks(tmp_path: Path) -> None:
    words = ("method=gan,pixel", "method.generator.lr=0.003", "sweep.dry_run=true")
    code, text = cli_process.run(tmp_path, "-m", *words)
    assert code == 0 and "2 runs: 2 new" in text


@pytest.mark.parametrize("word", ["method.generator.rate=0.003", "strategy.gates=1"])
def test_an_option_that_a_run_lacks_is_one_sentence(tmp_path: Path, word: str) -> None:
    code, text = cli_process.run(tmp_path, "-m", "method=gan,pixel", word)
    assert code == 1
    assert text.splitlines()[-1].startswith(f"gradprom: Could not override '{word.split('=')[0]}'")
