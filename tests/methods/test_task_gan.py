"""Task-GAN, GAN and pixels: which network learns from which loss, against separate backwards."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_runs
from support.contract_cases import CPU, loader
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom.data.loader import Batch
from gradprom.errors import ConfigError
from gradprom.methods.gan import matching_loss
from gradprom.models.enhancers import pix2pix
from gradprom.runs.run import Run
from gradprom.training.stage import Start

SMALL = ("dataset.train=16", "dataset.test=6", "size=32", "backbone=unet_small")
SMALL += ("backbone.channels=4", "backbone.blocks=1", "trainer.device=cpu", "trainer.augment=false")
SMALL += ("trainer.schedule=constant", "trainer.clip=0")
GAN = ("method.network.channels=4", "method.network.layers=3", "method.network.matching=2")
GAN += ("method.gan_weight=2",)


def made(method: str, *overrides: str, results: Path = Path("results")) -> Run:
    """A run in which a step changes each parameter by its gradient."""
    networks = {"pixel": ["generator"], "gan": ["generator", "discriminator"]}
    networks["task_gan"] = [*networks["gan"], "task"]
    sgd = ("{}.name=sgd", "{}.lr=1", "+{}.momentum=0")
    steps = [option.format(f"method.{name}") for name in networks[method] for option in sgd]
    own = GAN if method != "pixel" else ()
    return tiny_runs.make(results, f"method={method}", *SMALL, *own, *steps, *overrides)


def begun(run: Run) -> tuple[Any, Batch]:
    """The training of random networks and a batch, both in float64."""
    method: Any = run.method
    torch.manual_seed(0)
    networks = {name: net.double() for name, net in method.build_networks(fresh=True).items()}
    for parameter in networks["generator"].tail.parameters():
        nn.init.normal_(parameter, std=0.05)  # it begins at zero, where all gradients are of it
    training = method.begin(Start({}, 2, CPU), networks, 1)
    drawn = loader(run, method.stage()).batch(3, 0)
    drawn.input, drawn.target = drawn.input.double(), drawn.target.double()
    return training, drawn


class Oracle:
    """Every loss of a copy of the networks, each with a backward of its own."""

    def __init__(self, training: Any, batch: Batch, options: Any):
        networks = {n: copy.deepcopy(net) for n, net in training.networks.networks.items()}
        self.networks = {n: net.requires_grad_(True) for n, net in networks.items()}
        self.batch, self.options = batch, options
        self.restored = networks["generator"](batch.input)

    def gradient(self, loss: Tensor, name: str) -> list[Tensor]:
        """Of one loss, over the parameters of one network."""
        parameters = list(self.networks[name].parameters())
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        zeros = [torch.zeros_like(parameter) for parameter in parameters]
        return [z if g is None else g for g, z in zip(gradients, zeros, strict=True)]

    def pixel(self) -> Tensor:
        return (self.restored - self.batch.target).abs().mean()

    def real_or_made(self) -> Tensor:
        images = torch.cat([self.restored.detach(), self.batch.target])
        logits, truth = self.networks["discriminator"](images), torch.arange(16).double() // 8
        return 2 * F.binary_cross_entropy_with_logits(logits, truth)

    def matching(self) -> Tensor:
        """After the discriminator's own step."""
        discriminator = copy.deepcopy(self.networks["discriminator"])
        gradients = self.gradient(self.real_or_made(), "discriminator")
        with torch.no_grad():
            for parameter, gradient in zip(discriminator.parameters(), gradients, strict=True):
                parameter -= gradient
        features = discriminator.matched(torch.cat([self.restored, self.batch.target]))
        made, clean = features[:8], features[8:]
        if self.options.expectation == "batch":
            return ((made.mean(0) - clean.mean(0)) ** 2).mean()
        return ((made - clean) ** 2).mean()

    def task(self, images: Tensor) -> Tensor:
        logits = self.networks["diagnosis"](images)
        label = self.batch.label
        assert label is not None
        if self.options.task_loss == "cross_entropy":
            return F.cross_entropy(logits, label)
        truth = F.one_hot(label, logits.shape[1]).double()
        return ((torch.softmax(logits, 1) - truth) ** 2).sum(1).mean() / 2


