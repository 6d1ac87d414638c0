"""The datasets, networks and epochs of the runs behind a table, for the note below it."""

from collections.abc import Callable
from typing import Any

from gradprom.runs.record import Record


def setup(records: list[Record]) -> list[str]:
    """Such as `dataset phantom, 64×64`: each aspect with its distinct values.

    A record holds its own description; for older ones it is derived from the configuration.
    """
    values: dict[str, dict[str, None]] = {}
    for record in records:
        for title, text in (record.setup or _by_configuration(record.config)).items():
            values.setdefault(title, {})[text] = None
    return [f"{title} {', '.join(texts)}" for title, texts in values.items()]


def _by_configuration(config: dict[str, Any]) -> dict[str, str]:
    """The description of a record that is older than `Record.setup`."""
    return {title: describe(config) for title, describe in _ASPECTS.items()}


def _network(backbone: dict[str, Any]) -> str:
    size = (
        backbone.get("encoder") or f"{backbone.get('blocks')} blocks × {backbone.get('channels')}"
    )
    return f"{backbone['name']} ({size})"


_ASPECTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "dataset": lambda c: f"{c['dataset']['name']} {c['dataset']['size']}×{c['dataset']['size']}",
    "enhancer": lambda c: _network(c["backbone"]),
    "recognizer": lambda c: c["auxiliary"]["backbone"],
    "epochs": lambda c: (
        f"{c['auxiliary']['epochs']} + {c['trainer']['warmup_epochs']} + "
        f"{c['trainer']['coupled_epochs']}"
    ),
}
