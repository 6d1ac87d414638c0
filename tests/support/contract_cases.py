"""The methods that the contract suite holds to their contract, and a run of each case."""

import importlib
from pathlib import Path

import pandas as pd
import pytest
import torch
from support import tiny_runs

from gradprom.config import Config, component
from gradprom.data.loader import Loader
from gradprom.methods.base import Method
from gradprom.runs import evaluation
from gradprom.runs.run import Run
from gradprom.training.stage import Stage


def of_plugins() -> dict[str, list[str]]:
    """The overrides of each case of `gradprom_plugins/contract_cases.py`; none without one.

    A run of a case trains for two steps an epoch.
    """
    try:
        cases = importlib.import_module("gradprom_plugins.contract_cases")
    except ModuleNotFoundError:
        return {}
    return dict(getattr(cases, "CASES", {}))


CPU = torch.device("cpu")
PRIOR = (
    *("method.network.channels=4", "method.forward.iterations=4", "method.solver.iterations=4"),
    *(f"method.{phase}.epochs=2" for phase in ("gauss", "pnpreg", "mtdeq", "regularizing")),
)
SMALL_GAN = ("backbone=unet_small", "method.network.layers=3", "method.network.matching=2")
METHODS = {
    "gradprom": ["auxiliary=multitask", "strategy=gradprom"],
    "random gate": ["auxiliary=diagnosis", "strategy=random_gate"],
    "unsupervised": ["auxiliary=segmentation", "strategy=joint", "supervision=unsupervised"],
    "frozen, L1": ["auxiliary=diagnosis", "strategy=frozen", "method.loss=l1"],
    "mainstream": ["strategy=mainstream", "trainer.schedule=constant"],
    "down-sampled": ["strategy=mainstream", "degradation=downsample", "scale=2"],
    "classical": ["method=classical"],
    "usaid": ["method=usaid", "strategy=frozen", "auxiliary=segmentation"],
    "d2sm": ["method=d2sm", "method.queue=16", "strategy=gradprom", "auxiliary=diagnosis"],
    "sud": ["method=sud", "method.denoiser_epochs=4"],
    "ddm": ["method=ddm", "method.steps=2"],
    "total variation": ["method=total_variation", "degradation=deblur", "method.iterations=9"],
    "mtdeq": ["method=mtdeq", "degradation=deblur", *PRIOR],
    "deqgd": ["method=deqgd", "degradation=super_resolution", "scale=2", *PRIOR],
    "rerg, gradprom": [
        *("method=rerg", "method.join=strategy", "strategy=gradprom", "degradation=completion"),
        *("method.solver.name=descent", *PRIOR),
    ],
    "gan": ["method=gan", "method.expectation=image", "auxiliary=segmentation", *SMALL_GAN],
    "task_gan": [
        *("method=task_gan", "strategy=gradprom", "method.agree_with=pixel", *SMALL_GAN),
        *("method.label_epochs=2", "dataset.train=48"),
    ],
    "recognizer": ["method=recognizer", "auxiliary=diagnosis"],
    "recognizer of masks": ["method=recognizer", "auxiliary=segmentation"],
}
"""A method, and options that change what it reads, as overrides."""
EPOCHS = ("auxiliary.epochs=2", "trainer.warmup_epochs=2", "trainer.coupled_epochs=2")
"""Of two steps: each stage takes four."""
OWN = {name: [*tiny_runs.PHANTOM, *EPOCHS, *overrides] for name, overrides in METHODS.items()}
CASES = of_plugins() or OWN
"""All overrides of each case; those of the plug-ins where there are some on the path."""
every = pytest.mark.parametrize("case", CASES)


def made(case: str, results: Path = Path("results"), *overrides: str) -> Run:
    return tiny_runs.make(results, *{**OWN, **CASES}[case], *overrides)


def method_of(config: Config) -> Method:
    return component("method", config.method.name).build(config)


def loader(run: Run, stage: Stage) -> Loader:
    return Loader(run.images(), "train", stage.batches, CPU)


def scored(run: Run, method: Method) -> pd.DataFrame:
    config = run.config
    return evaluation.evaluate(method, run.images(), config.degradation, config.evaluation, CPU)
