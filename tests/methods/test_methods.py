"""Methods as pure units: every step against an oracle in float64 that is written out by hand."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_runs
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gradprom import metrics
from gradprom.config import Config, component
from gradprom.data.loader import Batch, Loader, test_batches
from gradprom.errors import RunError
from gradprom.methods import recognition
from gradprom.methods.recognizer import Recognizer
from gradprom.methods.task_driven import EnhancerTraining, TaskDriven
from gradprom.randomness import stream
from gradprom.runs.ranks import batches_of
from gradprom.strategies import layers
from gradprom.training import engine
from gradprom.training.stage import Stage
from gradprom.training.store import StageStore

CPU = torch.device("cpu")
LAM, LR, COUPLED_LR = 0.3, 0.01, 0.02
CLASSES = {"diagnosis": 3, "segmentation": 2}
SIZE, COUNT = 8, 4


def config(*overrides: str, results: Path = Path("results")) -> Config:
    common = ["trainer.schedule=constant", f"trainer.lr={LR}", f"auxiliary.coupled_lr={COUPLED_LR}"]
    run = tiny_runs.make(results, *tiny_runs.PHANTOM, *common, f"lam={LAM}", *overrides)
    return run.config


def batch(seed: int, dtype: torch.dtype = torch.float64) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(COUNT, 1, SIZE, SIZE, generator=generator, dtype=dtype)
    noise = torch.randn(target.shape, generator=generator, dtype=dtype)
    mask = torch.randint(2, (COUNT, SIZE, SIZE), generator=generator)
    label = torch.randint(3, (COUNT,), generator=generator)
    ids = [f"{seed}-{i}" for i in range(COUNT)]
    return Batch(ids, target + 0.1 * noise, target, {"mask": mask, "label": label})


class Pool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def networks(tasks: list[str], seed: int = 0) -> tuple[nn.Module, dict[str, nn.Module]]:
    """An enhancer and recognizers with BatchNorm, in float64."""
    torch.manual_seed(seed)

    def body(outputs: int) -> list[nn.Module]:
        return [
            # a bias before BatchNorm has no gradient but rounding, which Adam would blow up
            nn.Conv2d(1, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3),
            nn.PReLU(),
            nn.Conv2d(3, outputs, 3, padding=1),
        ]

    enhancer = nn.Sequential(*body(1)).double()
    made = {}
    for task in tasks:
        head = [Pool()] if task == "diagnosis" else []
        made[task] = nn.Sequential(*body(CLASSES[task]), *head).double()
    return enhancer, made


def training(made: Config, seed: int = 0) -> EnhancerTraining:
    enhancer, recognizers = networks(list(made.auxiliary.tasks), seed)
    return EnhancerTraining(made, enhancer, recognizers, made.strategy, epoch_steps=2)


def state(*modules: nn.Module) -> list[Tensor]:
    """Parameters and buffers, copied."""
    return [value.clone() for m in modules for value in m.state_dict().values()]


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


# the oracle


class HandAdam:
    """Adam as in Kingma and Ba (2015), Algorithm 1, in torch's default constants."""

    def __init__(self, parameters: list[Tensor], lr: float):
        self.parameters, self.lr, self.t = parameters, lr, 0
        self.m = [torch.zeros_like(p) for p in parameters]
        self.v = [torch.zeros_like(p) for p in parameters]

    def step(self, gradients: list[Tensor]) -> None:
        self.t += 1
        for p, m, v, g in zip(self.parameters, self.m, self.v, gradients, strict=True):
            m.copy_(0.9 * m + 0.1 * g)
            v.copy_(0.999 * v + 0.001 * g * g)
            unbiased = m / (1 - 0.9**self.t), v / (1 - 0.999**self.t)
            p.data -= self.lr * unbiased[0] / (unbiased[1].sqrt() + 1e-8)