def changes(training: Any, before: dict[str, list[Tensor]]) -> dict[str, list[Tensor]]:
    after = parameters(training)
    return {n: [a - b for a, b in zip(after[n], before[n], strict=True)] for n in before}


def parameters(training: Any) -> dict[str, list[Tensor]]:
    networks = training.networks.networks.items()
    return {name: [p.detach().clone() for p in net.parameters()] for name, net in networks}


def assert_steps(change: list[Tensor], *weighted: tuple[float, list[Tensor]]) -> None:
    """The change is minus the sum of gradients, each times its weight."""
    expected = [torch.zeros_like(part) for part in change]
    for weight, gradient in weighted:
        expected = [e - weight * g for e, g in zip(expected, gradient, strict=True)]
    for one, other in zip(change, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10)


def stepped(run: Run) -> tuple[Any, Oracle, dict[str, list[Tensor]], dict[str, Tensor]]:
    training, batch = begun(run)
    oracle = Oracle(training, batch, run.config.method)
    before = parameters(training)
    logs = training.update(batch, probe=True)
    assert bool(logs["finite"])
    for network in training.networks.networks.values():
        assert all(p.grad is None for p in network.parameters())
    return training, oracle, changes(training, before), logs


def still(change: dict[str, list[Tensor]], *names: str) -> bool:
    return not any(part.any() for name in names for part in change[name])


def test_pixels_alone() -> None:
    _, oracle, change, logs = stepped(made("pixel"))
    assert_steps(change["generator"], (1, oracle.gradient(oracle.pixel(), "generator")))
    assert still(change, "diagnosis", "judge")
    norm = torch.cat([g.flatten() for g in oracle.gradient(oracle.pixel(), "generator")]).norm()
    torch.testing.assert_close(logs["norm_generator"], norm.detach())
    torch.testing.assert_close(logs["loss_main"], oracle.pixel().detach())


@pytest.mark.parametrize("expectation", ["batch", "image"])
def test_gan(expectation: str) -> None:
    _, oracle, change, logs = stepped(made("gan", f"method.expectation={expectation}"))
    pixel, matching = oracle.pixel(), oracle.matching()
    gradients = [oracle.gradient(loss, "generator") for loss in (pixel, matching)]
    assert all(any(part.any() for part in gradient) for gradient in gradients)
    assert_steps(change["generator"], (1, gradients[0]), (2, gradients[1]))
    own = oracle.gradient(oracle.real_or_made(), "discriminator")
    assert_steps(change["discriminator"], (1, own))
    assert still(change, "diagnosis", "judge")
    expected = {"main": pixel + 2 * matching, "pixel": pixel, "matching": matching}
    for name, loss in {**expected, "discriminator": oracle.real_or_made()}.items():
        torch.testing.assert_close(logs[f"loss_{name}"], loss.detach())


@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize("loss", ["regression", "cross_entropy"])
def test_task_gan(loss: str, clamp: bool) -> None:
    """Eq. 4: µ weighs the task in the generator, and each network has the step of its own loss."""
    run = made("task_gan", "lam=3", f"method.task_loss={loss}", f"auxiliary.clamp={clamp}")
    _, oracle, change, logs = stepped(run)
    seen = oracle.restored.clamp(0, 1) if clamp else oracle.restored
    on_restored, on_clean = oracle.task(seen), oracle.task(oracle.batch.target)
    main = oracle.pixel() + 2 * oracle.matching()
    weights = [(1.0, main), (3.0, on_restored)]
    assert_steps(
        change["generator"], *((weight, oracle.gradient(x, "generator")) for weight, x in weights)
    )
    assert_steps(
        change["diagnosis"],
        *((1, oracle.gradient(x, "diagnosis")) for x in (on_restored, on_clean)),
    )
    own = oracle.gradient(oracle.real_or_made(), "discriminator")
    assert_steps(change["discriminator"], (1, own))
    assert still(change, "judge")
    torch.testing.assert_close(logs["loss_diagnosis"], (on_restored + on_clean).detach())
    torch.testing.assert_close(logs["loss_clean_diagnosis"], on_clean.detach())


