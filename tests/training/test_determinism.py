"""Equal bits each time on CUDA: what a CPU can show of it.

No GPU is needed: that training uses no operation which CUDA computes in no fixed order is seen from
the operations that it dispatches, and what stands in for them is compared with torch's own.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import coupled_steps, tiny_runs
from support.small_training import CPU
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gradprom.config import Trainer
from gradprom.data.base import UNLABELLED
from gradprom.data.loader import Loader
from gradprom.degradations import Blur, Downsample
from gradprom.errors import ConfigError
from gradprom.models.borders import doubled, repeated
from gradprom.runs.execution import execute
from gradprom.tasks import task_by_name
from gradprom.training import precision
from gradprom.training.stage import Start
from gradprom.training.workspace import VARIABLE, fix_workspace

ROOT = Path(__file__).resolve().parents[2]
ANY_ORDER = (
    *("adaptive_avg_pool", "adaptive_max_pool", "avg_pool3d", "max_pool3d", "fractional_max_pool"),
    *("nll_loss2d", "ctc_loss", "grid_sampler", "reflection_pad", "replication_pad", "upsample_l"),
    *("upsample_bi", "upsample_tri", "_upsample_bi", "max_unpool", "embedding_bag"),
)
"""Operations whose backward adds up in no fixed order on CUDA (torch's documentation of
`use_deterministic_algorithms`), by how their names begin."""
SORTED = ("cumsum", "index_add", "index_put", "scatter", "put_", "histc", "bincount", "kthvalue")
"""Those that add up in no fixed order, or by sorting, in a forward pass too."""


class Dispatched(TorchDispatchMode):
    """Notes the names of all operations in its block, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))

    def in_any_order(self) -> list[str]:
        """Those that CUDA computes in no fixed order, or only by sorting."""
        backward = [n for n in self.names if n.startswith(ANY_ORDER) and "backward" in n]
        either = ("nll_loss2d", *SORTED)
        return sorted({*backward, *(n for n in self.names if n.strip("_").startswith(either))})


@pytest.fixture(autouse=True)
def _workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Where networks of a run have computed, and whether held to equal bits."""
    from gradprom.methods.coupled_training import EnhancerTraining
    from gradprom.methods.task_driven import TaskDriven

    seen: list[str] = []

    def noting(place: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            seen.append(f"{place} {torch.get_deterministic_debug_mode()}")
            return function(*args, **kwargs)

        return noted

    monkeypatch.setattr(EnhancerTraining, "update", noting("train", EnhancerTraining.update))
    monkeypatch.setattr(TaskDriven, "evaluate", noting("evaluate", TaskDriven.evaluate))
    yield seen


def test_the_block_holds_torch_to_it_and_leaves_torch_as_it_was() -> None:
    settings: Any = torch.utils.deterministic
    torch.backends.cudnn.benchmark, settings.fill_uninitialized_memory = True, True
    try:
        with precision.deterministic(Trainer(), CPU):
            assert torch.are_deterministic_algorithms_enabled()
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
            assert not torch.backends.cudnn.benchmark
            assert not settings.fill_uninitialized_memory
            with pytest.raises(RuntimeError, match="put_.*deterministic"):
                torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.benchmark and settings.fill_uninitialized_memory
        free, mps = Trainer(deterministic=False), torch.device("mps")
        for options, device in ((free, CPU), (Trainer(), mps)):
            with precision.deterministic(options, device):
                assert not torch.are_deterministic_algorithms_enabled()
                assert torch.backends.cudnn.benchmark
    finally:
        torch.backends.cudnn.benchmark = False


def test_a_run_is_held_to_equal_bits_in_training_and_evaluation(
    tmp_path: Path, seen: list[str]
) -> None:
    words = [*tiny_runs.PHANTOM, "strategy=mainstream"]
    record = tiny_runs.train(tmp_path / "held", *words)
    assert set(seen) == {"train 2", "evaluate 2"} and record.deterministic
    assert os.environ[VARIABLE] == ":4096:8"
    assert torch.get_deterministic_debug_mode() == 0
    seen.clear()
    free = tiny_runs.train(tmp_path / "free", *words, "trainer.deterministic=false")
    assert set(seen) == {"train 0", "evaluate 0"} and not free.deterministic
    assert free.id == record.id and free.metrics == record.metrics


@pytest.mark.parametrize(
    ("own", "used"), [(None, ":4096:8"), (":16:8", ":16:8"), (":4096:2:16:8", ":4096:8")]
)
def test_the_workspace_of_cublas(
    own: str | None, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if own:
        monkeypatch.setenv(VARIABLE, own)
    fix_workspace()
    assert os.environ[VARIABLE] == used


def test_commands_choose_the_workspace_before_they_import_torch() -> None:
    code = (
        "import os, sys; from gradprom.startup import prepare; prepare([]); "
        f"sys.exit('torch' in sys.modules or os.environ['{VARIABLE}'] != ':4096:8')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_a_run_that_torch_cannot_hold_to_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says by which operation."""
    segmentation = type(task_by_name("diagnosis"))

    def loss(self: Any, logits: Tensor, truth: Tensor) -> Tensor:
        return logits.sum() + torch.zeros(3).put_(truth[:2], torch.ones(2)).sum()

    monkeypatch.setattr(segmentation, "supervised_loss", loss)
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM)
    with pytest.raises(RuntimeError, match="put_.* does not have a deterministic implementation"):
        execute(run)
    record = run.study.record(run.id)
    assert record is not None and record.status == "failed"