class Oracle:
    """Eq. 6, a whole backward pass a loss, from copies of a training's networks."""

    def __init__(self, made: Config, of: EnhancerTraining):
        self.config, self.strategy = made, made.strategy.name
        self.enhancer = copy.deepcopy(of.enhancer)
        self.recognizers = {name: copy.deepcopy(net) for name, net in of.recognizers.items()}
        for recognizer in self.recognizers.values():
            recognizer.requires_grad_(True)
        # of whose gradients the gate is decided
        self.deciding = 2 if getattr(made.strategy, "gate_on", "all") == "last" else 0
        self.theta = HandAdam(list(self.enhancer.parameters()), LR)
        self.phi = {
            name: HandAdam(list(net.parameters()), COUPLED_LR)
            for name, net in self.recognizers.items()
        }
        self.gates: list[bool] = []

    def loss(self, task: str, enhanced: Tensor, batch: Batch) -> Tensor:
        recognizer = self.recognizers[task]
        # another network, so that nothing can flow back or be counted through the target
        judge = copy.deepcopy(recognizer).eval()
        logits = recognizer(enhanced)
        if self.config.supervision == "unsupervised":
            wanted = torch.softmax(judge(batch.target), 1).detach()
            return (torch.softmax(logits, 1) - wanted).square().mean()
        truth = batch.label if task == "diagnosis" else batch.mask
        told = torch.log_softmax(logits, 1).gather(1, truth.unsqueeze(1))
        return -told.mean()

    def step(self, batch: Batch) -> dict[str, float]:
        theta = list(self.enhancer.parameters())
        enhanced = self.enhancer(batch.input)
        main = (enhanced - batch.target).square().mean()
        losses = {task: self.loss(task, enhanced, batch) for task in self.recognizers}
        total = list(torch.autograd.grad(main, theta, retain_graph=True))
        length = math.sqrt(sum(float((g * g).sum()) for g in total))
        main_gradients, logs, steps = list(total), {"loss_main": float(main.detach())}, []
        for task, loss in losses.items():
            phi = list(self.recognizers[task].parameters())
            found = torch.autograd.grad(loss, [*theta, *phi], retain_graph=True)
            own, theirs = found[: len(theta)], list(found[len(theta) :])
            inner = sum(float((g * h).sum()) for g, h in zip(main_gradients, own, strict=True))
            deciding = zip(main_gradients[-self.deciding :], own[-self.deciding :], strict=True)
            agreement = sum(float((g * h).sum()) for g, h in deciding)
            is_open = self.strategy != "gradprom" or agreement >= 0
            self.gates.append(is_open)
            if is_open:
                total = [g + LAM * h for g, h in zip(total, own, strict=True)]
            norm = math.sqrt(sum(float((g * g).sum()) for g in own))
            logs |= {f"loss_{task}": float(loss.detach()), f"gate_{task}": float(is_open)}
            logs |= {f"cosine_{task}": inner / norm / length, f"ratio_{task}": LAM * norm / length}
            if self.deciding:
                logs[f"agree_{task}"] = float(is_open == (inner >= 0))
            steps.append((self.phi[task], theirs))
        self.theta.step(total)
        for adam, gradients in steps if self.strategy != "frozen" else []:
            adam.step(gradients)
        return logs


