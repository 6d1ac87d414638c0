"""How networks compute in training: what is rounded, what is not, and that scores never are."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from support import coupled_steps, tiny_runs
from support.small_training import CPU, batch, training
from support.test_sets import Halves, images
from torch import Tensor, nn

from gradprom import strategies
from gradprom.config import Evaluation, Trainer
from gradprom.data.loader import Batch
from gradprom.degradations import Gaussian
from gradprom.errors import RunError
from gradprom.runs import evaluation, ranks
from gradprom.storage.files import load_state
from gradprom.strategies import Joint
from gradprom.tasks import task_by_name
from gradprom.training import precision
from gradprom.training.store import NoSlot

HALF = 2.0**-8
"""bfloat16 keeps eight bits: what rounding to it changes a number by, at most, relatively."""


@pytest.fixture(autouse=True)
def _flags() -> Iterator[None]:
    """Leave the process as it was, whatever a test does."""
    before = flags()
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def far(found: Tensor, expected: Tensor) -> float:
    """Relative to the expected one's norm."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


# TF32 on and off


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("allowed", [False, True])
def test_tf32_is_switched_for_products_and_convolutions_and_back(
    before: bool, allowed: bool
) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = before
    with precision.tf32(allowed):
        assert flags() == (allowed, allowed)
        with precision.tf32(not allowed):
            assert flags() == (not allowed, not allowed)
        assert flags() == (allowed, allowed)
    assert flags() == (before, before)


@pytest.mark.parametrize("kind", ["float32", "tf32"])
def test_a_stage_is_trained_as_asked_and_validated_strictly(tmp_path: Path, kind: str) -> None:
    words = [*tiny_runs.PHANTOM, "validation=0.5", "strategy=mainstream", "trainer.device=auto"]
    run = tiny_runs.make(tmp_path, *words, f"trainer.precision={kind}")
    seen: list[tuple[bool, bool]] = []
    torch.backends.cudnn.allow_tf32 = True  # as torch has it
    stage = run.method.stage()
    [warmup] = stage.parents
    told: Any = functools.partial(ranks.train_stage, run)
    parent = told(warmup, None, CPU, NoSlot(), lambda progress: seen.append(flags()))
    method = type(run.method)
    validated: list[tuple[bool, bool]] = []
    evaluate = method.evaluate

    def noted(self: Any, batch: Batch, restored: Any) -> Any:
        validated.append(flags())
        return evaluate(self, batch, restored)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "evaluate", noted)
        weights = {warmup.id: parent["weights"]}
        told(stage, weights, CPU, NoSlot(), lambda progress: seen.append(flags()))
    asked = kind == "tf32"
    assert seen and set(seen) == {(asked, asked)}
    assert validated and set(validated) == {(False, False)}
    assert flags() == (False, True)


def test_pictures_and_scores_are_never_computed_in_tf32(tmp_path: Path) -> None:
    from gradprom.runs import inference

    seen: list[tuple[bool, bool]] = []

    class Watched(Halves):
        def enhance(self, images: Tensor) -> Tensor:
            seen.append(flags())
            return super().enhance(images)

        def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
            seen.append(flags())
            return super().evaluate(batch, restored)

    class WatchedNoise(Gaussian):
        def apply(self, batch: Tensor, parameters: Any) -> Tensor:
            seen.append(flags())
            return super().apply(batch, parameters)

    with precision.tf32(True):
        method: Any = Watched()
        for _ in evaluation.scored_batches(
            method, images(), WatchedNoise(), Evaluation(batch_size=2), CPU
        ):
            assert flags() == (True, True)  # who consumes the parts is left as they were
        inference.enhance(method.enhance, torch.rand(1, 32, 32).numpy(), 1)
    assert len(seen) == 7 and set(seen) == {(False, False)}


# bfloat16


@pytest.mark.parametrize("supervision", ["supervised", "unsupervised"])
def test_bfloat16_is_the_networks_alone(supervision: str) -> None:
    """Losses, gradients, parameters and Adam's moments stay float32, near the float64 step's."""
    words = ["strategy=gradprom", "auxiliary=multitask", f"supervision={supervision}"]
    half = training(*words, "trainer.precision=bf16")
    exact = training(*words, kind=torch.float64)
    found = half.update(batch(0), probe=True)
    expected = exact.update(coupled_steps.batch(0), probe=True)
    for name, value in found.items():
        assert name == "finite" or value.dtype == torch.float32, name
    losses = [name for name in found if name.startswith("loss")]
    errors = [far(found[name], expected[name]) for name in losses]
    assert len(losses) == 3 and max(errors) < 4 * HALF
    assert max(errors) > 1e-5  # float32 would come much nearer
    for name in ("diagnosis", "segmentation"):
        error = found[f"cosine_{name}"] - expected[f"cosine_{name}"]
        assert abs(float(error)) < 8 * HALF
    for name, optimizer in half.networks.optimizers.items():
        network = half.networks.networks[name]
        assert {p.dtype for p in network.parameters()} == {torch.float32}
        moments = optimizer.state_dict()["optimizer"]["state"].values()
        # every parameter has learnt, and so has had a gradient
        assert len(moments) == len(list(network.parameters()))
        assert {state["exp_avg"].dtype for state in moments} == {torch.float32}
        assert all(bool(state["exp_avg"].any()) for state in moments)


