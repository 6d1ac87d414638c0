"""A small declared table, and the expansion of tables without any configuration."""

from pathlib import Path

from gradprom.experiments import declared as declarations
from gradprom.experiments.declared import Experiment
from gradprom.experiments.expansion import Expansion, Identity, expand
from gradprom.runs.record import Record

SMALL = """title: T
caption: c
overrides: {profile: demo, strategy: joint}
seeds: [0, 1]
metrics: [psnr, ratio]
columns:
  - {title: low, overrides: {noise: 0.1}}
  - {title: high, overrides: {noise: 0.3}}
rows:
  - {title: A, overrides: {strategy: gradprom}}
  - {title: B, overrides: {strategy: frozen, supervision: unsupervised}, metrics: [psnr]}
"""


def read(name: str) -> Experiment:
    [experiment] = declarations.read(name)
    return experiment


def small(mine: Path, old: str = "", new: str = "") -> Experiment:
    assert old in SMALL
    (mine / "small.yaml").write_text(SMALL.replace(old, new, 1))
    return read("small")


def by_overrides(runs: list[list[str]]) -> list[Identity]:
    return [Identity(" ".join(overrides)) for overrides in runs]


def expansion(experiment: Experiment, records: dict[str, Record] | None = None) -> Expansion:
    return expand(experiment, by_overrides, (records or {}).get)


def runs(found: Expansion) -> set[str]:
    return {run for cell in found.cells for run in cell.runs.values()}
