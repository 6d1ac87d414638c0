"""A coupled step against an oracle in float64 that is written out by hand."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import tiny_runs
from support.coupled_steps import (
    COUNT,
    STRATEGIES,
    Oracle,
    batch,
    config,
    equal,
    networks,
    non_finite_batch,
    optimizer_state,
    state,
    training,
)
from torch import nn
from torch.nn import functional as F

from gradprom.config import component
from gradprom.data.base import UNLABELLED
from gradprom.methods import recognition
from gradprom.models.enhancers.winnet import DETAILS
from gradprom.strategies import layers
from gradprom.tasks import task_by_name

ABLATIONS = ["auxiliary.batchnorm=train", "auxiliary.target=follows", "auxiliary.clamp=false"]
AS_BEFORE = " ".join(ABLATIONS)
"""What coupled training did before these were choices."""
SETUPS = [
    (strategy, supervision, auxiliary)
    for strategy in ("joint", "frozen", "gradprom", "gradprom strategy.gate_on=last")
    for supervision in ("supervised", "unsupervised")
    for auxiliary in ("diagnosis", "segmentation", "multitask")
]
SETUPS += [
    (f"{strategy} {ablation}", supervision, "multitask")
    for strategy in ("joint", "frozen", "gradprom")
    for supervision in ("supervised", "unsupervised")
    for ablation in (*ABLATIONS, AS_BEFORE)
]


@pytest.mark.parametrize(("strategy", "supervision", "auxiliary"), SETUPS)
def test_coupled_steps_are_those_of_equation_6(
    strategy: str, supervision: str, auxiliary: str
) -> None:
    """Parameters, BatchNorm statistics and what is logged, over steps with Adam's memory."""
    words = [*f"strategy={strategy}".split(), f"supervision={supervision}"]
    words += [f"auxiliary={auxiliary}"]
    made = config(*words)
    trained = training(made)
    oracle = Oracle(made, trained)
    for number in range(6):
        logs = trained.update(batch(number), probe=True)
        told = oracle.step(batch(number))
        assert bool(logs["finite"])
        for key, value in told.items():
            assert float(logs[key]) == pytest.approx(value, rel=1e-9, abs=1e-12), key
        pairs = [(trained.enhancer, oracle.enhancer)]
        pairs += [(trained.recognizers[t], oracle.recognizers[t]) for t in trained.recognizers]
        for network, reference in pairs:
            for value, expected in zip(state(network), state(reference), strict=True):
                torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("clip", [0, 0.02, 100])
def test_the_enhancers_gradient_alone_is_clipped(clip: float) -> None:
    made = config("strategy=joint", f"trainer.clip={clip}")
    trained = training(made)
    oracle, other = Oracle(made, trained), Oracle(made, trained)
    other.config = replace(made, trainer=replace(made.trainer, clip=0))
    for number in range(3):
        trained.update(batch(number), probe=False)
        oracle.step(batch(number))
        other.step(batch(number))
    networks = [trained.enhancer, *trained.recognizers.values()]
    expected = [oracle.enhancer, *oracle.recognizers.values()]
    for value, told in zip(state(*networks), state(*expected), strict=True):
        torch.testing.assert_close(value, told, rtol=1e-9, atol=1e-12)
    assert (clip == 0.02) != equal(state(oracle.enhancer), state(other.enhancer))


def test_the_gates_of_the_oracle_open_and_close() -> None:
    """Otherwise the test above would not tell gradprom from joint."""
    for gate_on in ("all", "last"):
        gates, agreed = [], []
        for supervision in ("supervised", "unsupervised"):
            words = [f"strategy.gate_on={gate_on}", f"supervision={supervision}"]
            for choices in ([], ABLATIONS):
                made = config("strategy=gradprom", "auxiliary=multitask", *words, *choices)
                oracle = Oracle(made, training(made))
                for number in range(6):
                    told = oracle.step(batch(number))
                    agreed += [value for key, value in told.items() if key.startswith("agree_")]
                gates += oracle.gates
        assert {True, False} == set(gates)
        assert set(agreed) == ({0.0, 1.0} if gate_on == "last" else set())


