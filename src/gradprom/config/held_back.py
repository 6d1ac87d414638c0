"""Options of a sweep's components, held back from Hydra until there are runs.

Before the sweeper begins, Hydra composes what all runs have in common: with the default file of
each group that is swept or that a table's rows choose, which may lack the option (`-m
method=gan,pixel method.generator.lr=0.004`). It leaves out what is swept itself, so that a sweep of
one value gets past it.
"""

from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from gradprom.config.components import GROUPS


def hold_back(words: list[str]) -> list[str]:
    """The words of a command line for Hydra, with `method.key=choice(1)` for `method.key=1`.

    Unchanged without `-m`.
    """
    if not {"-m", "--multirun"} & set(words):
        return words
    return [_held(word) for word in words]


def give_back(overrides: Iterable[str]) -> list[str]:
    """Overrides as they were before `hold_back`."""
    return [_given(text) for text in overrides]


def _held(word: str) -> str:
    key, equals, value = word.partition("=")
    if not (value and _is_option(key)):
        return word
    try:
        [override] = OverridesParser.create().parse_overrides([word])
    except HydraException:
        return word  # Hydra says what is wrong with it
    return word if override.is_sweep_override() else f"{key}{equals}choice({value})"


def _given(text: str) -> str:
    key, equals, value = text.partition("=")
    if not (_is_option(key) and value.startswith("choice(") and value.endswith(")")):
        return text
    [override] = OverridesParser.create().parse_overrides([text])
    single = len(list(override.sweep_iterator())) == 1
    return f"{key}{equals}{value[len('choice(') : -1]}" if single else text


def _is_option(key: str) -> bool:
    return key.lstrip("+").partition(".")[0] in GROUPS and "." in key