# what training dispatches

SETUPS = [
    ["auxiliary=multitask", "strategy=gradprom"],
    ["auxiliary=multitask", "strategy=gradprom", "strategy.granularity=layer"],
    ["auxiliary=segmentation", "strategy=joint", "degradation=mix", "supervision=unsupervised"],
    ["auxiliary.backbone=resnet18", "auxiliary=multitask", "pretrained=false", "dataset.size=40"],
    ["backbone=resnet50", "backbone.encoder=resnet18", "pretrained=false", "dataset.size=40"],
    ["backbone=unet", "degradation=downsample", "scale=2", "strategy=project"],
    ["method=recognizer", "auxiliary=segmentation"],
]


@pytest.mark.parametrize("words", SETUPS, ids=lambda words: " ".join(words))
def test_no_operation_of_training_lacks_a_fixed_order_on_cuda(
    tmp_path: Path, words: list[str]
) -> None:
    sized = [word for word in tiny_runs.PHANTOM if not word.startswith("backbone.")]
    run = tiny_runs.make(tmp_path, *sized, "trainer.batch_size=2", *words)
    artefacts: dict[str, Any] = {}
    for stage in run.method.stage().lineage():
        loader = Loader(run.images(), "train", stage.batches, CPU)
        training = stage.begin(Start(artefacts, loader.steps_per_epoch, CPU))
        with Dispatched() as dispatched:
            training.update(loader.batch(0, 0), probe=True)
        assert "convolution_backward" in dispatched.names
        assert dispatched.in_any_order() == []
        artefacts[stage.id] = training.artefact()


def test_what_would_be_noticed() -> None:
    """Torch's own functions, which the networks and losses had before."""
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    truth = torch.randint(3, (2, 8, 8))
    with Dispatched() as dispatched:
        larger = F.interpolate(F.pad(images, (0, 0, 0, 0), mode="replicate"), scale_factor=2)
        F.cross_entropy(F.interpolate(larger, (8, 8), mode="bilinear"), truth).backward()
    assert dispatched.in_any_order() == [
        *("nll_loss2d_backward", "nll_loss2d_forward"),
        *("replication_pad2d_backward", "upsample_bilinear2d_backward"),
    ]


# what stands in for them


def gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """The value and the gradient of a sum that weighs each element differently."""
    at = at.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    value = function(at)
    weights = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).view(value.shape)
    (value * weights).sum().backward()
    assert at.grad is not None
    return value.detach(), at.grad


