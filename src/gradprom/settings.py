"""Words of the command line: `study=` and `results=` of `gradprom`, as `run.py` reads them.

Nothing here imports Hydra unless a value needs its grammar, so that `gradprom status` answers at
once.
"""

import os
import re
from pathlib import Path

from gradprom.errors import ConfigError

KEYS = ("study", "results")
"""The settings of every command."""
_CONFIG = Path(__file__).parents[2] / "conf" / "config.yaml"
_PLAIN = re.compile(r"(?!(?i:true|false|null|nan|inf)$)([A-Za-z/]|\.\.?/)[\w./-]*", re.ASCII)
"""Texts that Hydra reads as they stand."""


def is_setting(word: str) -> bool:
    """Whether a word of the command line is `study=…` or `results=…`."""
    key, equals, _ = word.partition("=")
    return bool(equals) and key.lstrip("+") in KEYS


def results_and_study(settings: list[str]) -> tuple[Path, str]:
    """The folder of results and the study, by default those of `conf/config.yaml`.

    Parameters
    ----------
    settings
        Words of the command line for which `is_setting` holds.

    Raises
    ------
    ConfigError
        If Hydra cannot read a value, or it begins with an unknown user or environment variable.
    """
    typed = dict(word.lstrip("+").split("=", 1) for word in settings)
    values = typed if len(typed) == len(KEYS) else {**_defaults(), **typed}
    if all(_PLAIN.fullmatch(value) for value in values.values()):
        return Path(values["results"]), values["study"]
    from omegaconf.errors import OmegaConfBaseException

    from gradprom.config.composing import compose, sentence
    from gradprom.config.places import expanded, given

    try:
        node = compose(settings)
        return Path(expanded(given(node.results))), node.study
    except OmegaConfBaseException as error:
        raise ConfigError(sentence(error)) from error


def results_and_studies(settings: list[str]) -> tuple[Path, list[str]]:
    """As `results_and_study`, where `study=` may name several, separated by commas."""
    typed = dict(word.lstrip("+").split("=", 1) for word in settings)
    names = typed.get("study", "").split(",")
    others = [word for word in settings if not word.lstrip("+").startswith("study=")]
    if len(names) == 1:
        results, study = results_and_study(settings)
        return results, [study]
    pairs = [results_and_study([*others, f"study={name}"]) for name in names]
    return pairs[0][0], [study for _, study in pairs]


def with_home(words: list[str]) -> list[str]:
    """Words of a command line with `key=~/folder` expanded.

    Bash does so before a program starts; other shells do not, and Hydra's grammar has no `~`.
    """
    parts = [word.partition("=") for word in words]
    return [f"{key}{equals}{os.path.expanduser(value)}" for key, equals, value in parts]


def _defaults() -> dict[str, str]:
    """Of the top level of the file; an entry that is missing is left to Hydra."""
    import yaml

    values = yaml.safe_load(_CONFIG.read_text(encoding="utf-8"))
    return {key: str(values.get(key, "")) for key in KEYS}
