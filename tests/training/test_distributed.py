"""Several ranks: what they train is what one trains, they decide as one, and none outlives the
others. Ranks are processes on the CPU that meet through gloo."""

import copy
import math
import os
import signal
import subprocess
import time
from collections import Counter
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
from gradprom.config import Config, Trainer
from gradprom.data.base import UNLABELLED
from gradprom.data.batches import Batches
from gradprom.data.loader import Batch, Loader
from gradprom.errors import ConfigError, RunError
from gradprom.methods import recognition
from gradprom.storage.files import read_json
from gradprom.training.parallel import distributed, rendezvous
from gradprom.training.parallel.distributed import RankLost
from gradprom.training.parallel.placement import Place, find_place, take_device
from gradprom.training.parallel.rendezvous import Follower, Leader
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
    before = coupled_steps.memory(training)
    batch = unevenly_labelled(1)
    batch.target[-1, 0, 0, 0] = math.nan
    logs = training.update(share_of(batch), probe=False)
    changed = not coupled_steps.equal(before, coupled_steps.memory(training))
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


# who the ranks are


def slurm(monkeypatch: pytest.MonkeyPatch, **told: str) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in told.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


def test_slurms_tasks_are_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(monkeypatch)
    assert find_place(4) == Place(0, 4, 0, "")
    slurm(monkeypatch, NTASKS="4", PROCID="3", LOCALID="1", JOB_ID="77", STEP_ID="2")
    assert find_place(4) == Place(3, 4, 1, "77.2.0")
    for devices in (1, 2):
        with pytest.raises(RunError, match=f"runs 4 tasks and trainer.devices={devices}; "):
            find_place(devices)
    # a step of one task in an allocation for four
    slurm(monkeypatch, NTASKS="4", STEP_NUM_TASKS="1", PROCID="0", LOCALID="0")
    assert find_place(1) == Place(0, 1, 0, "") and find_place(2) == Place(0, 2, 0, "")


def test_more_devices_than_there_are() -> None:
    with pytest.raises(RunError, match=r"^trainer.devices=512 and this machine has \d+ for "):
        take_device(Place(0, 512, 0, ""), torch.device("cuda"))
    with pytest.raises(RunError, match="this machine has 1 for trainer.device=mps"):
        take_device(Place(0, 2, 0, ""), torch.device("mps"))
    take_device(Place(0, 512, 0, ""), CPU)


