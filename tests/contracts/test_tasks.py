"""What every task and every recognizer network keeps to; new ones are found by themselves."""

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from support import documented, tiny_runs
from torch import Tensor
from torch.nn.functional import one_hot

import gradprom.models.recognizers
import gradprom.tasks
from gradprom.config.components import component, component_names
from gradprom.data.base import UNLABELLED, Facts
from gradprom.data.loader import Batch
from gradprom.errors import ConfigError, NotServed
from gradprom.methods import recognition, task_driven
from gradprom.models.recognizers import (
    build_recognizer,
    of_module,
    recognizer_by_name,
    recognizer_names,
)
from gradprom.runs import evaluation
from gradprom.tasks import Task, task_by_name
from gradprom.training.parallel import distributed

PEOPLE = {"identity": ("one", "two", "three")}
FACTS = Facts(1, ("left", "middle", "right"), ("background", "lesion"), further=PEOPLE)
COUNT, SIZE = 8, 48
SHAPES: dict[str, Callable[[int, tuple[int, int]], tuple[int, ...]]] = {
    "image": lambda classes, size: (COUNT, classes),
    "embedding": lambda classes, size: (COUNT, classes),
    "pixel": lambda classes, size: (COUNT, classes, *size),
}
"""Of the logits, by what a network puts out."""

TASKS = component_names("task")
# the first name of each module: a ResNet-18 stands for the larger ones
NETWORKS = [
    getattr(component("recognizer", name), "NAMES", (name,))[0]
    for name in component_names("recognizer")
]
PAIRS = [
    (task, network)
    for task in TASKS
    for network in NETWORKS
    if of_module(task_by_name(task).output) in recognizer_by_name(network).OUTPUTS
]


def batch(seed: int = 0) -> Batch:
    """Noisy images with a bright square in one third; the third is the label.

    It is brighter from left to right, so that a network need not know the place.
    """
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(COUNT) % 3
    mask = torch.zeros(COUNT, SIZE, SIZE, dtype=torch.int64)
    for number, third in enumerate(label.tolist()):
        mask[number, 8 : 20 + number, 16 * third : 16 * third + 12] = 1
    noise = 0.05 * torch.randn(COUNT, 1, SIZE, SIZE, generator=generator)
    brightness = 0.2 + 0.35 * label[:, None, None, None]
    target = 0.1 + brightness * mask[:, None] + noise
    ids, annotations = (
        [str(number) for number in range(COUNT)],
        {"mask": mask, "label": label, "identity": label},
    )
    return Batch(ids, target, target, annotations)