SETUPS = [
    (strategy, supervision, auxiliary)
    for strategy in ("joint", "frozen", "gradprom", "gradprom strategy.gate_on=last")
    for supervision in ("supervised", "unsupervised")
    for auxiliary in ("diagnosis", "segmentation", "multitask")
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


def test_the_gates_of_the_oracle_open_and_close() -> None:
    """Otherwise the test above would not tell gradprom from joint."""
    for gate_on in ("all", "last"):
        gates, agreed = [], []
        for supervision in ("supervised", "unsupervised"):
            words = [f"strategy.gate_on={gate_on}", f"supervision={supervision}"]
            made = config("strategy=gradprom", "auxiliary=multitask", *words)
            oracle = Oracle(made, training(made))
            for number in range(6):
                told = oracle.step(batch(number))
                agreed += [value for key, value in told.items() if key.startswith("agree_")]
            gates += oracle.gates
        assert {True, False} == set(gates)
        assert set(agreed) == ({0.0, 1.0} if gate_on == "last" else set())


STRATEGIES = ["joint", "frozen", "gradprom", "random_gate", "mainstream"]


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
    trained = training(config("strategy=gradprom", "supervision=unsupervised"))
    # the clean image is looked at anyway: its accuracy shows a target that drifts
    assert "clean_accuracy_diagnosis" in trained.update(batch(0), probe=False)


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
    owners = [m for m in passed if [*m.parameters(recurse=False)]]
    last = layers(enhancer)[-1]
    assert [id(p) for p in last] == [id(p) for p in owners[-1].parameters()]
    assert owners[-1].weight.shape[0] == enhanced.shape[1]


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
    assert float(recognition.unsupervised_loss(enhanced, clean)) == pytest.approx(0.0625)


def test_a_step_counts_one_batch_in_a_learning_recognizer() -> None:
    trained = training(config("strategy=joint", "supervision=unsupervised"))
    for number in range(3):
        trained.update(batch(number), probe=True)
    assert int(trained.recognizers["diagnosis"][1].num_batches_tracked) == 3


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
    assert set(trained.optimizers) == {"enhancer"}


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
    partly[~known] = recognition.UNLABELLED
    loss = recognition.supervised_loss(logits, partly)
    known_loss = F.cross_entropy(logits[known], truth[known])
    assert float(loss.detach()) == pytest.approx(float(known_loss.detach()))
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad[~known].any() and logits.grad[known].any()
    hits = (logits.argmax(1) == truth)[known].double().mean()
    assert float(recognition.accuracy(logits, partly)) == pytest.approx(float(hits))


def test_a_batch_without_labels_has_no_loss() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    nothing = torch.full((4,), recognition.UNLABELLED)
    loss = recognition.supervised_loss(logits, nothing)
    loss.backward()
    assert float(loss) == 0 and logits.grad is not None and not logits.grad.any()
    assert float(recognition.accuracy(logits, nothing)) == 0


@pytest.mark.parametrize("strategy", ["joint", "gradprom"])
def test_a_step_without_labels_is_the_enhancers_alone(strategy: str) -> None:
    unlabelled = replace(batch(0), label=torch.full((COUNT,), recognition.UNLABELLED))
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


def without_sense(what: str, seed: int) -> Batch:
    """A batch whose main loss, or whose auxiliary loss alone, is not finite."""
    made = batch(seed)
    value = {"nan": math.nan, "inf": math.inf}[what]
    target = made.target.clone()
    target[0, 0, 0, 0] = value
    return replace(made, target=target)


def memory(trained: EnhancerTraining) -> list[Tensor]:
    """Parameters, and Adam's moments and counts."""
    kept = []
    for optimizer in trained.optimizers.values():
        for parameter in optimizer.parameters:
            moments = optimizer.adam.state[parameter]
            kept += [parameter.detach(), *(moments[key] for key in sorted(moments))]
    return [value.clone() for value in kept]


@pytest.mark.parametrize("strategy", ["joint", "frozen", "gradprom", "mainstream"])
@pytest.mark.parametrize("what", ["nan", "inf"])
def test_an_update_that_is_not_finite_is_skipped(strategy: str, what: str) -> None:
    trained = training(config(f"strategy={strategy}", "supervision=unsupervised"))
    trained.update(batch(0), probe=False)
    before = memory(trained)
    logs = trained.update(without_sense(what, 1), probe=True)
    assert not bool(logs["finite"])
    assert equal(before, memory(trained))
    assert bool(trained.update(batch(2), probe=False)["finite"])
    assert not equal(before, memory(trained))


@pytest.mark.parametrize("strategy", ["joint", "gradprom"])
def test_an_auxiliary_loss_that_is_not_finite_stops_all_updates(strategy: str) -> None:
    """Even where the gate is closed to it: the recognizer would be lost."""
    trained = training(config(f"strategy={strategy}"))
    trained.update(batch(0), probe=False)
    with torch.no_grad():
        trained.recognizers["diagnosis"][3].bias.fill_(math.inf)
    before = memory(trained)
    logs = trained.update(batch(1), probe=False)
    assert math.isfinite(float(logs["loss_main"])) and not bool(logs["finite"])
    assert equal(before, memory(trained))


class Batches:
    """Stands for the loader: 10 steps an epoch, and one batch that makes no sense."""

    steps_per_epoch = 10

    def __init__(self, bad: int | None):
        self.bad = bad

    def batch(self, seed: int, step: int, degraded: bool) -> Batch:
        return without_sense("nan", step) if step == self.bad else batch(step)


class Shelf:
    """Stands for the stage's place in the store."""

    def __init__(self) -> None:
        self.kept: list[int] = []

    def load_checkpoint(self) -> None:
        return None

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        self.kept.append(state["step"])


def engine_run(bad: int | None, log_every: int) -> tuple[dict[str, Any] | str, list[int]]:
    made = config("strategy=gradprom", f"trainer.log_every={log_every}")
    made.trainer.checkpoint_seconds = 0.0
    stage, shelf = Stage("coupled", 2, 0, {}), Shelf()

    def build(epoch_steps: int) -> EnhancerTraining:
        return training(made)

    try:
        found = engine.train(
            stage,
            build,
            Batches(bad),
            shelf,
            made.trainer,
            lambda progress: None,  # type: ignore
        )
    except engine.NonFinite as error:
        return str(error), shelf.kept
    return found, shelf.kept


@pytest.mark.parametrize(
    ("bad", "log_every", "read", "kept"),
    # batches count from 0, steps from 1
    [(0, 5, 0, []), (4, 5, 0, []), (5, 5, 5, [5]), (13, 5, 10, [5, 10]), (19, 7, 14, [7, 14])],
)
def test_the_engine_stops_and_says_where(
    bad: int, log_every: int, read: int, kept: list[int]
) -> None:
    """`read`: the last row of the history, before the one in which it happened."""
    told, saved = engine_run(bad, log_every)
    assert isinstance(told, str)
    assert told.startswith(f"a loss or gradient is not finite at step {bad + 1} of stage coupled; ")
    assert saved == kept
    if not read:
        assert told.endswith("last finite values: none (step 0)")
        return
    whole, _ = engine_run(None, log_every)
    assert isinstance(whole, dict)
    row = next(row for row in whole["history"] if row["step"] == read)
    values = ", ".join(f"{key} {row[key]:.4g}" for key in ("loss_main", "loss_diagnosis"))
    assert told.endswith(f"last finite values: {values} (step {read})")


# stages


def test_coupled_training_starts_from_its_parents() -> None:
    made = config("auxiliary=multitask", "strategy=gradprom")
    method = TaskDriven(made)
    *parents, coupled = method.stage().lineage()
    artefacts = {}
    for seed, stage in enumerate(parents):
        torch.manual_seed(seed)
        artefacts[stage.name] = copy.deepcopy(method.begin(stage, {}, 2, CPU).artefact())
    trained = method.begin(coupled, artefacts, 2, CPU)
    assert isinstance(trained, EnhancerTraining)
    assert set(trained.optimizers) == {"enhancer", "diagnosis", "segmentation"}
    for name, network in {"enhancer": trained.enhancer, **trained.recognizers}.items():
        source = artefacts["warmup" if name == "enhancer" else f"recognizer.{name}"]
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

    loader = Loader(images, "train", batches_of(warmup, run.config), CPU)
    torch.manual_seed(stream(stream(3, "warmup"), "initial weights"))
    trained = method.begin(warmup, {}, loader.steps_per_epoch, CPU)
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
    assert equal(memory(whole), memory(second))
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
    artefact = method.begin(warmup, {}, 2, CPU).artefact()
    method.restore({"enhancer": artefact["enhancer"]}, CPU)
    before = state(method.enhancer)
    enhanced = method.enhance(30 * tested.input - 10)  # far out of range
    assert float(enhanced.min()) == 0 and float(enhanced.max()) == 1
    assert enhanced.shape == tested.target.shape and not enhanced.requires_grad
    assert equal(before, state(method.enhancer))


def test_scores_of_a_task_driven_run(phantom: Callable[..., tuple[Config, Batch]]) -> None:
    made, tested = phantom("auxiliary=multitask")
    method = TaskDriven(made)
    *parents, coupled = method.stage().lineage()
    starts = {stage.name: method.begin(stage, {}, 2, CPU).artefact() for stage in parents}
    method.restore(method.begin(coupled, starts, 2, CPU).artefact(), CPU)
    found = method.evaluate(tested)
    enhanced = method.enhance(tested.input)
    assert torch.equal(found["psnr"], metrics.psnr(enhanced, tested.target))
    assert torch.equal(found["ssim"], metrics.ssim(enhanced, tested.target))
    diagnosis, segmentation = (method.recognizers[t].eval() for t in method.tasks)
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
    artefact = method.begin(method.stage().parents[0], {}, 2, CPU).artefact()
    method.restore(artefact, CPU)
    assert set(method.evaluate(tested)) == {"psnr", "ssim"}


def test_a_network_that_the_artefact_lacks_is_missed() -> None:
    method = TaskDriven(config("strategy=gradprom"))
    warmup = method.stage().parents[0]
    artefact = method.begin(warmup, {}, 2, CPU).artefact()
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
    assert (stage.name, stage.epochs, stage.degraded, stage.parents) == ("benchmark", 5, True, ())
    torch.manual_seed(0)
    trained = method.begin(stage, {}, 2, CPU)
    reference = copy.deepcopy(trained.recognizer).double()
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
        for p, q in zip(trained.recognizer.parameters(), reference.parameters(), strict=True)
    ]
    assert sum(int((a > 1e-4).sum()) for a in apart) < 0.01 * sum(a.numel() for a in apart)
    method.restore(trained.artefact(), CPU)
    found = method.evaluate(tested)
    assert torch.equal(found["prediction"], method.network(tested.input).argmax(1))
    assert set(found) == {"label", "prediction"}


