"""Three methods from outside the package, what is expected of each, and how their runs are read."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import cli_process

PLUGINS = Path(__file__).parents[1] / "proofs"
SIZES = ("trainer.log_every=1", "trainer.checkpoint_seconds=0", "trainer.device=cpu")


@dataclass(frozen=True)
class Proof:
    """What is expected of a method's experiment, and a run of it alone."""

    trained: dict[str, int]
    """How many stages of each name the sweep trains."""
    runs: int
    scores: set[str]
    degraded: set[str]
    """Those that the degraded input has too."""
    stages: int
    """Of one run."""
    alone: tuple[str, ...]


SMALL = ("backbone.channels=4", "backbone.blocks=1")
PROOFS = {
    "adversarial": Proof(
        # without sharing 6 of each: rows differ in strategy and rate, and in two seeds
        {"embedding": 2, "generator": 4, "game": 6},
        6,
        {"rmse", "auc"},
        {"rmse"},
        3,
        ("method=adversarial", "dataset.train=16", "dataset.test=8", "dataset.size=32", *SMALL)
        + ("method.embedding_epochs=2", "method.first_epochs=2", "method.epochs=3"),
    ),
    "prior": Proof(
        # three problems by two solvers: twelve runs on two trainings of two stages
        {"prior": 4},
        12,
        {"psnr", "ssim", "iterations", "converged"},
        {"psnr", "ssim"},
        2,
        ("method=prior", "dataset=scenes", "degradation=downsample", "scale=3")
        + ("method.denoiser_epochs=2", "method.gradient_epochs=3", "method.iterations=8"),
    ),
    "contrasts": Proof(
        {"contrasts": 4},
        4,
        {"psnr", "ssim"},
        set(),
        1,
        ("method=contrasts", "dataset=four_contrasts", "method.epochs=4", *SMALL),
    ),
}
each = pytest.mark.parametrize("name", PROOFS)


def run(results: Path, *words: str, plugins: Path = PLUGINS) -> str:
    code, text = cli_process.run(results, *words, sizes=SIZES, plugins=plugins)
    assert code == 0, text
    return text


def tool(results: Path, *words: str) -> tuple[int, str]:
    return cli_process.tool(results, *words, plugins=PLUGINS)


def on_path(plugins: Path) -> str:
    """A `PYTHONPATH` with a folder of plug-ins before what is on it."""
    return os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))


Swept = Callable[[str], tuple[Path, str]]


def records(results: Path) -> list[dict[str, Any]]:
    paths = sorted(results.glob("local/runs/*/record.json"))
    return [json.loads(path.read_text()) for path in paths]