def test_a_frozen_task_network_does_not_learn() -> None:
    _, oracle, change, _ = stepped(made("task_gan", "strategy=frozen", "lam=3"))
    assert still(change, "diagnosis", "judge")
    main = oracle.gradient(oracle.pixel() + 2 * oracle.matching(), "generator")
    task = oracle.gradient(oracle.task(oracle.restored.clamp(0, 1)), "generator")
    assert any(part.any() for part in task)
    assert_steps(change["generator"], (1, main), (3, task))


def test_the_gate_follows_the_gradients_that_were_chosen() -> None:
    """The task joins where it agrees with all main losses, or with pixels, which differ."""
    gates: dict[tuple[str, bool], bool] = {}
    for seed in range(12):
        for agree_with in ("main", "pixel"):
            words = ("strategy=gradprom", "lam=3", f"method.agree_with={agree_with}")
            run = made("task_gan", *words, f"dataset.split_seed={seed}", "method.gan_weight=20")
            _, oracle, change, logs = stepped(run)
            pixel, matching = oracle.pixel(), oracle.matching()
            main = pixel + 20 * matching
            task = oracle.task(oracle.restored.clamp(0, 1))
            gradient, chosen, joining = (
                oracle.gradient(loss, "generator")
                for loss in (main, main if agree_with == "main" else pixel, task)
            )
            product = sum(float((a * b).sum()) for a, b in zip(chosen, joining, strict=True))
            is_open = product >= 0
            assert float(logs["gate_diagnosis"]) == is_open
            assert_steps(change["generator"], (1, gradient), (3.0 * is_open, joining))
            gates[agree_with, is_open] = True
        if len(gates) == 4:
            return
    raise AssertionError(f"gates that never opened or closed: {gates}")


def test_what_is_not_finite_changes_no_network() -> None:
    training, batch = begun(made("task_gan"))
    batch.target[0, 0, 0, 0] = torch.nan
    before = parameters(training)
    assert not bool(training.update(batch, probe=False)["finite"])
    assert still(changes(training, before), *before)


def test_dropout_and_three_optimizers_go_on_to_the_same_bits(tmp_path: Path) -> None:
    """With the generator of the appendix, whose dropout is random at each step."""
    words = ("method=task_gan", "dataset.train=16", "dataset.test=6", "size=32", "backbone=pix2pix")
    words += ("backbone.size=64", "backbone.channels=2", "trainer.device=cpu", *GAN)
    run = tiny_runs.make(tmp_path, *words)
    method: Any = run.method
    batches = loader(run, method.stage())

    def training() -> Any:
        torch.manual_seed(0)
        return method.begin(Start({}, 2, CPU), method.build_networks(fresh=True), 2)

    def run_steps(training: Any, numbers: range) -> None:
        for number in numbers:
            torch.manual_seed(number)
            training.update(batches.batch(3, number), probe=False)

    whole, first, second = training(), training(), training()
    run_steps(whole, range(4))
    run_steps(first, range(2))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run_steps(second, range(2, 4))
    optimizers = second.networks.optimizers
    assert set(optimizers) == {"generator", "discriminator", "diagnosis"}
    for name, network in whole.networks.networks.items():
        ours, theirs = network.state_dict(), second.networks[name].state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items()), name


@pytest.mark.parametrize("expectation", ["batch", "image"])
def test_feature_matching_is_equation_2(expectation: str) -> None:
    """Of the means over the batch as written; there is nothing to learn from a permutation."""
    restored, clean = torch.rand(2, 4, 3, 5, 5, dtype=torch.float64)
    expected = (
        sum((restored[:, k] - clean[:, k]).mean(0).square().mean() for k in range(3)) / 3
        if expectation == "batch"
        else sum((restored[i] - clean[i]).square().mean() for i in range(4)) / 4
    )
    torch.testing.assert_close(matching_loss(restored, clean, expectation), expected)
    permuted = matching_loss(clean.flip(0), clean, expectation)
    assert (permuted.abs() < 1e-20) == (expectation == "batch")


# the schedules


