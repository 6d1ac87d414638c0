"""Records that no plan tells of: a table by what each of them reads.

A record says what its run read; of older ones it is worked out here, and nowhere else.
"""

from collections.abc import Collection
from typing import Any

from gradprom.experiments import on_the_fly
from gradprom.experiments.expansion import Expansion
from gradprom.experiments.on_the_fly import NAMES, Point
from gradprom.metrics.registry import DEGRADED
from gradprom.runs.record import Record
from gradprom.runs.record_config import dotted, flatten

CHOICES = ("method", "dataset", "backbone", "auxiliary", "strategy", "profile")
"""Groups that tell rows apart, in this order."""
NAME = "further-runs"


def expansion(records: list[Record]) -> Expansion:
    """Runs that read the same, but for degradation and seed, are a row."""
    caption = "Single runs, and runs of sweeps that no plan tells of."
    # what two kinds of records say is compared in what both say
    readers = reads if all(record.reads for record in records) else _by_configuration
    points = [_point(record, readers(record)) for record in records]
    return on_the_fly.experiment_of(points, NAME, "Further runs", caption)


def _point(record: Record, read: dict[str, Any]) -> Point:
    name = NAMES[0] if choice_of(record, NAMES[0]) else NAMES[1]
    metrics = record.scores or list(record.metrics)
    return Point(
        id=record.id,
        seed=record.seed,
        degradation=record.config["degradation"],
        choices={group: choice_of(record, group) for group in CHOICES},
        groups=frozenset(CHOICES),
        names={name: record.choices[name]},
        reads=read,
        scores=tuple(metric for metric in metrics if not metric.startswith(DEGRADED)),
    )


def reads(record: Record) -> dict[str, Any]:
    """What a run read of its configuration, as dotted keys."""
    return dotted(record.reads) if record.reads else _by_configuration(record)


def _by_configuration(record: Record) -> dict[str, Any]:
    config = record.config
    method, strategy = config["method"]["name"], config["strategy"]["name"]
    unread = _NEVER_READ + _UNREAD.get(method, _UNREAD.get(strategy, ()))
    return {k: v for k, v in flatten(config).items() if not k.startswith(unread)}


def choice_of(record: Record, group: str) -> str:
    """The file a group was taken from; nothing where it has no effect on the run."""
    sections = {key.partition(".")[0] for key in reads(record)}
    effects = _EFFECTS.get(group, (group,)) if group in _MAY_BE_IDLE else ()
    return record.choices[group] if not effects or _any(effects, sections) else ""


def _any(names: Collection[str], present: Collection[str]) -> bool:
    return any(name in present for name in names)


_MAY_BE_IDLE = ("backbone", "auxiliary", "strategy")
"""Groups that some methods, or strategies, do without."""
_EFFECTS = {"auxiliary": ("auxiliary", "recognizer")}
"""The sections that a run reads of a group, where they are not called as it is."""
_NEVER_READ = (
    *("facts.", "study", "results", "logger", "dataset.root", "seed"),
    *("trainer.device", "trainer.compile", "trainer.channels_last", "trainer.threads"),
    *("trainer.log_every", "trainer.checkpoint_seconds"),
    *("evaluation.batch_size", "evaluation.panels"),
)
"""Beginnings of keys that cannot change a result."""
_UNREAD = {
    "recognizer": ("backbone.", "strategy.", "supervision", "trainer.lr", "trainer.warmup_epochs"),
    "mainstream": ("auxiliary.", "supervision"),
}
"""What a method or strategy did not read: Benchmark-i is one row, whatever stood in the command."""
