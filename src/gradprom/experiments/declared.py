"""Experiments as data: `experiments/<name>.yaml` lists the rows and columns of a table.

A cell's configuration is what the table sets, then its column, then its row. The sweeper expands
the same file that the report reads, so that a cell can only show runs of its own configuration.
Every error names the file and the line. Nothing here imports torch.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from gradprom.config import CONF, Root
from gradprom.config.folders import choices, groups
from gradprom.errors import ConfigError
from gradprom.experiments.yaml_reader import Reader, document
from gradprom.metrics.registry import METRICS
from gradprom.storage.files import is_plain

FOLDER = CONF.parent / "experiments"

PUBLISHED_KEYS = ("row", "setting", "auxiliary", "backbone", "block")
"""Columns of published.csv that tell one number from another."""

_OTHERS = ("claims", "figures")
"""Files of the folder that are no experiments."""

Overrides = dict[str, Any]


@dataclass(frozen=True)
class OpenShare:
    """A value that is a result: the share of open gates in the runs of another row."""

    row: str
    """Title of the row, in the same column and with the same seed."""


@dataclass(frozen=True)
class Column:
    """One condition of a table, such as σ = 0.1."""

    title: str
    overrides: Overrides = field(default_factory=dict)
    published: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One configuration of a table, in all columns."""

    title: str
    group: str = ""
    """A heading that rows share, such as `Sup.`."""
    overrides: Overrides = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    """Those of the table that the row has; empty: all."""
    details: dict[str, str] = field(default_factory=dict)
    """Printed beside the title, such as the backbone and the publication."""
    published: dict[str, str] = field(default_factory=dict)
    test_set: str = ""
    """One of `evaluate_on`, whose scores are shown; empty: the test split of the dataset."""
    waits_for: str = ""
    """What the repository lacks to run it; empty: nothing."""

    @property
    def label(self) -> str:
        """Group, title and details as one text."""
        return " ".join(filter(None, [self.group, self.title, *self.details.values()]))


@dataclass(frozen=True)
class Experiment:
    """A table, or a sweep that is shown like one."""

    name: str
    title: str
    caption: str
    overrides: Overrides
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    published: int | None = None
    """The number of the paper's table, if it is one."""
    slips: tuple[str, ...] = ()
    """What is wrong in the paper's own table."""

    def cell(self, row: Row, column: Column) -> Overrides:
        """What a cell sets; the row wins over the column, and that over the table."""
        return {**self.overrides, **column.overrides, **row.overrides}

    def metrics_of(self, row: Row) -> tuple[str, ...]:
        """The metrics that a row shows, in the table's order."""
        return tuple(m for m in self.metrics if not row.metrics or m in row.metrics)


def names() -> list[str]:
    """Every experiment there is."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem not in _OTHERS)


def read(name: str, folder: Path = FOLDER) -> list[Experiment]:
    """An experiment by its name, or all those that `name` includes.

    Raises
    ------
    ConfigError
        If there is none of that name, or its file has a key, metric, group or value that means
        nothing; with the file and the line.
    """
    path = folder / f"{name}.yaml"
    if not is_plain(name) or not path.is_file() or name in _OTHERS:
        raise ConfigError(f"experiment={name} is unknown; choose from {', '.join(names())}")
    root = document(path)
    found = root.mapping()
    if "include" in found:
        return [one for each in found["include"].texts() for one in read(each, folder)]
    return [_experiment(name, found, root)]


def _experiment(name: str, found: dict[str, Reader], root: Reader) -> Experiment:
    allowed = tuple(f.name for f in fields(Experiment) if f.name != "name")
    root.known(allowed, ("title", "caption", "overrides", "seeds", "metrics", "columns", "rows"))
    metrics = known_metrics(found["metrics"], tuple(METRICS))
    experiment = Experiment(
        name=name,
        title=found["title"].value(),
        caption=" ".join(found["caption"].value().split()),
        overrides=_overrides(found["overrides"]),
        seeds=tuple(found["seeds"].value()),
        metrics=metrics,
        columns=tuple(_column(item) for item in found["columns"].items()),
        rows=tuple(_row(item, metrics) for item in found["rows"].items()),
        published=found["published"].value() if "published" in found else None,
        slips=found["slips"].texts() if "slips" in found else (),
    )
    _check_references(experiment, found["rows"].items())
    return experiment


def _column(reader: Reader) -> Column:
    found = reader.known(tuple(f.name for f in fields(Column)), ("title",))
    return Column(**{"title": found["title"].value(), **_common(found)})


def _row(reader: Reader, metrics: tuple[str, ...]) -> Row:
    found = reader.known(tuple(f.name for f in fields(Row)), ("title",))
    plain = ("title", "group", "details", "test_set", "waits_for")
    values: dict[str, Any] = {key: found[key].value() for key in plain if key in found}
    if "metrics" in found:
        values["metrics"] = known_metrics(found["metrics"], metrics)
    return Row(**{**values, **_common(found)})


def _common(found: dict[str, Reader]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "overrides" in found:
        values["overrides"] = _overrides(found["overrides"])
    if "published" in found:
        keys = found["published"].known(PUBLISHED_KEYS, ())
        values["published"] = {key: str(value.value()) for key, value in keys.items()}
    return values


def known_metrics(reader: Reader, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """A list of metrics that are allowed."""
    for item in reader.items():
        if item.value() not in allowed:
            raise item.wrong(f"unknown metric {item.value()}; choose from {', '.join(allowed)}")
    return reader.texts()


def _overrides(reader: Reader) -> Overrides:
    found = {}
    for key, value in reader.mapping().items():
        _check_key(key, value)
        found[key] = _value(value)
    return found


def _value(reader: Reader) -> Any:
    if isinstance(reader.node, yaml.MappingNode):
        return OpenShare(
            reader.known(("open_share_of",), ("open_share_of",))["open_share_of"].value()
        )
    return reader.value()


def _check_key(key: str, value: Reader) -> None:
    known_groups = groups()
    first = key.split(".")[0]
    if first not in {f.name for f in fields(Root)} | set(known_groups):
        raise value.wrong(f"unknown group or key {key}; groups are {', '.join(known_groups)}")
    if key in known_groups:
        if value.value() not in choices(key):
            raise value.wrong(
                f"{key}={value.value()} is unknown; choose from {', '.join(choices(key))}"
            )


def _check_references(experiment: Experiment, readers: list[Reader]) -> None:
    """Rows that take a result of another row name one that stands before them."""
    before: set[str] = set()
    for row, reader in zip(experiment.rows, readers, strict=True):
        for value in row.overrides.values():
            if isinstance(value, OpenShare) and value.row not in before:
                raise reader.wrong(f"open_share_of: {value.row} is no row above this one")
        before.add(row.title)
