"""Records that belong to no plan: a table whose rows are told apart by the keys that runs read.

A record lists what its run read of the configuration. For older records it is derived here, and
nowhere else.
"""

from typing import Any

from gradprom.experiments import on_the_fly
from gradprom.experiments.expansion import Expansion
from gradprom.experiments.on_the_fly import NAMES, Point
from gradprom.metrics.registry import DEGRADED
from gradprom.runs.record import Record
from gradprom.runs.record_config import dotted, flatten

CHOICES = ("method", "dataset", "backbone", "auxiliary", "strategy", "profile")
"""Configuration groups that tell rows apart, in this order."""
NAME = "further-runs"


def expansion(records: list[Record]) -> Expansion:
    """Make an experiment of records.

    Runs that read the same values, but for degradation and seed, form a row.

    Parameters
    ----------
    records
        Finished or not; at least one.
    """
    caption = "Runs of no other table: single ones, and those that an earlier version trained."
    # old and new records can only be compared in what both have: the configuration
    keys_read = reads if all(record.reads for record in records) else by_configuration
    points = [_point(record, keys_read(record)) for record in records]
    return on_the_fly.experiment_of(points, NAME, "Further runs", caption)


def _point(record: Record, keys_read: dict[str, Any]) -> Point:
    name = NAMES[0] if choice_of(record, NAMES[0]) else NAMES[1]
    metrics = record.scores or list(record.metrics)
    return Point(
        id=record.id,
        seed=record.seed,
        degradation=record.config["degradation"],
        choices={group: choice_of(record, group) for group in CHOICES},
        groups=frozenset(CHOICES),
        names={name: record.choices.get(name) or record.config[name]["name"]},
        reads=keys_read,
        scores=tuple(metric for metric in metrics if not metric.startswith(DEGRADED)),
    )


def reads(record: Record) -> dict[str, Any]:
    """What a run read of its configuration, by dotted key."""
    return dotted(record.reads) if record.reads else by_configuration(record)


def by_configuration(record: Record) -> dict[str, Any]:
    """The keys of the configuration that can have affected the run's result."""
    config = record.config
    method, strategy = config["method"]["name"], config["strategy"]["name"]
    unread_prefixes = _NEVER_READ + _UNREAD.get(method, _UNREAD.get(strategy, ()))
    return {k: v for k, v in flatten(config).items() if not k.startswith(unread_prefixes)}


def choice_of(record: Record, group: str) -> str:
    """The file a group was taken from; empty where it has no effect on the run, or had none."""
    sections = {key.partition(".")[0] for key in reads(record)}
    if group in _MAY_BE_UNUSED and sections.isdisjoint(_SECTIONS.get(group, (group,))):
        return ""
    return record.choices.get(group) or ""


_MAY_BE_UNUSED = ("backbone", "auxiliary", "strategy")
"""Groups that some methods or strategies do not use."""
_SECTIONS = {"auxiliary": ("auxiliary", "recognizer")}
"""The sections of the configuration that a group fills, where they are not named like it."""
_NEVER_READ = (
    *("facts.", "study", "results", "logger", "dataset.root", "seed"),
    *("trainer.device", "trainer.compile", "trainer.channels_last", "trainer.threads"),
    *("trainer.log_every", "trainer.checkpoint_seconds", "trainer.deterministic", "trainer.graph"),
    *("trainer.extend", "evaluation.batch_size", "evaluation.panels"),
)
"""Prefixes of keys that cannot change a result."""
_UNREAD = {
    "recognizer": ("backbone.", "strategy.", "supervision", "trainer.lr", "trainer.warmup_epochs"),
    "mainstream": ("auxiliary.", "supervision"),
}
"""Prefixes of keys that a method or strategy does not read, whatever the command line set."""
