"""A stored run made usable again: its configuration, and its method with the trained weights."""

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
        If there is no such run, or this version of the code cannot use its configuration.
    """
    record = study.resolve(prefix)
    node = read_config(study.run(record.id) / "config.yaml")
    # where the folder of results is called today, and not when the run was trained
    node.results, node.study = str(study.results), study.name
    return Run(typed(node), plain(node), record.choices, record.overrides)


def restored_method(run: Run, record: Record, device: torch.device) -> Method:
    """The run's method with the weights of its last stage.

    Raises
    ------
    RunError
        If the run has not finished, or its weights are gone, damaged or of another architecture.
    """
    restore(run.method, load_weights(run.study, record), device, record.id)
    return run.method


def load_weights(study: Study, record: Record) -> dict[str, dict[str, torch.Tensor]]:
    """The state dict of each network of a finished run, by the network's name.

    Raises
    ------
    RunError
        If the run has not finished, or its weights are gone or damaged.
    """
    require_finished(record)
    again = f"`gradprom rerun {record.id} study={study.name}` trains them again"
    store = StageStore(study.stages, record.dataset.fingerprint)
    path = store.place(record.training_id) / "artefact.pt"
    try:
        weights: Any = load_state(path).get("weights")
    except FileNotFoundError:
        raise RunError(
            f"the weights of run {record.id} are gone: there is no {path}; {again}"
        ) from None
    except DamagedFile as error:
        raise RunError(f"the weights of run {record.id} are of no use: {error}; {again}") from error
    if not _are_weights(weights):
        raise RunError(f"the weights of run {record.id} are of no use: {path} has none; {again}")
    return weights


def _are_weights(value: Any) -> bool:
    """Whether it is what a stage leaves: networks by name, each with its tensors by name."""
    networks = value.values() if isinstance(value, dict) else [None]
    return all(
        isinstance(network, dict) and all(isinstance(t, torch.Tensor) for t in network.values())
        for network in networks
    )


def require_finished(record: Record) -> None:
    """Raises RunError for the record of a run that has not finished."""
    if record.status != "finished":
        told = {"started": "is running or was interrupted"}.get(record.status, record.status)
        raise RunError(f"run {record.id} has no results: it {told}")


def read_config(path: Path) -> DictConfig:
    """A stored configuration, checked against today's schema.

    Raises
    ------
    RunError
        If it is not there, is no configuration, or has keys that the schema does not know.
    """
    try:
        stored = OmegaConf.load(path)
        if isinstance(stored, DictConfig):
            stored.pop("slurm", None)  # how it was launched is over, and the words for it change
        node = OmegaConf.merge(OmegaConf.structured(config.Root), stored)
    except FileNotFoundError:
        raise RunError(f"there is no {path}") from None
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise RunError(f"{path} does not fit this version: {first_line(error)}") from error
    assert isinstance(node, DictConfig)
    return node


def typed(node: DictConfig) -> config.Config:
    """The typed configuration; as ConfigError, but it says that the configuration is a stored one.

    Raises
    ------
    RunError
        If this version of the code refuses it.
    """
    try:
        return config.load(node)
    except ConfigError as error:
        raise RunError(f"the stored configuration does not fit this version: {error}") from error