def assert_alike(
    ours: Callable[[Tensor], Tensor], torchs: Callable[[Tensor], Tensor], at: Tensor
) -> None:
    for mine, theirs in zip(gradient(ours, at), gradient(torchs, at), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("unlabelled", [0.0, 0.4])
def test_the_loss_of_pixels_is_the_cross_entropy(unlabelled: float) -> None:
    torch.manual_seed(0)
    logits = 30 * torch.randn(3, 4, 7, 5, dtype=torch.float64)  # some probabilities are 0
    truth = torch.randint(4, (3, 7, 5))
    truth[torch.rand(3, 7, 5) < unlabelled] = UNLABELLED
    assert_alike(
        lambda logits: task_by_name("segmentation").supervised_loss(logits, truth),
        lambda logits: F.cross_entropy(logits, truth, ignore_index=UNLABELLED),
        logits,
    )


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 2, 1, 5), (2, 1, 7, 1)])
def test_doubled_is_bilinear(shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, dtype=torch.float64)
    torchs = dict(scale_factor=2, mode="bilinear", align_corners=False)
    assert_alike(doubled, lambda x: F.interpolate(x, **torchs), images)  # type: ignore[arg-type]


def test_doubled_keeps_the_layout_of_memory() -> None:
    images = torch.rand(2, 3, 4, 6)
    last = images.to(memory_format=torch.channels_last)
    assert doubled(last).is_contiguous(memory_format=torch.channels_last)
    assert doubled(images).is_contiguous()
    assert torch.equal(doubled(last), doubled(images))


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (1, 6)])
def test_repeated_is_padding_by_repetition(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    padding = (0, -size[1] % 4, 0, -size[0] % 4)
    assert_alike(lambda x: repeated(x, 4), lambda x: F.pad(x, padding, mode="replicate"), images)
    assert torch.equal(repeated(images, 4), F.pad(images, padding, mode="replicate"))


def test_gradients_through_a_blur_and_a_down_sampling() -> None:
    images = torch.rand(2, 3, 12, 8, dtype=torch.float64)
    blur, smaller = Blur(kernel=7, sigma=1.5), Downsample(scale=2)
    weights = torch.tensor(blur._weights(), dtype=torch.float64)
    kernel = torch.outer(weights, weights).expand(3, 1, 7, 7)

    def blurred(x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (3,) * 4, mode="reflect"), kernel, groups=3)

    assert_alike(lambda x: blur.operator(x, {}), blurred, images)
    assert_alike(
        lambda x: smaller.operator(x, {}),
        lambda x: F.interpolate(x, (6, 4), mode="bicubic", antialias=True),
        images,
    )
    with Dispatched() as dispatched:
        for degradation in (blur, smaller):
            gradient(lambda x, made=degradation: made.operator(x, {}), images)
    assert dispatched.in_any_order() == []


# the memory layout


class Elsewhere(torch.nn.Sequential):
    """Stands for a network on another device."""

    def __init__(self, device: str) -> None:
        super().__init__(torch.nn.Conv2d(1, 8, 3))
        self.device = device

    def parameters(self, recurse: bool = True) -> Any:
        """One, on that device."""
        return iter([type("Parameter", (), {"device": torch.device(self.device)})()])


@pytest.mark.parametrize(
    ("device", "kind", "last"),
    [("cuda", "float32", False), ("cuda", "tf32", True), ("cuda", "bf16", True)]
    + [("mps", "float32", False)],
)
def test_the_layout_follows_precision_and_device(device: str, kind: str, last: bool) -> None:
    network = Elsewhere(device)
    assert precision.is_channels_last(network, Trainer(precision=kind)) is last
    for asked in (True, False):
        options = Trainer(precision=kind, channels_last=str(asked))
        assert precision.is_channels_last(network, options) is asked


@pytest.mark.parametrize(("profile", "last"), [("demo", True), ("bench", False)])
def test_the_layout_on_a_cpu_is_that_of_the_profiles_networks(
    tmp_path: Path, profile: str, last: bool
) -> None:
    run = tiny_runs.make(tmp_path, f"profile={profile}", "auxiliary=multitask", "pretrained=false")
    networks = run.method.build_networks().values()
    assert len(networks) == 3
    options = run.config.trainer
    assert {precision.is_channels_last(network, options) for network in networks} == {last}


def test_a_layout_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="trainer.channels_last=last is not allowed; choose from"):
        coupled_steps.config("trainer.channels_last=last")