def test_devices_that_cannot_share_a_batch(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trainer.devices=3 must divide trainer.batch_size=8"):
        Trainer(devices=3)
    with pytest.raises(ConfigError, match="trainer.devices=0 must be at least 1"):
        Trainer(devices=0)
    with pytest.raises(RunError, match="trainer.devices=2 cannot share a batch of all 5 training"):
        few = ("dataset.train=5", "dataset.test=8", "strategy=mainstream", *tiny_runs.SMALL)
        tiny_runs.train(tmp_path, *few, "trainer.devices=2")


# the ranks' word


class Stopped(Exception):
    pass


def _follows(meeting: Path) -> None:
    torch.set_num_threads(1)
    place = Place(1, 2, 1, "7.0.0")

    def train(stage: str) -> None:
        distributed.average(torch.ones(3))
        if stage == "fails":
            raise ValueError("no memory")
        if stage == "dies":
            os.kill(os.getpid(), signal.SIGKILL)

    found = rendezvous.find_leader(place, meeting, over=lambda: False)
    if found is not None:
        Follower(place, CPU, *found).follow(train)


WORDS = {
    "end": "",
    "fails": "^rank 1 of 2: ValueError: no memory$",
    "dies": "^another rank of this run has ended or is not heard of; the same command goes on ",
}


@pytest.mark.parametrize("last", WORDS)
def test_what_ends_one_rank_ends_the_other(last: str, tmp_path: Path) -> None:
    meeting = tmp_path / "ranks.json"
    follower = cli_process.PROCESSES.Process(target=_follows, args=(meeting,))
    follower.start()

    def start(rank: int, port: int) -> Any:
        raise AssertionError("Slurm has started it")

    leader = Leader(Place(0, 2, 0, "7.0.0"), CPU, meeting, start)
    for _ in range(2):
        with leader.stage("fine"):
            assert distributed.average(torch.zeros(3)).tolist() == [0.5, 0.5, 0.5]
        assert distributed.ranks() == 1
        # what stops a stage on rank 0 stops it on the other, which goes on with the next
        with pytest.raises(Stopped), leader.stage("fine"):
            raise Stopped
    if last != "end":
        with pytest.raises(RunError, match=WORDS[last]) as caught, leader.stage(last):
            for _ in range(2):
                distributed.average(torch.zeros(3))
        assert isinstance(caught.value, RankLost) == (last == "dies")
    leader.end()
    follower.join(60)
    assert follower.exitcode == {"end": 0, "fails": 1, "dies": -signal.SIGKILL}[last]
    assert read_json(meeting) == {"step": "7.0.0", "at": None}


@pytest.mark.parametrize(
    ("command", "how"), [("kill -9 $$", "was killed by signal 9"), ("exit 3", "ended with code 3")]
)
def test_a_rank_that_ends_before_it_has_come(command: str, how: str, tmp_path: Path) -> None:
    def start(rank: int, port: int) -> Any:
        return subprocess.Popen(["sh", "-c", command])

    leader = Leader(Place(0, 3, 0, ""), CPU, tmp_path / "ranks.json", start)
    told = rf"^rank [12] of 3 {how}; the same command goes on from the last checkpoint$"
    with pytest.raises(RankLost, match=told), leader.stage("fine"):
        raise AssertionError("begun without it")
    leader.end()
    assert not list(tmp_path.iterdir())


# whole runs

WORDS_OF_A_RUN = ("strategy=gradprom",)


def start_task(results: Path, rank: int, step: int, *words: str) -> cli_process.Child:
    """`srun -n 2 python run.py …`: one of the two."""
    output = results / f"step-{step}-task-{rank}.txt"
    output.touch()
    told = {"JOB_ID": 1, "STEP_ID": step, "NTASKS": 2, "PROCID": rank, "LOCALID": rank}
    environment = {f"SLURM_{name}": str(value) for name, value in told.items()}
    arguments = (environment, (*words, "trainer.devices=2"), results, output)
    process = cli_process.PROCESSES.Process(target=_task, args=arguments, daemon=True)
    process.start()
    return cli_process.Child(process, output)


def _task(environment: dict[str, str], *arguments: Any) -> None:
    os.environ.update(environment)
    cli_process._main(*arguments, 0.02)


def wait_for(results: Path, stage: str, children: list[cli_process.Child]) -> None:
    """Until the stage has a checkpoint."""
    until = time.monotonic() + 90
    while not (
        (folder := cli_process.stage_folder(results, stage)) and (folder / "checkpoint.pt").exists()
    ):
        assert all(child.alive for child in children), "".join(c.text for c in children)
        assert time.monotonic() < until
        time.sleep(0.01)


def assert_as_on_one_device(results: Path, reference: Path) -> dict[str, Any]:
    [ours], [other] = (list(cli_process.records(f).values()) for f in (results, reference))
    assert ours["status"] == "finished" and ours["id"] == other["id"]
    assert ours["config"]["trainer"]["devices"] == 2
    assert ours["metrics"] == pytest.approx(other["metrics"], rel=1e-4)
    assert set(ours["training"]) == set(other["training"])
    assert not list(results.rglob("ranks.json"))
    return ours


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("one")
    code, text = cli_process.run(results, *WORDS_OF_A_RUN)
    assert code == 0, text
    return results


def test_a_run_begun_on_one_device_goes_on_on_two(reference: Path, tmp_path: Path) -> None:
    alone = cli_process.start(tmp_path, *WORDS_OF_A_RUN, pause=0.2)
    wait_for(tmp_path, "warmup", [alone])
    alone.kill()
    code, text = cli_process.run(tmp_path, *WORDS_OF_A_RUN, "trainer.devices=2")
    assert code == 0, text
    record = assert_as_on_one_device(tmp_path, reference)
    assert record["interruptions"] == 1
    assert cli_process.trained(tmp_path) == cli_process.trained(reference) + Counter(["warmup"])


def test_a_killed_task_of_slurm_ends_the_other_and_the_run_goes_on(
    reference: Path, tmp_path: Path
) -> None:
    for step, killed in enumerate([1, 0]):
        tasks = [start_task(tmp_path, rank, step, *WORDS_OF_A_RUN) for rank in range(2)]
        wait_for(tmp_path, ["recognizer.diagnosis", "coupled"][step], tasks)
        tasks[killed].kill()
        left = tasks[1 - killed]
        assert left.wait(60) == 1
        told = ["rank 1 of 2: rank 0 has ended", rendezvous.GOES_ON][killed]
        assert told in left.text and "Traceback" not in left.text
        [record] = cli_process.records(tmp_path).values()
        assert record["status"] == "started"
    tasks = [start_task(tmp_path, rank, 2, *WORDS_OF_A_RUN) for rank in range(2)]
    assert [task.wait() for task in tasks] == [0, 0], tasks[0].text + tasks[1].text
    # rank 0 alone shows plan and table
    assert "1 run: " in tasks[0].text and "records " in tasks[0].text
    assert "1 run: " not in tasks[1].text and "records " not in tasks[1].text
    assert assert_as_on_one_device(tmp_path, reference)["interruptions"] == 2
