"""Compose many configurations quickly: Hydra composes once for each choice of groups.

Composition takes some 50 ms, most of it for finding and reading files, which depends only on the
groups; plain values are then set on a copy, by Hydra's own function. Hydra's errors are reported
in one sentence.
"""

import functools
import pickle
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from gradprom import config
from gradprom.config.folders import CONF, choices, conf_folders, groups
from gradprom.config.places import given
from gradprom.errors import ConfigError, GradpromError, first_line

SWEEPER = "gradprom"
"""The sweeper of `conf/config.yaml`; another would take `experiment=table1` for a single run."""


class Composer:
    """Composes the task's configuration from overrides of the command line.

    Parameters
    ----------
    compose
        Hydra's own composition of overrides, including the node `hydra`.
    """

    def __init__(self, compose: Callable[[list[str]], DictConfig]):
        self.compose = compose
        self.composed: dict[tuple[str, ...], tuple[bytes, dict[str, str]]] = {}
        """Pickled nodes: loading one makes a copy in a tenth of the time of `deepcopy`."""

    def __call__(self, overrides: list[str]) -> tuple[DictConfig, dict[str, str]]:
        """The configuration without the node `hydra`, and the chosen file of each group."""
        parsed = [_parsed(text) for text in overrides]
        values = [override for override in parsed if _sets_a_value(override)]
        groups = tuple(
            text for text, override in zip(overrides, parsed, strict=True) if override not in values
        )
        if groups not in self.composed:
            node = self.compose(list(groups))
            choices = dict(node.hydra.runtime.choices)
            with flag_override(node, ["struct", "readonly"], False):
                del node["hydra"]
            self.composed[groups] = pickle.dumps(node), choices
        pickled, choices = self.composed[groups]
        task = pickle.loads(pickled)
        ConfigLoaderImpl._apply_overrides_to_config(values, task)
        OmegaConf.resolve(task)  # once, instead of at each access
        return task, choices


@functools.cache
def _parsed(text: str) -> Override:
    [override] = OverridesParser.create().parse_overrides([text])
    return override


def _sets_a_value(override: Override) -> bool:
    """Whether it changes an existing value; everything else is left to Hydra."""
    key = override.key_or_group
    plain = override.package is None and not (override.is_add() or override.is_delete())
    return (
        plain and "/" not in key and not any((folder / key).is_dir() for folder in conf_folders())
    )


def sentence(error: Exception) -> str:
    """An error of Hydra in one line: which override, and why it is wrong."""
    first = first_line(error)
    if isinstance(error, HydraException) and error.__cause__:
        # the value is in Hydra's first line, what is wrong with it is in OmegaConf's
        return f"{first.rstrip('.')}: {first_line(error.__cause__)}"
    return first


def require_kept(overrides: Iterable[str]) -> None:
    """Require that overrides take no group or key away, and give no group several files at once.

    And that they do not choose another sweeper.

    Hydra composes some of them to a run that nothing can be told of, and ends others in an error
    that names neither the override nor what is allowed.

    Raises
    ------
    ConfigError
        For the first that does; it says what is allowed. And for an empty `results`.
    """
    known = groups()
    for text in overrides:
        key, _, value = text.partition("=")
        if key.startswith("~") and not key.startswith("~hydra"):
            raise ConfigError(
                f"{text}: a run needs every group and key; set {key[1:]}= to what you want, or "
                f"leave it out for the default"
            )
        if key.lstrip("+") == "results":
            given(value)  # before Hydra writes its own files there
        if key.lstrip("+") == "hydra/sweeper" and value != SWEEPER:
            raise ConfigError(
                f"{text}: sweeps are planned and resumed by hydra/sweeper={SWEEPER}, the default; "
                f"leave it out"
            )
        if key.lstrip("+") not in known:
            continue
        allowed = f"choose from {', '.join(choices(key.lstrip('+')))}, or leave {key}= out"
        if re.search(r"\bnull\b", value, re.IGNORECASE):
            raise ConfigError(f"{text}: null is no choice; {allowed}")
        if value.startswith("["):
            raise ConfigError(
                f"{text}: a run has one {key}; {allowed}. A sweep has several: run.py -m "
                f"{key}={value.strip('[]')}"
            )


def compose(overrides: list[str]) -> DictConfig:
    """What `run.py` would compose from the same overrides, including the node `hydra`.

    Raises
    ------
    ConfigError
        With Hydra's own message, as `require_kept`, or if the folder `conf` does not exist.
    """
    require_kept(overrides)
    if not CONF.is_dir():
        raise ConfigError(f"{CONF} does not exist: install from a clone, with `pip install -e .`")
    config.register()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose("config", overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(sentence(error)) from error


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn a user error into one sentence and exit code 1."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)  # nothing has started yet
    except MissingConfigException as error:
        if not error.options or error.missing_cfg_file is None:
            sys.exit(f"gradprom: {error}")
        group, _, name = error.missing_cfg_file.rpartition("/")
        sys.exit(f"gradprom: {group}={name} is unknown; choose from {', '.join(error.options)}")
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(f"gradprom: {sentence(error)}")
    except GradpromError as error:
        sys.exit(f"gradprom: {error}")