def test_the_task_network_begins_as_it_was_trained(tmp_path: Path) -> None:
    run = made("task_gan", results=tmp_path)
    method: Any = run.method
    stage = method.stage()
    parents = {parent.name: parent for parent in stage.parents}
    assert set(parents) == {"recognizer.diagnosis", "judge.diagnosis"}
    assert parents["recognizer.diagnosis"].id != parents["judge.diagnosis"].id
    trained = {parent.id: begun_recognizer(method, n) for n, parent in enumerate(stage.parents)}
    training = stage.begin(Start(trained, 2, CPU))
    for name, parent in zip(("diagnosis", "judge"), stage.parents, strict=True):
        [weights] = trained[parent.id].values()
        network = training.networks[name].state_dict()
        assert all(torch.equal(weights[key], value) for key, value in network.items())


def begun_recognizer(method: Any, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    return {"diagnosis": method.build_networks(fresh=True)["diagnosis"].state_dict()}


def test_three_steps() -> None:
    run = made("task_gan", "method.label_epochs=3", "trainer.coupled_epochs=4")
    last = run.method.stage()
    assert [stage.name for stage in last.lineage()] == [
        "recognizer.diagnosis",
        "judge.diagnosis",
        "task_gan.by_label",
        "task_gan",
    ]
    [by_label] = last.parents
    total = run.config.trainer.warmup_epochs + 4
    assert (by_label.epochs, last.epochs) == (3, total - 3)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    for epoch in range(6):
        shown = labels[by_label.batches.order(labels, 0, epoch)]
        assert shown.tolist() == [epoch % 3] * 2
    assert made("task_gan").method.stage().id != last.id


def test_all_three_networks_at_once() -> None:
    stage = made("task_gan", "method.pretrain=false").method.stage()
    assert [parent.name for parent in stage.parents] == ["judge.diagnosis"]


# what is refused, and what is shared


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("task_gan strategy=mainstream", "strategy=mainstream leaves the task network out"),
        ("task_gan auxiliary=none", "needs a task and auxiliary=none has none"),
        ("task_gan auxiliary=multitask", "choose a single auxiliary task"),
        ("gan auxiliary=multitask", "choose a single auxiliary task"),
        ("task_gan supervision=unsupervised", "leave supervision=supervised"),
        ("task_gan method.agree_with=pixel", "agree_with=pixel has no effect on strategy=joint"),
        ("task_gan method.label_epochs=12", "must be less than the 12 epochs"),
        ("task_gan method.task_loss=l2", "method.task_loss=l2 is not allowed"),
        ("gan method.gan_weight=-1", "method.gan_weight=-1.0 must be a number >= 0"),
        ("gan method.network.matching=9", "discriminator.matching=9: allowed are layers from 1"),
    ],
)
def test_what_does_not_go_together_is_refused(words: str, sentence: str) -> None:
    method, *overrides = words.split()
    with pytest.raises(ConfigError, match=sentence.replace(".", r"\.")):
        tiny_runs.make(Path("results"), f"method={method}", *overrides)


def test_the_comparison_shares_its_recognizers() -> None:
    stages = [made(method).method.stage().parents for method in ("pixel", "gan", "task_gan")]
    assert stages[0] == stages[1] == stages[2] and len(stages[0]) == 2


def test_the_generator_of_each_profile_and_the_strategy_that_the_method_brings() -> None:
    run = tiny_runs.make(Path("results"), "method=task_gan", "backbone=restorer")
    assert run.config.backbone.name == "unet"  # pix2pix needs longer than the demo lasts
    paper = ("profile=paper", "pretrained=false", "backbone=restorer")
    for method in ("pixel", "gan", "task_gan"):
        config = tiny_runs.make(Path("results"), f"method={method}", *paper).config
        assert config.backbone == pix2pix.Options() and config.method.generator.betas[0] == 0.5
    assert (run.config.strategy.name, run.config.strategy.lam) == ("joint", 0.01)
    words = ("method=task_gan", "strategy=gradprom", "lam=0.5")
    gated = tiny_runs.make(Path("results"), *words).config.strategy
    assert (gated.name, gated.lam) == ("gradprom", 0.5)
    assert tiny_runs.make(Path("results")).config.strategy.name == "gradprom"
