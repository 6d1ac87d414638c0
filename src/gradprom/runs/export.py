"""A run exported as a folder: weights, configuration, and a model card."""

import json
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from gradprom.config import Config, component
from gradprom.data.value_range import ValueRange
from gradprom.errors import RunError
from gradprom.methods.base import Method
from gradprom.runs.model_card import card, without_folders
from gradprom.runs.records import Study
from gradprom.runs.restore import load_weights, read_config, typed
from gradprom.runs.run import plain
from gradprom.runs.scoring import restore
from gradprom.storage.files import replacing, write_text

Weights = dict[str, dict[str, Tensor]]

RANGE = "value_range"
"""Under which the weights' file has the values of black and white of the training files, as JSON:
an empty list if these had 8 bits."""

# paths of the machine that trained the run are private, and replaced by neutral ones
_NEUTRAL_PATHS = {
    "results": "results",
    "study": "local",
    "data_root": "data",
    "dataset.root": "data",
}


def export(study: Study, prefix: str, folder: Path) -> None:
    """Write `weights.safetensors`, `config.yaml` and `README.md` of a finished run.

    Names of tensors begin with that of their network, such as `enhancer.…` and
    `recognizer.<task>.…`.

    Parameters
    ----------
    study
        The study of the run.
    prefix
        The run's id, or its first digits.
    folder
        Where to write; it must not exist or be empty.

    Raises
    ------
    RunError
        If the folder is not empty, or the run has no weights that can be read.
    """
    from safetensors.torch import save

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} already exists and is not empty; choose another -o")
    record = study.resolve(prefix)
    node = read_config(study.run(record.id) / "config.yaml")
    weights = load_weights(study, record)
    description = _method(typed(node)).describe()
    tensors = {
        f"{description.exported.get(name, name)}.{key}": tensor.contiguous()
        for name, state in weights.items()
        for key, tensor in state.items()
    }
    values = record.dataset.value_range
    for key, neutral in _NEUTRAL_PATHS.items():
        if OmegaConf.select(node, key) is not None:
            OmegaConf.update(node, key, neutral)
    with replacing(folder / "weights.safetensors") as stream:
        stream.write(save(tensors, metadata={"run": record.id, RANGE: json.dumps(values)}))
    config = OmegaConf.create(_neutral(plain(node)))
    write_text(folder / "config.yaml", OmegaConf.to_yaml(config))
    write_text(folder / "README.md", card(record, description, hidden=tuple(_NEUTRAL_PATHS)))


def load(folder: Path | str, device: torch.device | str = "cpu") -> Method:
    """Load the method of an exported run, with the trained weights.

    Its `enhance` takes float32 [B, C, H, W] in [0, 1]; `gradprom.load` returns a function of any
    kind of image.

    Raises
    ------
    RunError
        If a file is missing or damaged, or the weights are not those of the configuration.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    method = _method(typed(read_config(folder / "config.yaml")))
    try:
        tensors = load_file(folder / "weights.safetensors")
    except (OSError, SafetensorError) as error:
        raise RunError(f"the weights in {folder} cannot be read: {error}") from error
    restore(method, _by_network(method, tensors), torch.device(device), str(folder))
    return method


def trained_range(folder: Path) -> ValueRange | None:
    """The values of black and white in the files that a run was trained on; None for 8 bits."""
    from safetensors import safe_open

    with safe_open(folder / "weights.safetensors", framework="pt") as file:
        values = json.loads((file.metadata() or {}).get(RANGE, "[]"))
    return (values[0], values[1]) if values else None


def _neutral(value: Any) -> Any:
    """A configuration without folders of this machine, such as those of `evaluate_on`."""
    if isinstance(value, dict):
        return {key: _neutral(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_neutral(part) for part in value]
    return without_folders(value) if isinstance(value, str) else value


def _method(config: Config) -> Method:
    return component("method", config.method.name).build(config)


def _by_network(method: Method, tensors: dict[str, Tensor]) -> Weights:
    """The state dict of each network of a method, by the network's name."""
    exported = method.describe().exported
    weights: Weights = {}
    for network in method.build_networks():
        prefix = f"{exported.get(network, network)}."
        keys = [key for key in tensors if key.startswith(prefix)]
        if keys:  # `restore` reports a network without tensors by its name
            weights[network] = {key.removeprefix(prefix): tensors[key] for key in keys}
    return weights
