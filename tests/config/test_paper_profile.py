"""The paper's settings at a size that a test can bear: every backbone with every auxiliary task.

Two steps of coupled training at 64×64 in batches of 2, without pre-trained weights; all else is
what `profile=paper` says, at full size: ResNet-101 classifiers and U-Nets beside enhancers on
ResNet-50, ResNet-101 and SR-ResNet.
"""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_runs

from gradprom.config import Trainer
from gradprom.data.loader import Loader
from gradprom.runs.run import Run
from gradprom.storage.lease import Applicant
from gradprom.training import engine
from gradprom.training.stage import Stage, Start
from gradprom.training.store import Slot

SMALLER = (
    "profile=paper",
    "pretrained=false",
    "dataset.size=64",
    "dataset.train=4",
    "dataset.test=3",
    "trainer.batch_size=2",
    "auxiliary.epochs=0",
    "trainer.warmup_epochs=0",
    "trainer.coupled_epochs=1",
)
RESNET = {"head", "encoder", "decoder", "tail"}
BACKBONES = {
    "resnet50": (RESNET, 2.3e7),
    "resnet101": (RESNET, 4.2e7),
    "srresnet": ({"head", "body", "tail"}, 1.2e6),
}
"""The enhancers of the paper: their parts, and a bound that their size exceeds."""
TASKS = {
    "diagnosis": ["diagnosis"],
    "segmentation": ["segmentation"],
    "multitask": ["diagnosis", "segmentation"],
}

Artefacts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def initial() -> Artefacts:
    """Artefacts of the stages of no steps, by stage id: they hold the initial weights, and the
    runs share them as the store would share them."""
    return {}


def trained(run: Run, stage: Stage, parents: Artefacts, folder: Path) -> dict[str, Any]:
    """The artefact of a stage after its steps, by the engine, without the store's files."""
    device = torch.device("cpu")
    weights = {id: parent["weights"] for id, parent in parents.items()}
    loader = Loader(run.images(), "train", stage.batches, device)
    lease = Applicant(folder).try_acquire()
    assert lease is not None
    return engine.train(
        stage,
        lambda epoch_steps: stage.begin(Start(weights, epoch_steps, device)),
        loader,
        Slot(folder, lease),
        Trainer(log_every=1),
        lambda progress: None,
    )


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """The parts of a network, by the first word of a tensor's name, in which a weight differs."""
    assert before.keys() == after.keys()
    names = [name for name in before if name.endswith("weight")]
    return {n.split(".")[0] for n in names if not torch.equal(before[n], after[n])}


def test_the_profile_is_the_papers(tmp_path: Path) -> None:
    """Section 4.1, as far as it is given."""
    config = tiny_runs.make(tmp_path, "profile=paper").config
    assert (config.trainer.batch_size, config.trainer.lr, config.strategy.lam) == (8, 1e-4, 1e-4)
    assert config.auxiliary.backbone == "resnet101" and config.auxiliary.pretrained
    assert config.backbone.encoder == "resnet50" and config.backbone.pretrained
    assert config.trainer.augment and config.trainer.schedule == "constant"
    assert config.dataset.size == 256


@pytest.mark.trainings
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("auxiliary", TASKS)
def test_two_steps(tmp_path: Path, initial: Artefacts, backbone: str, auxiliary: str) -> None:
    run = tiny_runs.make(
        tmp_path, *SMALLER, f"backbone={backbone}", f"auxiliary={auxiliary}", "strategy=gradprom"
    )
    stage = run.method.stage()
    for parent in stage.parents:
        if parent.id not in initial:
            initial[parent.id] = trained(run, parent, {}, tmp_path / parent.id)
    parents = {parent.id: initial[parent.id] for parent in stage.parents}
    artefact = trained(run, stage, parents, tmp_path / stage.id)

    assert [row["step"] for row in artefact["history"]] == [1, 2]
    for row in artefact["history"]:
        for task in TASKS[auxiliary]:
            values = [row["loss_main"], row[f"loss_{task}"], row[f"cosine_{task}"]]
            assert all(map(math.isfinite, values)) and row[f"ratio_{task}"] > 0

    before = {name: state for p in parents.values() for name, state in p["weights"].items()}
    after = artefact["weights"]
    assert after.keys() == {"enhancer", *TASKS[auxiliary]}
    parts, least = BACKBONES[backbone]
    assert changed(before["enhancer"], after["enhancer"]) == parts
    assert sum(tensor.numel() for tensor in after["enhancer"].values()) > least
    for task in TASKS[auxiliary]:
        assert changed(before[task], after[task]) == {"network"}
        assert sum(tensor.numel() for tensor in after[task].values()) > 4e7