@pytest.mark.parametrize("strategy", [*STRATEGIES, "gradprom strategy.gate_on=last"])
def test_a_probe_changes_no_bit(strategy: str) -> None:
    left = []
    for probe in (False, True):
        # made anew: a random gate has a state
        trained = training(config(*f"strategy={strategy}".split(), "auxiliary=multitask"))
        for number in range(3):
            trained.update(batch(number), probe=probe)
        left.append(state(trained.enhancer, *trained.recognizers.values()))
    assert equal(*left)


def test_what_is_logged() -> None:
    trained = training(config("strategy=gradprom", "auxiliary=multitask"))
    plain, probed = (set(trained.update(batch(0), probe=probe)) for probe in (False, True))
    tasks = ("diagnosis", "segmentation")
    kinds = ("loss", "gate", "cosine", "ratio")
    expected = {f"{kind}_{task}" for kind in kinds for task in tasks}
    assert plain == expected | {"loss_main", "psnr", "finite"}
    assert probed - plain == {f"clean_accuracy_{task}" for task in tasks}
    words = ("strategy=gradprom", "supervision=unsupervised")
    trained = training(config(*words, "auxiliary.target=follows"))
    # the clean image is looked at anyway: its accuracy shows a target that drifts
    assert "clean_accuracy_diagnosis" in trained.update(batch(0), probe=False)
    trained = training(config(*words))
    assert "clean_accuracy_diagnosis" not in trained.update(batch(0), probe=False)
    assert "clean_accuracy_diagnosis" in trained.update(batch(0), probe=True)


def test_what_is_logged_of_a_gate_on_the_last_layer() -> None:
    """What all of θ would have decided, where a probe looks at it."""
    trained = training(config("strategy=gradprom", "strategy.gate_on=last"))
    plain, probed = (set(trained.update(batch(0), probe=probe)) for probe in (False, True))
    assert plain == {"loss_main", "psnr", "finite", "loss_diagnosis", "gate_diagnosis"}
    seen = ("clean_accuracy", "cosine", "ratio", "agree")
    assert probed - plain == {f"{kind}_diagnosis" for kind in seen}


BACKBONES = sorted(p.stem for p in (tiny_runs.CONF / "backbone").glob("*.yaml"))


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("name", BACKBONES)
def test_the_last_layer_is_what_an_enhancer_ends_with(name: str, scale: int) -> None:
    """The last that its forward pass goes through of those that have parameters."""
    backbone = tiny_runs.make(Path("results"), f"backbone={name}", "pretrained=false").config
    build = component("backbone", backbone.backbone.name).build
    enhancer = build(backbone.backbone, 1, scale).eval()
    passed: list[nn.Module] = []
    for module in enhancer.modules():
        module.register_forward_hook(lambda module, *_: passed.append(module))
    enhanced = enhancer(torch.rand(1, 1, 32, 32))
    owners = [m for m in passed if hasattr(m, "weight")]
    last = layers(enhancer)[-1]
    assert [id(p) for p in last] == [id(p) for p in owners[-1].parameters()]
    # one for each pixel that a shuffle makes of one, and WINNet's joins details to the coarse image
    allowed = {enhanced.shape[1], enhanced.shape[1] * scale**2}
    outputs = getattr(owners[-1], "out_channels", owners[-1].weight.shape[0])
    assert outputs in ({DETAILS} if name == "winnet" else allowed)


def test_the_logged_psnr_is_the_batchs() -> None:
    trained = training(config())
    before = copy.deepcopy(trained.enhancer)
    logs = trained.update(batch(0), probe=False)
    error = (before(batch(0).input) - batch(0).target).detach().square().mean()
    assert float(logs["psnr"]) == pytest.approx(-10 * math.log10(float(error)))


# the target of unsupervised training


