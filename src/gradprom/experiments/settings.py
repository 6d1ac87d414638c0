"""Overrides of a table, a column or a row: keys of the command line with their values.

A value of a row can be a result of another row: `{value: gate, of_row: GradProm}`.
"""

from dataclasses import dataclass, fields
from typing import Any

import yaml

from gradprom.config import Root
from gradprom.config.folders import choices, groups
from gradprom.experiments.yaml_reader import Reader

Settings = dict[str, Any]
"""Key → value, as the YAML file has them; a value may be a `ResultOf`."""


@dataclass(frozen=True)
class ResultOf:
    """A value that is known once other runs have finished."""

    metric: str
    """One of each run's scores, or a value that its training logged."""
    row: str
    """Label or title of the row, in the same column and with the same seed."""


def read_settings(reader: Reader, metrics: tuple[str, ...] = ()) -> Settings:
    """Overrides of a YAML file.

    Parameters
    ----------
    metrics
        Metrics that can be taken from another row; empty where a value cannot refer to one.

    Raises
    ------
    ConfigError
        For an unknown key, choice or metric; with the file and the line.
    """
    settings = {}
    for key, value in reader.mapping().items():
        _check_key(key, value)
        settings[key] = _value(value, metrics)
    return settings


def _value(reader: Reader, metrics: tuple[str, ...]) -> Any:
    if not isinstance(reader.node, yaml.MappingNode):
        return reader.value()
    if not metrics:
        raise reader.wrong("only a row can take a result of another row")
    entries = reader.known(("value", "of_row"), ("value", "of_row"))
    metric = entries["value"].value()
    if metric not in metrics:
        raise entries["value"].wrong(f"unknown metric {metric}; choose from {', '.join(metrics)}")
    return ResultOf(metric, entries["of_row"].value())


def _check_key(key: str, value: Reader) -> None:
    group_names = groups()
    if key.split(".")[0] not in {f.name for f in fields(Root)} | set(group_names):
        raise value.wrong(f"unknown group or key {key}; groups are {', '.join(group_names)}")
    if key in group_names and value.value() not in (allowed := choices(key)):
        raise value.wrong(f"{key}={value.value()} is unknown; choose from {', '.join(allowed)}")
