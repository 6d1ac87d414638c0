"""Two ranks with half a batch each train what one trains with the whole, and decide as one.

Ranks are processes on the CPU that meet through gloo.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from support import cli_process, coupled_steps, tiny_runs
from torch import Tensor, nn

from gradprom import strategies
from gradprom.config import Config
from gradprom.data.base import UNLABELLED
from gradprom.data.batches import Batches
from gradprom.data.loader import Batch, Loader
from gradprom.methods import recognition
from gradprom.training.parallel import distributed
from gradprom.training.stage import Start

CPU = torch.device("cpu")
SETUPS = [
    ("strategy=joint", "auxiliary=multitask"),
    ("strategy=frozen", "auxiliary=multitask"),
    ("strategy=gradprom", "auxiliary=multitask"),
    ("strategy=gradprom", "auxiliary=multitask", "supervision=unsupervised"),
    ("strategy=gradprom", "strategy.gate=cosine", "auxiliary=segmentation"),
    ("strategy=gradprom", "strategy.granularity=layer"),
    ("strategy=mainstream",),
    ("method=recognizer", "auxiliary=segmentation", "auxiliary.lr=0.01"),
]
STATISTICS = ("eval", "train")
"""What BatchNorm goes by: its running statistics, or those of the batch."""


# a few steps in float64


def share_of(batch: Batch) -> Batch:
    """This rank's images of a batch; all of them where it is alone."""
    size = coupled_steps.COUNT // distributed.ranks()
    mine = slice(distributed.rank() * size, (distributed.rank() + 1) * size)
    assert batch.mask is not None and batch.label is not None
    annotations = {"mask": batch.mask[mine], "label": batch.label[mine]}
    return Batch(batch.ids[mine], batch.input[mine], batch.target[mine], annotations)


def unevenly_labelled(number: int) -> Batch:
    """The first half of the images has most of the labels."""
    batch = coupled_steps.batch(number)
    label, mask = batch.label.clone(), batch.mask.clone()  # type: ignore[union-attr]
    label[2 + number % 2 :] = mask[3] = mask[2, :5] = UNLABELLED
    return replace(batch, annotations={"label": label, "mask": mask})


def begin(made: Config, statistics: str) -> Any:
    if made.method.name == "recognizer":
        torch.manual_seed(0)
        made = replace(made, facts=replace(made.facts, channels=1))  # as the batches have it
        training: Any = recognition.RecognizerTraining(
            made, made.auxiliary.tasks[0], epochs=4, start=Start({}, 2, CPU)
        )
    else:
        training = coupled_steps.training(replace(made, strategy=copy.deepcopy(made.strategy)))
    networks = [network.double() for network in training.networks.networks.values()]
    for module in (module for network in networks for module in network.modules()):
        if isinstance(module, nn.BatchNorm2d) and statistics == "eval":
            module.eval()
    return training


def steps(made: Config, statistics: str) -> dict[str, Any]:
    training = begin(made, statistics)
    logs = [training.update(share_of(unevenly_labelled(n)), probe=True) for n in range(4)]
    rows = {key: [float(log[key]) for log in logs] for key in logs[0]}
    return {"state": training.state_dict(), "logs": distributed.average_rows(rows)}


def opposed() -> tuple[Tensor, Tensor, Tensor]:
    """θ's gradient, the gate and the cosine, for ranks whose own cosines are 1 and -1."""
    theta = torch.ones(2, dtype=torch.float64, requires_grad=True)
    auxiliary = [1.0, -3.0][distributed.rank()]
    losses = [theta[0] * 2 + theta[1], (theta[0] * 2 + theta[1]) * auxiliary]
    reduce = distributed.average if distributed.ranks() > 1 else None
    decision = strategies.backward(losses, [theta], strategies.GradProm(lam=0.5), reduce=reduce)
    assert theta.grad is not None
    return theta.grad, decision.gate, decision.cosine


def with_nan(made: Config) -> dict[str, Any]:
    """An image of the last rank alone is not finite."""
    training = begin(made, "train")
    training.update(share_of(unevenly_labelled(0)), probe=False)
    before = coupled_steps.optimizer_state(training)
    batch = unevenly_labelled(1)
    batch.target[-1, 0, 0, 0] = math.nan
    logs = training.update(share_of(batch), probe=False)
    changed = not coupled_steps.equal(before, coupled_steps.optimizer_state(training))
    return {"finite": bool(logs["finite"]), "changed": changed, "state": training.state_dict()}