@pytest.mark.parametrize("mode", [True, False])
def test_the_word_on_the_clean_image_leaves_no_trace(mode: bool) -> None:
    _, made = networks(["diagnosis"])
    recognizer = made["diagnosis"].train(mode)
    before = state(recognizer)
    logits = recognition.clean_logits(recognizer, batch(0).target)
    assert not logits.requires_grad and recognizer.training is mode
    assert equal(before, state(recognizer))
    assert torch.equal(logits, recognizer.eval()(batch(0).target))


def test_the_unsupervised_loss_is_the_mean_over_images_and_classes() -> None:
    enhanced, clean = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0]])
    # (½, ½) against (¾, ¼)
    loss = task_by_name("diagnosis").unsupervised_loss(enhanced, clean)
    assert float(loss) == pytest.approx(0.0625)


@pytest.mark.parametrize("target", ["pretrained", "follows"])
def test_a_step_counts_one_batch_in_a_recognizer_on_batch_statistics(target: str) -> None:
    words = ("supervision=unsupervised", "auxiliary.batchnorm=train", f"auxiliary.target={target}")
    trained = training(config("strategy=joint", *words))
    for number in range(3):
        trained.update(batch(number), probe=True)
    assert int(trained.recognizers["diagnosis"][1].num_batches_tracked) == 3


EVERY = sorted(p.stem for p in (tiny_runs.CONF / "strategy").glob("*.yaml"))


@pytest.mark.parametrize("supervision", ["supervised", "unsupervised"])
@pytest.mark.parametrize("strategy", [name for name in EVERY if name != "mainstream"])
def test_no_strategy_touches_the_statistics_of_pretraining(strategy: str, supervision: str) -> None:
    """They stay in every bit, while the weights of BatchNorm learn with the others."""
    trained = training(config(f"strategy={strategy}", f"supervision={supervision}"))
    recognizer = trained.recognizers["diagnosis"]
    buffers, weights = ([v.clone() for v in recognizer.buffers()], state(recognizer[1])[:2])
    for number in range(3):
        trained.update(batch(number), probe=number == 1)
    assert equal(buffers, list(recognizer.buffers()))
    moved = [not torch.equal(*pair) for pair in zip(weights, state(recognizer[1]), strict=False)]
    assert moved == [strategy != "frozen"] * 2


def test_the_fixed_target_is_the_output_before_coupled_training() -> None:
    """The logged loss by a formula of its own, which the target that follows has at first only."""
    told: dict[str, list[float]] = {}
    for target in ("pretrained", "follows"):
        words = ("supervision=unsupervised", f"auxiliary.target={target}")
        trained = training(config("strategy=joint", *words))
        before = copy.deepcopy(trained.recognizers["diagnosis"]).eval()
        told[target] = []
        for number in range(4):
            now = copy.deepcopy(trained.recognizers["diagnosis"]).eval()
            seen = copy.deepcopy(trained.enhancer)(batch(number).input).clip(0, 1)
            judge = before if target == "pretrained" else now
            apart = now(seen).softmax(1) - judge(batch(number).target).softmax(1)
            told[target].append(float(trained.update(batch(number), probe=False)["loss_diagnosis"]))
            assert told[target][-1] == pytest.approx(float(apart.square().mean().detach()))
        assert equal(state(before), state(trained.teachers.get("diagnosis", before)))
    assert told["pretrained"][0] == told["follows"][0]
    assert told["pretrained"][3] != told["follows"][3]


def test_a_teacher_is_kept_for_a_resume_and_not_in_the_artefact() -> None:
    trained = training(config("strategy=joint", "supervision=unsupervised"))
    assert set(trained.state_dict()["networks"]) == {"enhancer", "diagnosis", "teacher.diagnosis"}
    assert set(trained.artefact()) == {"enhancer", "diagnosis"}


# frozen


@pytest.mark.parametrize("supervision", ["supervised", "unsupervised"])
def test_a_frozen_recognizer_does_not_change_in_a_bit(supervision: str) -> None:
    trained = training(
        config("strategy=frozen", "auxiliary=multitask", f"supervision={supervision}")
    )
    before = state(*trained.recognizers.values())
    moved = state(trained.enhancer)
    for number in range(5):
        trained.update(batch(number), probe=number % 2 == 0)
    assert equal(before, state(*trained.recognizers.values()))
    assert not equal(moved, state(trained.enhancer))
    assert set(trained.networks.optimizers) == {"enhancer"}


