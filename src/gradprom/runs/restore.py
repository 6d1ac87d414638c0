"""Restore a stored run: its configuration, and its method with the trained weights."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gradprom import config
from gradprom.errors import ConfigError, RunError, first_line
from gradprom.methods.base import Method
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.runs.run import Run, plain
from gradprom.runs.scoring import restore
from gradprom.storage.files import DamagedFile, load_state
from gradprom.training.store import StageStore


def load_run(study: Study, prefix: str) -> Run:
    """The run whose id begins with `prefix`, from the configuration stored with its record.

    Raises
    ------
    RunError
        If the run does not exist, or this version of the code cannot use its configuration.
    """
    record = study.resolve(prefix)
    node = read_config(study.run(record.id) / "config.yaml")
    # the folder of results may have moved since the run was trained
    node.results, node.study = str(study.results), study.name
    return Run(typed(node), plain(node), record.choices, record.overrides)


def restored_method(run: Run, record: Record, device: torch.device) -> Method:
    """The run's method with the weights of its last stage.

    Raises
    ------
    RunError
        If the run has not finished, or its weights are missing, damaged or of another
        architecture.
    """
    restore(run.method, load_weights(run.study, record), device, record.id)
    return run.method


def load_weights(study: Study, record: Record) -> dict[str, dict[str, torch.Tensor]]:
    """The state dict of each network of a finished run, by the network's name.

    Raises
    ------
    RunError
        If the run has not finished, or its weights are missing or damaged.
    """
    require_finished(record)
    remedy = f"`gradprom rerun {record.id} study={study.name}` trains them again"
    store = StageStore(study.stages, record.dataset.fingerprint)
    path = store.folder_by_id(record.training_id) / "artefact.pt"
    try:
        weights: Any = load_state(path).get("weights")
    except FileNotFoundError:
        raise RunError(
            f"the weights of run {record.id} are gone: there is no {path}; {remedy}"
        ) from None
    except DamagedFile as error:
        raise RunError(
            f"the weights of run {record.id} cannot be used: {error}; {remedy}"
        ) from error
    if not _are_weights(weights):
        raise RunError(f"the weights of run {record.id} cannot be used: {path} has none; {remedy}")
    return weights


def _are_weights(value: Any) -> bool:
    """Whether a value maps names of networks to state dicts."""
    networks = value.values() if isinstance(value, dict) else [None]
    return all(
        isinstance(network, dict) and all(isinstance(t, torch.Tensor) for t in network.values())
        for network in networks
    )


def require_finished(record: Record) -> None:
    """Raises RunError for the record of a run that has not finished."""
    if record.status != "finished":
        state = {"started": "is running or was interrupted"}.get(record.status, record.status)
        raise RunError(f"run {record.id} has no results: it {state}")


def read_config(path: Path) -> DictConfig:
    """A stored configuration, checked against today's schema.

    Raises
    ------
    RunError
        If the file is missing, is not a configuration, or has keys that the schema does not know.
    """
    try:
        with path.open(encoding="utf-8") as file:
            stored = OmegaConf.load(file)
        if isinstance(stored, DictConfig):
            stored.pop("slurm", None)  # launch settings have no effect now, and their keys change
            stored.pop("keep", None)  # a run that is trained again is wanted with its weights
            _set_what_was_implied(stored)
        node = OmegaConf.merge(OmegaConf.structured(config.Root), stored)
    except FileNotFoundError:
        raise RunError(f"there is no {path}") from None
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise RunError(f"{path} does not fit this version: {first_line(error)}") from error
    assert isinstance(node, DictConfig)
    return node


def _set_what_was_implied(stored: DictConfig) -> None:
    """Give keys that are younger than a configuration the values that it was trained with."""
    for name in ("auxiliary", "trainer"):
        section = stored.get(name)
        if isinstance(section, DictConfig):
            for key in fields(getattr(config.Root(), name)):
                if "before" in key.metadata and key.name not in section:
                    section[key.name] = key.metadata["before"]


def typed(node: DictConfig) -> config.Config:
    """The typed form of a stored configuration.

    Raises
    ------
    RunError
        If this version of the code refuses it; the message says that the configuration is stored.
    """
    try:
        return config.load(node)
    except ConfigError as error:
        raise RunError(f"the stored configuration does not fit this version: {error}") from error
