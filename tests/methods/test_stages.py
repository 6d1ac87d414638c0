"""What methods train, stage by stage, and what comes out of it."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import tiny_runs
from support.coupled_steps import (
    CPU,
    HandAdam,
    batch,
    config,
    equal,
    optimizer_state,
    state,
    training,
)
from torch.nn import functional as F

from gradprom import metrics
from gradprom.config import Config
from gradprom.data.loader import Batch, Loader, test_batches
from gradprom.errors import RunError
from gradprom.methods.coupled_training import EnhancerTraining
from gradprom.methods.recognizer import Recognizer
from gradprom.methods.task_driven import TaskDriven
from gradprom.randomness import stream
from gradprom.training.stage import Start
from gradprom.training.store import StageStore

# stages


def test_coupled_training_starts_from_its_parents() -> None:
    made = config("auxiliary=multitask", "strategy=gradprom")
    method = TaskDriven(made)
    *parents, coupled = method.stage().lineage()
    artefacts = {}
    for seed, stage in enumerate(parents):
        torch.manual_seed(seed)
        artefacts[stage.id] = copy.deepcopy(stage.begin(Start({}, 2, CPU)).artefact())
    trained = coupled.begin(Start(artefacts, 2, CPU))
    assert isinstance(trained, EnhancerTraining)
    assert set(trained.networks.optimizers) == {"enhancer", "diagnosis", "segmentation"}
    ids = {stage.name: stage.id for stage in parents}
    for name, network in {"enhancer": trained.enhancer, **trained.recognizers}.items():
        source = artefacts[ids["warmup" if name == "enhancer" else f"recognizer.{name}"]]
        assert equal(list(source[name].values()), state(network))


@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
def test_benchmark_i_is_one_long_warm_up(schedule: str, tmp_path: Path) -> None:
    """A run in two stages, through the store on disk, against one loop over the same batches."""
    words = ["strategy=mainstream", f"trainer.schedule={schedule}", "seed=3"]
    words += ["trainer.warmup_epochs=2", "trainer.coupled_epochs=3", "trainer.lr=0.01"]
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, *words)
    tiny_runs.execute(run)
    images, method = run.images(), TaskDriven(run.config)
    warmup, coupled = method.stage().lineage()
    store = StageStore(run.study.stages, images.fingerprint)
    found = store.find(coupled)
    assert found is not None

    loader = Loader(images, "train", warmup.batches, CPU)
    torch.manual_seed(stream(stream(3, "warmup"), "initial weights"))
    trained = warmup.begin(Start({}, loader.steps_per_epoch, CPU))
    for stage in (warmup, coupled):
        for step in range(stage.epochs * loader.steps_per_epoch):
            trained.update(loader.batch(stream(3, stage.name), step), probe=False)
    assert isinstance(trained, EnhancerTraining)
    assert equal(list(found["weights"]["enhancer"].values()), state(trained.enhancer))


def test_a_training_continues_from_its_state() -> None:
    """Networks, moments, the gate's random numbers: as if it had not stopped."""
    whole, first = (training(config("strategy=random_gate")) for _ in range(2))
    for number in range(5):
        whole.update(batch(number), probe=False)
    for number in range(2):
        first.update(batch(number), probe=False)
    second = training(config("strategy=random_gate"), seed=9)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for number in range(2, 5):
        second.update(batch(number), probe=False)
    assert equal(optimizer_state(whole), optimizer_state(second))
    assert equal(state(whole.enhancer), state(second.enhancer))


# what comes out


@pytest.fixture
def phantom(tmp_path: Path) -> Callable[..., tuple[Config, Batch]]:
    """A configuration and the first test images of its dataset, degraded."""

    def make(*words: str) -> tuple[Config, Batch]:
        run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, *words)
        c = run.config
        batches = test_batches(run.images(), "test", 4, c.degradation, c.evaluation.seed, CPU)
        return c, next(batches)

    return make


def test_what_is_enhanced_is_a_picture(phantom: Callable[..., tuple[Config, Batch]]) -> None:
    made, tested = phantom("strategy=mainstream")
    method = TaskDriven(made)
    warmup, coupled = method.stage().lineage()
    artefact = warmup.begin(Start({}, 2, CPU)).artefact()
    method.restore({"enhancer": artefact["enhancer"]}, CPU)
    before = state(method.networks["enhancer"])
    enhanced = method.enhance(30 * tested.input - 10)  # far out of range
    assert float(enhanced.min()) == 0 and float(enhanced.max()) == 1
    assert enhanced.shape == tested.target.shape and not enhanced.requires_grad
    assert equal(before, state(method.networks["enhancer"]))