def test_frozen_without_its_gradient_is_mainstream() -> None:
    left = []
    for words in (["strategy=frozen", "strategy.pass_gradient=false"], ["strategy=mainstream"]):
        trained = training(config(*words))
        for number in range(3):
            trained.update(batch(number), probe=False)
        left.append(state(trained.enhancer))
    assert equal(*left)


# labels


@pytest.mark.parametrize("task", ["diagnosis", "segmentation"])
def test_what_is_unlabelled_leaves_the_loss_alone(task: str) -> None:
    torch.manual_seed(0)
    shape = (6, 3) if task == "diagnosis" else (6, 3, 5, 5)
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    truth = torch.randint(3, (6, *shape[2:]))
    known = torch.tensor([True, False, True, True, False, True])
    partly = truth.clone()
    partly[~known] = UNLABELLED
    loss = task_by_name(task).supervised_loss(logits, partly)
    known_loss = F.cross_entropy(logits[known], truth[known])
    assert float(loss.detach()) == pytest.approx(float(known_loss.detach()))
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad[~known].any() and logits.grad[known].any()
    hits = (logits.argmax(1) == truth)[known].double().mean()
    assert float(task_by_name(task).accuracy(logits, partly)) == pytest.approx(float(hits))


def test_a_batch_without_labels_has_no_loss() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    nothing = torch.full((4,), UNLABELLED)
    loss = task_by_name("diagnosis").supervised_loss(logits, nothing)
    loss.backward()
    assert float(loss) == 0 and logits.grad is not None and not logits.grad.any()
    assert float(task_by_name("diagnosis").accuracy(logits, nothing)) == 0


@pytest.mark.parametrize("strategy", ["joint", "gradprom"])
def test_a_step_without_labels_is_the_enhancers_alone(strategy: str) -> None:
    unlabelled = batch(0)
    unlabelled.annotations["label"] = torch.full((COUNT,), UNLABELLED)
    trained, alone = (
        training(config(f"strategy={strategy}")),
        training(config("strategy=mainstream")),
    )
    before = list(trained.recognizers["diagnosis"].parameters())
    before = [p.detach().clone() for p in before]
    logs = trained.update(unlabelled, probe=False)
    alone.update(unlabelled, probe=False)
    assert bool(logs["finite"]) and float(logs["loss_diagnosis"]) == 0
    assert equal(state(trained.enhancer), state(alone.enhancer))
    assert equal(before, list(trained.recognizers["diagnosis"].parameters()))


# losses that are not finite


@pytest.mark.parametrize("strategy", ["joint", "frozen", "gradprom", "mainstream"])
@pytest.mark.parametrize("what", ["nan", "inf"])
def test_an_update_that_is_not_finite_is_skipped(strategy: str, what: str) -> None:
    trained = training(config(f"strategy={strategy}", "supervision=unsupervised"))
    trained.update(batch(0), probe=False)
    before = optimizer_state(trained)
    logs = trained.update(non_finite_batch(what, 1), probe=True)
    assert not bool(logs["finite"])
    assert equal(before, optimizer_state(trained))
    assert bool(trained.update(batch(2), probe=False)["finite"])
    assert not equal(before, optimizer_state(trained))


@pytest.mark.parametrize("strategy", ["joint", "gradprom"])
def test_an_auxiliary_loss_that_is_not_finite_stops_all_updates(strategy: str) -> None:
    """Even where the gate is closed to it: the recognizer would be lost."""
    trained = training(config(f"strategy={strategy}"))
    trained.update(batch(0), probe=False)
    with torch.no_grad():
        trained.recognizers["diagnosis"][3].bias.fill_(math.inf)
    before = optimizer_state(trained)
    logs = trained.update(batch(1), probe=False)
    assert math.isfinite(float(logs["loss_main"])) and not bool(logs["finite"])
    assert equal(before, optimizer_state(trained))