def all_of_it(configs: list[Config]) -> dict[str, Any]:
    found = [steps(made, statistics) for made in configs for statistics in STATISTICS]
    return {"steps": found, "opposed": opposed(), "nan": with_nan(configs[0])}


def on_ranks(folder: Path, job: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What two ranks return of a job that they do together."""
    processes = [
        cli_process.PROCESSES.Process(target=_rank, args=(folder, rank, job, arguments))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def _rank(folder: Path, rank: int, job: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    with distributed.group(dist.FileStore(str(folder / "store"), 2), rank, 2, CPU):
        torch.save(job(*arguments), folder / f"{rank}.pt")


def _meet_often(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), 2)
    for number in range(10):
        with distributed.group(dist.PrefixStore(str(number), store), rank, 2, CPU):
            for _ in range(20):
                weights = torch.ones(1000, requires_grad=True)
                distributed.average(2 * weights).sum().backward()


def test_groups_end_as_often_as_they_begin(tmp_path: Path) -> None:
    """Each stage has a group of its own; in torch 2.6 one in a few did not come to its end."""
    processes = [
        cli_process.PROCESSES.Process(target=_meet_often, args=(tmp_path, rank))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
        ended = process.exitcode
        process.kill()
        assert ended == 0


@pytest.fixture(scope="module")
def configs() -> list[Config]:
    return [coupled_steps.config(*words) for words in SETUPS]


@pytest.fixture(scope="module")
def both(configs: list[Config], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return on_ranks(tmp_path_factory.mktemp("ranks"), all_of_it, configs)


def tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state
    return [t for part in parts if isinstance(part, dict | list | Tensor) for t in tensors(part)]


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("words", SETUPS, ids=" ".join)
def test_two_ranks_with_half_a_batch_are_one_with_a_whole(
    words: tuple[str, ...], statistics: str, configs: list[Config], both: list[Any]
) -> None:
    """Weights, Adam's moments, BatchNorm's statistics, and what is logged."""
    index = len(STATISTICS) * SETUPS.index(words) + STATISTICS.index(statistics)
    first, second = (each["steps"][index] for each in both)
    alone = steps(configs[SETUPS.index(words)], statistics)
    ours, theirs, single = (tensors(each["state"]) for each in (first, second, alone))
    assert len(single) > 10 and coupled_steps.equal(ours, theirs), "the ranks differ in a bit"
    for value, expected in zip(ours, single, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)
    assert first["logs"] == second["logs"]
    for key, row in alone["logs"].items():
        # accuracies are float32
        assert first["logs"][key] == pytest.approx(row, rel=1e-6, nan_ok=True), key


def test_ranks_that_would_differ_decide_as_one(both: list[Any]) -> None:
    [(gradient, gate, cosine), other] = (each["opposed"] for each in both)
    assert all(map(torch.equal, (gradient, gate, cosine), other))
    # (2, 1)·1 and (2, 1)·(-3) average to (2, 1)·(-1); λ would have added -½ (2, 1)
    assert gradient.tolist() == [2, 1] and gate.tolist() == [0]
    assert float(cosine) == pytest.approx(-1)
    assert float(opposed()[1]) == 1  # rank 0 alone


def test_what_is_not_finite_on_one_rank_changes_none(both: list[Any]) -> None:
    for each in both:
        assert not each["nan"]["finite"] and not each["nan"]["changed"]
    assert coupled_steps.equal(*(tensors(each["nan"]["state"]["optimizers"]) for each in both))


# shares of a batch


@pytest.mark.parametrize(
    "words",
    [
        ("degradation=gaussian",),
        ("degradation=mix",),
        ("degradation=mix", "degradation.order=[blur,downsample,poisson,gaussian]", "scale=2"),
    ],
    ids=" ".join,
)
def test_the_shares_together_are_the_batch(words: tuple[str, ...], tmp_path: Path) -> None:
    run = tiny_runs.make(tmp_path, *tiny_runs.PHANTOM, *words)

    def batches(part: int, parts: int) -> list[Batch]:
        chosen = Batches(8, run.config.degradation, annotations=("label", "mask"))
        loader = Loader(run.images(), "train", chosen, CPU, part, parts)
        return [loader.batch(3, step) for step in range(3)]

    for whole, *shares in zip(batches(0, 1), *(batches(part, 4) for part in range(4)), strict=True):
        assert [id for share in shares for id in share.ids] == whole.ids
        for name in ("input", "target", "mask", "label"):
            parts = [getattr(share, name) for share in shares]
            assert len(parts[0]) == 2 and torch.equal(torch.cat(parts), getattr(whole, name)), name