def test_scores_of_a_task_driven_run(phantom: Callable[..., tuple[Config, Batch]]) -> None:
    made, tested = phantom("auxiliary=multitask")
    method = TaskDriven(made)
    *parents, coupled = method.stage().lineage()
    starts = {stage.id: stage.begin(Start({}, 2, CPU)).artefact() for stage in parents}
    method.restore(coupled.begin(Start(starts, 2, CPU)).artefact(), CPU)
    enhanced = method.enhance(tested.input)
    found = method.evaluate(tested, enhanced)
    assert torch.equal(found["psnr"], metrics.psnr(enhanced, tested.target))
    assert torch.equal(found["ssim"], metrics.ssim(enhanced, tested.target))
    diagnosis, segmentation = (method.networks[t].eval() for t in method.tasks)
    assert torch.equal(found["prediction"], diagnosis(enhanced).argmax(1))
    assert torch.equal(found["clean_prediction"], diagnosis(tested.target).argmax(1))
    assert torch.equal(found["label"], tested.label)
    predicted, mask = segmentation(enhanced).argmax(1), tested.mask
    for c in range(2):
        either = ((predicted == c) | (mask == c)).sum((1, 2))
        assert torch.equal(found["union"][:, c], either)
        both = ((predicted == c) & (mask == c)).sum((1, 2))
        assert torch.equal(found["intersection"][:, c], both)


def test_mainstream_scores_no_recognizer(phantom: Callable[..., tuple[Config, Batch]]) -> None:
    made, tested = phantom("strategy=mainstream", "auxiliary=multitask")
    method = TaskDriven(made)
    assert [stage.name for stage in method.stage().lineage()] == ["warmup", "coupled"]
    artefact = method.stage().parents[0].begin(Start({}, 2, CPU)).artefact()
    method.restore(artefact, CPU)
    assert set(method.evaluate(tested, method.enhance(tested.input))) == {"psnr", "ssim"}


def test_a_network_that_the_artefact_lacks_is_missed() -> None:
    method = TaskDriven(config("strategy=gradprom"))
    warmup = method.stage().parents[0]
    artefact = warmup.begin(Start({}, 2, CPU)).artefact()
    with pytest.raises(KeyError, match="diagnosis"):
        method.restore({"enhancer": artefact["enhancer"]}, CPU)


# Benchmark-ii and -iii


def test_the_recognizer_method_is_supervised_training_on_degraded_images(
    phantom: Callable[..., tuple[Config, Batch]],
) -> None:
    words = ["trainer.schedule=constant", "auxiliary.lr=0.01", "auxiliary.epochs=2"]
    made, tested = phantom("method=recognizer", "trainer.coupled_epochs=3", *words)
    method = Recognizer(made)
    stage = method.stage()
    assert (stage.name, stage.epochs, stage.parents) == ("benchmark", 5, ())
    assert stage.batches.degradation == made.degradation
    torch.manual_seed(0)
    trained = stage.begin(Start({}, 2, CPU))
    recognizer = trained.networks["diagnosis"]
    reference = copy.deepcopy(recognizer).double()
    adam = HandAdam(list(reference.parameters()), 0.01)
    logs = trained.update(tested, probe=True)
    logits = reference(tested.input.double())
    loss = F.cross_entropy(logits, tested.label)
    adam.step(list(torch.autograd.grad(loss, adam.parameters)))
    assert float(logs["loss_diagnosis"]) == pytest.approx(float(loss), rel=1e-5)
    hits = (logits.argmax(1) == tested.label).double().mean()
    assert float(logs["accuracy_diagnosis"]) == pytest.approx(float(hits))
    # Adam's first step is lr · sign(g): a gradient that rounds to nothing may go either way
    apart = [
        (p.double() - q).abs()
        for p, q in zip(recognizer.parameters(), reference.parameters(), strict=True)
    ]
    assert sum(int((a > 1e-4).sum()) for a in apart) < 0.01 * sum(a.numel() for a in apart)
    method.restore(trained.artefact(), CPU)
    found = method.evaluate(tested, None)
    assert torch.equal(found["prediction"], method.networks["diagnosis"](tested.input).argmax(1))
    assert set(found) == {"label", "prediction"}


def test_a_recognizer_does_not_enhance() -> None:
    method = Recognizer(config("method=recognizer"))
    with pytest.raises(RunError, match="method=recognizer has no enhancer"):
        method.enhance(torch.zeros(1, 3, 32, 32))
