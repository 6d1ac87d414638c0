"""Runs that are really trained, in a second: what the command line works on."""

from pathlib import Path

import hydra
from omegaconf import OmegaConf

from gradprom import config, entry
from gradprom.runs.execution import execute
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.runs.run import Run

CONF = Path(__file__).resolve().parents[2] / "conf"
SMALL = (
    "dataset.size=32",
    "backbone.channels=4",
    "backbone.blocks=1",
    "auxiliary.epochs=1",
    "trainer.warmup_epochs=1",
    "trainer.coupled_epochs=1",
    "trainer.device=cpu",
)
PHANTOM = ("dataset.train=16", "dataset.test=8", *SMALL)


def make(results: Path, *overrides: str) -> Run:
    """A run as `run.py` would make it."""
    config.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        node = hydra.compose("config", [*overrides, f"results={results}"], return_hydra_config=True)
    task = OmegaConf.masked_copy(node, [key for key in node if key != "hydra"])
    return entry.make_run(task, dict(node.hydra.runtime.choices), [*overrides])


def train(results: Path, *overrides: str) -> Record:
    """Train a run and return its record."""
    record = execute(make(results, *overrides))
    assert record is not None
    return record


def local(results: Path) -> Study:
    return Study(results, "local")