def network_of(task: Task, backbone: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_recognizer(task.output, backbone, False, 1, len(task.classes(FACTS)))


def logits_of(task: Task, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = SHAPES[task.output](len(task.classes(FACTS)), (SIZE, SIZE))
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()


def partly(truth: Tensor) -> Tensor:
    """The truth without that of the first image and of all but one of the second half."""
    truth = truth.clone()
    truth[0] = truth[COUNT // 2 + 1 :] = UNLABELLED
    return truth


# tasks


@pytest.mark.parametrize(("name", "backbone"), PAIRS)
def test_a_network_learns_the_task(name: str, backbone: str) -> None:
    task, images = task_by_name(name), batch()
    network = network_of(task, backbone).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses: list[float] = []
    while len(losses) < 60 and (not losses or losses[-1] >= 0.7 * losses[0]):
        loss = task.supervised_loss(network(images.input), task.truth(images))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(map(torch.isfinite, torch.tensor(losses)))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", TASKS)
def test_the_unsupervised_loss_is_zero_where_nothing_differs(name: str) -> None:
    task = task_by_name(name)
    logits, other = logits_of(task), logits_of(task).detach().roll(1, 0)
    assert float(task.unsupervised_loss(logits, logits).detach()) == 0
    loss = task.unsupervised_loss(logits, other)
    loss.backward()
    assert 0 < float(loss.detach()) < float("inf")
    assert logits.grad is not None and logits.grad.any()


@pytest.mark.parametrize("name", TASKS)
def test_what_is_unlabelled_is_ignored(name: str) -> None:
    task = task_by_name(name)
    logits, truth = logits_of(task), partly(task.truth(batch()))
    known = (truth != UNLABELLED).reshape(COUNT, -1).any(1)
    loss = task.supervised_loss(logits, truth)
    of_known = task.supervised_loss(logits[known], truth[known])
    torch.testing.assert_close(loss, of_known)
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad[~known].any() and logits.grad[known].any()
    accuracy = task.accuracy(logits.detach(), truth)
    assert float(accuracy) == float(task.accuracy(logits.detach()[known], truth[known]))


@pytest.mark.parametrize("name", TASKS)
def test_nothing_labelled_gives_a_loss_of_zero(name: str) -> None:
    task = task_by_name(name)
    logits, truth = logits_of(task), torch.full_like(task.truth(batch()), UNLABELLED)
    loss = task.supervised_loss(logits, truth)
    loss.backward()
    assert float(loss.detach()) == 0 and logits.grad is not None and not logits.grad.any()
    assert float(task.accuracy(logits.detach(), truth)) == 0


def on_two_ranks(monkeypatch: pytest.MonkeyPatch, work: Callable[[int], Tensor]) -> list[Tensor]:
    """What two threads return that meet in `distributed.average`, as two ranks would."""
    barrier, own = threading.Barrier(2, timeout=20), threading.local()
    values: list[Any] = [None, None]
    results: list[Any] = [None, None]

    def average(value: Tensor) -> Tensor:
        values[own.rank] = value
        barrier.wait()
        mean = (values[0] + values[1]) / 2
        barrier.wait()
        return mean

    def run(rank: int) -> None:
        own.rank = rank
        results[rank] = work(rank)

    monkeypatch.setattr(distributed, "average", average)
    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    return results


@pytest.mark.parametrize("measure", ["supervised_loss", "accuracy"])
@pytest.mark.parametrize("name", TASKS)
def test_the_mean_of_two_ranks_is_that_of_their_whole_batch(
    name: str, measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rank has most of the labels: a mean of the ranks' own means would be another one."""
    task = task_by_name(name)
    function, logits, truth = getattr(task, measure), logits_of(task), task.truth(batch())
    right = one_hot(truth, logits.shape[1]).movedim(-1, 1)
    right[COUNT // 2 :] = 0  # and the better logits
    logits = (logits.detach() + right).requires_grad_()
    truth = partly(truth)
    halves = slice(None, COUNT // 2), slice(COUNT // 2, None)
    parts = on_two_ranks(monkeypatch, lambda n: function(logits[halves[n]], truth[halves[n]]))
    mean, whole = (parts[0] + parts[1]) / 2, function(logits, truth)
    torch.testing.assert_close(mean, whole)
    alone = [function(logits[half], truth[half]) for half in halves]
    assert abs(float((alone[0] + alone[1] - 2 * whole).detach())) > 1e-3
    if measure == "supervised_loss":
        gradients = [torch.autograd.grad(loss, logits)[0] for loss in (mean, whole)]
        torch.testing.assert_close(*gradients)


def metrics_of(columns: dict[str, Tensor]) -> set[str]:
    """Names of the metrics that can be computed from columns of the table of test images."""
    table: dict[str, list[Any]] = {}
    for name, values in columns.items():
        assert len(values) == COUNT and values.ndim in (1, 2)
        table |= evaluation.numbered_columns(name, values)
    return set(evaluation.summarise(pd.DataFrame(table)))


@pytest.mark.parametrize(("name", "backbone"), PAIRS)
def test_scores_have_the_columns_that_the_metrics_need(name: str, backbone: str) -> None:
    task, images = task_by_name(name), batch()
    network = network_of(task, backbone).eval()
    with torch.no_grad():
        columns = task.scores(task.scored(network, images.input), images)
        further = task.clean_scores(network, images)
    assert task.metrics and set(task.metrics) <= metrics_of(columns)
    together = metrics_of(columns | further)
    assert together == metrics_of(columns) | set(task.clean_metrics)


@pytest.mark.parametrize("name", TASKS)
def test_a_dataset_without_the_annotation_is_not_served(name: str) -> None:
    task = task_by_name(name)
    assert task.name == name
    task.require(FACTS, "scans")
    assert task.truth(batch()).max() < len(task.classes(FACTS))
    nothing = Facts(1, (), ())
    assert task.classes(nothing) == ()
    with pytest.raises(NotServed, match=f"{name}.*dataset=scans") as caught:
        task.require(nothing, "scans")
    assert "\n" not in str(caught.value)


# recognizers


@pytest.mark.parametrize("size", [(33, 47), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("backbone", NETWORKS)
def test_logits_have_their_shape_at_any_size(
    backbone: str, channels: int, size: tuple[int, int]
) -> None:
    outputs = recognizer_by_name(backbone).OUTPUTS
    for output in (*outputs, *["embedding"] * ("image" in outputs)):
        network = build_recognizer(output, backbone, False, channels, 5).eval()
        with torch.no_grad():
            logits = network(torch.rand(COUNT, channels, *size))
        assert logits.shape == SHAPES[output](5, size) and logits.isfinite().all()


@pytest.mark.parametrize("name", recognizer_names())
def test_a_name_leads_to_the_options_of_that_name(name: str) -> None:
    assert recognizer_by_name(name).Options(name=name).name == name


def test_no_weights_are_asked_for_where_there_are_none() -> None:
    first, second = (network_of(task_by_name("diagnosis"), "small") for _ in range(2))
    torch.manual_seed(0)
    third = build_recognizer("image", "small", True, 1, 3)
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    assert all(map(torch.equal, first.parameters(), third.parameters()))


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    for lookup, allowed in ((task_by_name, TASKS), (recognizer_by_name, recognizer_names())):
        with pytest.raises(ConfigError) as caught:
            lookup("nosuch")
        assert all(name in str(caught.value) for name in ("nosuch", *allowed))


# one's own, as in the documentation


@pytest.fixture
def documented_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The documentation's task and recognizer are there."""
    documented.plugin(tmp_path)
    packages = {"large": gradprom.tasks, "tiny": gradprom.models.recognizers}
    for package, folder in zip(packages.values(), ("tasks", "recognizers"), strict=True):
        place = str(tmp_path / "gradprom_plugins" / folder)
        monkeypatch.setattr(package, "__path__", [*package.__path__, place])
    importlib.invalidate_caches()
    yield
    for name, package in packages.items():
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)


def test_the_documented_task_and_recognizer_are_trained_and_scored(
    documented_parts: None, tmp_path: Path
) -> None:
    own = ["auxiliary.tasks=[large]", "auxiliary.backbone=tiny", *tiny_runs.PHANTOM]
    record = tiny_runs.train(tmp_path / "results", "supervision=unsupervised", *own)
    assert record.status == "finished" and 0 <= record.metrics["accuracy"] <= 1
    assert "clean_accuracy" not in record.metrics
    with pytest.raises(NotServed, match="large.*dataset=covid_ct"):
        tiny_runs.make(tmp_path / "results", "dataset=covid_ct", *own[:2])
    with pytest.raises(ConfigError, match="backbone=tiny.*resnet18.*small"):
        tiny_runs.make(tmp_path / "results", "auxiliary=segmentation", *own[1:])
    with pytest.raises(
        ConfigError, match="auxiliary.tasks=huge.*diagnosis, identity, large, segmentation"
    ):
        tiny_runs.make(tmp_path / "results", "auxiliary.tasks=[huge]")


def test_annotations_are_asked_for_by_the_methods_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A method without recognizers runs on any dataset, whatever `auxiliary` says."""
    overrides = ["auxiliary=diagnosis", "dataset=camus"]
    with pytest.raises(NotServed, match="diagnosis.*dataset=camus"):
        tiny_runs.make(tmp_path, *overrides)
    monkeypatch.setattr(task_driven, "check", lambda config: None)
    config = tiny_runs.make(tmp_path, *overrides).config
    with pytest.raises(NotServed, match="diagnosis.*dataset=camus"):
        recognition.require_annotations(config)