def test_gradients_of_bfloat16_networks_are_float32() -> None:
    half, exact = training("trainer.precision=bf16"), training(kind=torch.float64)
    gradients = []
    for trained, each in ((half, batch(0)), (exact, coupled_steps.batch(0))):
        enhanced = trained.enhancer(each.input)
        logits = trained.recognizers["diagnosis"](enhanced)
        assert enhanced.dtype == logits.dtype == each.input.dtype
        assert each.label is not None
        losses = [(enhanced - each.target).square().mean()]
        losses.append(task_by_name("diagnosis").supervised_loss(logits, each.label))
        shared = strategies.layers(trained.enhancer)
        strategies.backward(losses, shared, Joint(lam=0.1), features=enhanced)
        rows = [p.grad for net in trained.networks.networks.values() for p in net.parameters()]
        gradients.append([row for row in rows if row is not None])
    assert {row.dtype for row in gradients[0]} == {torch.float32}
    for found, expected in zip(*gradients, strict=True):
        assert far(found, expected) < 0.1


def test_what_a_bfloat16_run_scores_is_what_float32_makes_of_its_weights(tmp_path: Path) -> None:
    words = [*tiny_runs.PHANTOM, "auxiliary=multitask", "evaluation.panels=0"]
    record = tiny_runs.train(tmp_path, *words, "trainer.precision=bf16")
    assert record.precision == "bf16"
    run = tiny_runs.make(tmp_path, *words)
    assert record.id != run.id and record.training_id != run.training_id
    strict = run.method
    [place] = (tmp_path / "stages").glob(f"{record.training_id}-*")
    strict.restore(load_state(place / "artefact.pt")["weights"], CPU)
    setting = run.config.degradation, run.config.evaluation, CPU
    table = evaluation.evaluate(strict, run.images(), *setting)
    kept = pd.read_csv(tiny_runs.local(tmp_path).run(record.id) / "scores.csv")
    pd.testing.assert_frame_equal(table, kept[[*table]], check_dtype=False, rtol=1e-12)
    assert all(
        value.dtype != torch.bfloat16 for value in strict.networks["enhancer"].state_dict().values()
    )


def test_statistics_over_ranks_are_not_taken_in_bfloat16() -> None:
    from gradprom.training.parallel.distributed import _batch_norm

    module = nn.BatchNorm2d(3)
    images = (5 + torch.rand(8, 3, 4, 4)).bfloat16()
    exact = images.double()
    mean, variance = exact.mean((0, 2, 3), keepdim=True), exact.var((0, 2, 3), False, keepdim=True)
    found = _batch_norm(module, images).detach()
    assert far(found, (exact - mean) / (variance + module.eps).sqrt()) < 1e-5
    assert module.running_mean is not None
    torch.testing.assert_close(module.running_mean.double(), 0.1 * mean.flatten())


# what a strategy compares


def test_inner_products_over_25_million_parameters() -> None:
    """Sums in float32 against float64, where gradients agree a little and hardly disagree."""
    count, generator = 25_000_000, torch.Generator().manual_seed(0)
    main, noise = (torch.randn(count, generator=generator) * 1e-6 for _ in range(2))
    rows = [main, main * 0.1 + noise, noise - main * 0.001]
    theta = torch.zeros(count, requires_grad=True)
    losses = [(theta * row).sum() for row in rows]
    gram = strategies.backward(losses, [theta], strategies.GradProm()).gram
    assert gram is not None and gram.dtype == torch.float32
    exact = torch.stack(rows).double()
    expected = exact @ exact.T
    norms = expected.diagonal().sqrt()
    assert ((gram - expected).abs() < 1e-6 * norms * norms[:, None]).all()


# refusals at the device, and compilation


def test_a_device_that_does_not_serve_the_precision() -> None:
    for device, kind in (("cpu", "tf32"), ("mps", "tf32"), ("mps", "bf16")):
        with pytest.raises(RunError, match=f"precision={kind} needs cuda.* and this machine has"):
            precision.require_supported(Trainer(precision=kind), torch.device(device))
    for device, kind in (("cpu", "bf16"), ("cpu", "float32"), ("mps", "float32")):
        precision.require_supported(Trainer(precision=kind), torch.device(device))
