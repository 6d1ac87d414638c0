"""Many configurations quickly: Hydra composes once for each choice of groups.

Composition takes some 50 ms, most of it for finding and reading files, which depends on the
groups alone; plain values are then set on a copy, by Hydra's own function. What Hydra refuses is
told in one sentence.
"""

import functools
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from gradprom import config
from gradprom.config.folders import CONF, conf_folders
from gradprom.errors import ConfigError, GradpromError


class Composer:
    """Composes the task's configuration from words of the command line.

    Parameters
    ----------
    compose
        Hydra's own composition of some words, with the node `hydra`.
    """

    def __init__(self, compose: Callable[[list[str]], DictConfig]):
        self.compose = compose
        self.composed: dict[tuple[str, ...], tuple[bytes, dict[str, str]]] = {}
        """Pickled: what is read from it is a copy, in a tenth of the time that copying takes."""

    def __call__(self, words: list[str]) -> tuple[DictConfig, dict[str, str]]:
        """The configuration without the node `hydra`, and which file each group was taken from."""
        parsed = [_parsed(word) for word in words]
        values = [override for override in parsed if _sets_a_value(override)]
        groups = tuple(word for word, each in zip(words, parsed, strict=True) if each not in values)
        if groups not in self.composed:
            node = self.compose(list(groups))
            choices = dict(node.hydra.runtime.choices)
            with flag_override(node, ["struct", "readonly"], False):
                del node["hydra"]
            self.composed[groups] = pickle.dumps(node), choices
        kept, choices = self.composed[groups]
        task = pickle.loads(kept)
        ConfigLoaderImpl._apply_overrides_to_config(values, task)
        OmegaConf.resolve(task)  # once, whatever is read of it
        return task, choices


@functools.cache
def _parsed(word: str) -> Override:
    [override] = OverridesParser.create().parse_overrides([word])
    return override


def _sets_a_value(override: Override) -> bool:
    """Whether it changes a value that is there; all else is left to Hydra."""
    key = override.key_or_group
    plain = override.package is None and not (override.is_add() or override.is_delete())
    return (
        plain and "/" not in key and not any((folder / key).is_dir() for folder in conf_folders())
    )


def sentence(error: Exception) -> str:
    """What Hydra refused and why, in one line."""
    first = str(error).strip().splitlines()[0]
    if isinstance(error, HydraException) and error.__cause__:
        # the value is in Hydra's first line, what is wrong with it in OmegaConf's
        return f"{first.rstrip('.')}: {str(error.__cause__).strip().splitlines()[0]}"
    return first


def compose(words: list[str]) -> DictConfig:
    """What `run.py` would compose from the same words, the node `hydra` included.

    Raises
    ------
    ConfigError
        With Hydra's own message, or if the folder `conf` is not there.
    """
    if not CONF.is_dir():
        raise ConfigError(f"there is no {CONF}: install from a clone, with `pip install -e .`")
    config.register()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose("config", words, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(sentence(error)) from error


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn an error that a person can put right into its sentence and exit code 1."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)  # nothing has begun that there would be to tell of
    except MissingConfigException as error:
        if not error.options or error.missing_cfg_file is None:
            sys.exit(f"gradprom: {error}")
        group, _, name = error.missing_cfg_file.rpartition("/")
        sys.exit(f"gradprom: {group}={name} is unknown; choose from {', '.join(error.options)}")
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(f"gradprom: {sentence(error)}")
    except GradpromError as error:
        sys.exit(f"gradprom: {error}")