def test_a_recognizer_does_not_enhance() -> None:
    method = Recognizer(config("method=recognizer"))
    with pytest.raises(RunError, match="method=recognizer has no enhancer; choose a task_driven"):
        method.enhance(torch.zeros(1, 3, 32, 32))


# what the host waits for

WAITS = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "equal")


class NoWord(TorchDispatchMode):
    """Refuses what would have the host wait for a device: to read a value, or to learn a size."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        chosen = args[1] if func.overloadpacket is torch.ops.aten.index else []
        by_mask = any(index is not None and index.dtype == torch.bool for index in chosen)
        if func.overloadpacket.__name__ in WAITS or by_mask:
            raise AssertionError(f"the host asks for a value: {func}")
        return func(*args, **(kwargs or {}))


KINDS = [*STRATEGIES, *("project", "pcgrad", "gradprom strategy.gate=cosine")]
KINDS += ["gradprom strategy.granularity=layer", "gradprom strategy.gate_on=last"]


@pytest.mark.parametrize("supervision", ["supervised", "unsupervised"])
@pytest.mark.parametrize("auxiliary", ["diagnosis", "segmentation", "multitask"])
def test_no_step_asks_the_device_for_a_value(
    supervision: str, auxiliary: str, tmp_path: Path
) -> None:
    """From the batch to the logs, whatever the gates do; the engine reads in bulk."""
    common = [*tiny_runs.PHANTOM, f"supervision={supervision}", f"auxiliary={auxiliary}"]
    run = tiny_runs.make(tmp_path, *common)
    c, tasks = run.config, list(run.config.auxiliary.tasks)
    batches = replace(batches_of(run.method.stage(), c), size=8)
    loader = Loader(run.images(), "train", batches, CPU)
    kinds = KINDS + ["mgda"] * (len(tasks) == 1)
    for kind in kinds:
        made = tiny_runs.make(tmp_path, *common, *f"strategy={kind}".split()).config
        networks = {task: recognition.build(made, task, fresh=True) for task in tasks}
        build = component("backbone", made.backbone.name).build
        enhancer = build(made.backbone, made.facts.channels, 1)
        trained = EnhancerTraining(made, enhancer, networks, made.strategy, epoch_steps=2)
        with NoWord():
            for step, probe in enumerate((False, True)):
                trained.update(loader.batch(0, step), probe)


@pytest.mark.parametrize(
    "asks", [lambda t: t.sum().item(), lambda t: bool(t[0]), lambda t: t[t > 0]]
)
def test_the_check_above_notices_what_asks(asks: Callable[[Tensor], Any]) -> None:
    with NoWord(), pytest.raises(AssertionError, match="the host asks for a value"):
        asks(torch.ones(2))
