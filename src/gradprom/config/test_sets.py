"""The datasets of `evaluate_on`, on which a run is tested beside its own."""

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gradprom.config.components import component, options
from gradprom.config.places import absolute
from gradprom.errors import ConfigError, NotServed


def base_name(folder: str) -> str:
    """The name of a folder, without the folders that it is in; `/` for the root of all."""
    path = os.path.abspath(absolute(folder))
    return os.path.basename(path) or path


# used by conf/dataset/folder.yaml; registered here for every process that resolves a configuration
OmegaConf.register_new_resolver("base_name", base_name, replace=True)


def test_set(node: DictConfig, entry: Any, facts: Any) -> Any:
    """The options of a dataset of `evaluate_on`.

    It has the data folder and the image size of the run's dataset, and what its own file says
    under `TEST_SET` of a dataset that is only tested on, unless the entry has other values.

    Parameters
    ----------
    node
        The composed configuration of the run.
    entry
        The name of a dataset, or a mapping with `name` and options.
    facts
        Those of the run's dataset.

    Raises
    ------
    ConfigError
        For an entry that names no dataset, or an option that is not allowed.
    NotServed
        If its images have other channels than the networks take.
    """
    settings = _settings(entry)
    module = component("dataset", settings["name"])
    allowed = {f.name for f in fields(module.Options)}
    shared = {"root": node.data_root, "size": node.dataset.get("size")}
    shared = {key: value for key, value in shared.items() if key in allowed and value is not None}
    settings = {**shared, **getattr(module, "TEST_SET", {}), **settings}
    for key in settings:
        if key not in allowed:
            raise ConfigError(
                f"evaluate_on: {settings['name']} has no option {key}; choose from "
                f"{', '.join(sorted(allowed))}"
            )
    if "title" in allowed and "root" in settings:
        settings.setdefault("title", base_name(settings["root"]))
    chosen = options("dataset", OmegaConf.create(settings))
    _require_channels(chosen, module.facts(chosen), facts)
    return chosen


# pytest would collect the function as a test
test_set.__test__ = False  # type: ignore[attr-defined]


def _settings(entry: Any) -> dict[str, Any]:
    settings = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(settings, Mapping) or not isinstance(settings.get("name"), str):
        shown = OmegaConf.to_container(entry) if OmegaConf.is_config(entry) else entry
        raise ConfigError(
            f"evaluate_on: {shown} names no dataset; allowed are names, such as lizard, and "
            f"mappings with a name, such as {{name: folder, root: /data/mine}}"
        )
    return {str(key): value for key, value in settings.items()}


def _require_channels(chosen: Any, has: Any, takes: Any) -> None:
    for kind, channels, needed in (
        ("images", has.channels, takes.channels),
        ("inputs", has.inputs, takes.inputs),
    ):
        if channels != needed:
            raise NotServed(
                f"evaluate_on={chosen.name} has {kind} with {channels} channel(s) and the networks "
                f"take {needed}; choose a dataset with {needed}"
            )
