"""The shipped configuration, composed as the command line does, and its files as they are."""

from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from omegaconf import DictConfig
from support import tiny_runs

from gradprom import config
from gradprom.config import Config

CONF = tiny_runs.CONF


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def compose(*overrides: str) -> DictConfig:
    config.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose("config", list(overrides))


def load(*overrides: str) -> Config:
    return config.load(compose(*overrides))


def shipped(group: str, name: str) -> dict[str, Any]:
    """What a file says of its group; its defaults list is Hydra's."""
    content = _section(group, CONF / group / f"{name}.yaml")
    return {key: value for key, value in content.items() if key != "defaults"}


def _section(group: str, file: Path) -> dict[str, Any]:
    """A file's content, or its group's section where it sets others too, as profiles do."""
    content = yaml.safe_load(file.read_text())
    return content.get(group, content) if group == "method" else content


def component_names(group: str) -> set[str]:
    """The components that the files of a group name, those of folders within it included."""
    files = (CONF / group).rglob("*.yaml")
    return {_section(group, file).get("name") for file in files} - {None}


def extend(monkeypatch: pytest.MonkeyPatch, package: Any, folder: Path) -> None:
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
