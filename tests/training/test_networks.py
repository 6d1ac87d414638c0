"""Networks under training: each step against torch's own optimizers, without what is fused."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from gradprom.config import Trainer
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions

CPU = torch.device("cpu")
STEPS = {"painter": 10, "critic": 6}
OPTIONS = {
    "painter": OptimizerOptions(
        name="adamw", lr=0.02, betas=[0.8, 0.99], weight_decay=0.1, clip=0.3, schedule="onecycle",
        average=0.75,
    ),
    "critic": OptimizerOptions(name="sgd", lr=0.05, momentum=0.6, schedule="cosine", warmup=0.5),
}  # fmt: skip


def modules(seed: int = 0) -> dict[str, nn.Module]:
    """Two networks that learn, one with BatchNorm, and one that does not learn."""
    torch.manual_seed(seed)
    made = {
        # a bias before BatchNorm would have a gradient of nothing but rounding
        "painter": nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 3)),
        "critic": nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)),
        "judge": nn.Linear(3, 2),
    }
    return {name: network.double() for name, network in made.items()}


def networks(seed: int = 0, options: dict[str, OptimizerOptions] = OPTIONS) -> Networks:
    return Networks(modules(seed), options, Trainer(), CPU, STEPS)


def images(number: int) -> Tensor:
    drawn = torch.Generator().manual_seed(number)
    return torch.randn(8, 3, generator=drawn, dtype=torch.float64)


def losses(made: Any, number: int) -> list[Tensor]:
    """Of the painter, through the critic, and of the critic; their sum is `backward`'s."""
    x = images(number)
    painted = made["painter"](x)
    return [F.mse_loss(painted, x.flip(1)), made["critic"](painted).square().mean()]


def take(made: Networks, number: int) -> tuple[list[Tensor], Tensor]:
    values = losses(made, number)
    sum(values).backward()  # type: ignore[union-attr]
    return made.step(values)


def values_of(networks: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Parameters and statistics, copied."""
    return {
        f"{name}.{key}": value.detach().clone()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }


def memory(made: Networks) -> list[Any]:
    """Moments, counts and schedules, copied."""
    return [copy.deepcopy(optimizer.state_dict()) for optimizer in made.optimizers.values()]


def same(first: Any, second: Any) -> bool:
    """Whether all is equal to the bit, tensors at any depth included."""
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


# the oracle: torch's optimizers, not fused, and its schedules


class Oracle:
    def __init__(self) -> None:
        self.networks = modules()
        theta, phi = (list(self.networks[name].parameters()) for name in OPTIONS)
        self.adamw = torch.optim.AdamW(
            theta, lr=0.02, betas=(0.8, 0.99), weight_decay=0.1, foreach=False, fused=False
        )
        self.sgd = torch.optim.SGD(phi, lr=0.05, momentum=0.6, foreach=False, fused=False)
        cycle = OneCycleLR(self.adamw, 0.02, total_steps=11, cycle_momentum=False)
        self.schedules: list[LRScheduler] = [cycle, LambdaLR(self.sgd, self.cosine)]
        self.average = [p.detach().clone() for p in theta]

    @staticmethod
    def cosine(step: int) -> float:
        """Six steps: a rise over three, then half a cosine over three, then nothing."""
        return (step + 1) / 4 if step < 3 else math.cos(math.pi / 2 * min((step - 3) / 3, 1)) ** 2

    def step(self, number: int, only: str = "") -> None:
        for network in self.networks.values():
            network.zero_grad()
        sum(losses(self.networks, number)).backward()  # type: ignore[union-attr]
        pairs = zip(OPTIONS, (self.adamw, self.sgd), self.schedules, strict=True)
        for name, optimizer, schedule in pairs:
            if only not in ("", name):
                continue
            if name == "painter":
                rows = [p.grad for p in self.networks[name].parameters() if p.grad is not None]
                norm = math.sqrt(sum(float(row.square().sum()) for row in rows))
                for row in rows:
                    row.mul_(min(1.0, 0.3 / (norm + 1e-6)))
            optimizer.step()
            schedule.step()
            if name == "painter":
                for kept, p in zip(self.average, self.networks[name].parameters(), strict=True):
                    kept.copy_(0.75 * kept + 0.25 * p.detach())


def test_every_step_is_that_of_torchs_own_optimizers() -> None:
    made, oracle = networks(), Oracle()
    for number in range(10):
        expected = [float(loss.detach()) for loss in losses(copy.deepcopy(made.networks), number)]
        values, finite = take(made, number)
        oracle.step(number)
        assert bool(finite) and [float(v) for v in values] == pytest.approx(expected)
        assert not any(value.requires_grad for value in values)
        reference = values_of(oracle.networks)
        for key, value in values_of(made.networks).items():
            torch.testing.assert_close(value, reference[key], rtol=1e-9, atol=1e-12)
    moved = values_of(modules())
    assert torch.equal(made["judge"].weight, moved["judge.weight"])
    assert not torch.equal(made["critic"][0].weight, moved["critic.0.weight"])


def test_backward_is_the_gradient_and_a_step_of_all() -> None:
    one, other = networks(), networks()
    for number in range(3):
        value, finite = one.backward(sum(losses(one, number)))  # type: ignore[arg-type]
        told, _ = take(other, number)
        assert bool(finite) and float(value) == pytest.approx(float(sum(told)))
        assert same(values_of(one.networks), values_of(other.networks))


def test_one_learns_while_the_other_rests() -> None:
    """Turn by turn; who rests keeps parameters, moments and its place in the schedule."""
    made, oracle = networks(), Oracle()
    for number, name in enumerate(["critic", "critic", "painter", "critic", "painter"]):
        [other] = set(OPTIONS) - {name}
        rests = values_of({other: made[other]}), copy.deepcopy(made.optimizers[other].state_dict())
        for network in made.networks.values():
            network.zero_grad()
        values = losses(made, number)
        sum(values).backward()  # type: ignore[union-attr]
        made.step(values, [name])
        oracle.step(number, only=name)
        parameters = {f"{other}.{key}" for key, _ in made[other].named_parameters()}
        after = values_of({other: made[other]})
        assert all(torch.equal(after[key], rests[0][key]) for key in parameters)
        assert same(rests[1], made.optimizers[other].state_dict())
    reference = values_of(oracle.networks)
    for key, value in values_of(made.networks).items():
        torch.testing.assert_close(value, reference[key], rtol=1e-9, atol=1e-12)


def test_averaged_weights_are_the_recursion_and_statistics_are_the_last() -> None:
    made, oracle = networks(), Oracle()
    for number in range(8):
        take(made, number)
        oracle.step(number)
    left = made.weights()
    names = [name for name, _ in made["painter"].named_parameters()]
    for name, expected in zip(names, oracle.average, strict=True):
        torch.testing.assert_close(left["painter"][name], expected, rtol=1e-9, atol=1e-12)
        assert not torch.equal(left["painter"][name], made["painter"].state_dict()[name])
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert torch.equal(left["painter"][name], made["painter"].state_dict()[name]), name
    for name in ("critic", "judge"):
        assert same(dict(left[name]), dict(made[name].state_dict()))
    # what is left fits a new network, and is what a training hands on
    modules(seed=1)["painter"].load_state_dict(left["painter"])
    assert same(NetworkTraining(made).artefact(), left)


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("first", [True, False])
def test_an_update_that_is_not_finite_is_skipped(where: str, value: float, first: bool) -> None:
    """One gradient or loss of one network stops all of them; schedules go on."""
    made = networks()
    if not first:
        take(made, 0)
    before, kept = values_of(made.networks), memory(made)
    averages = copy.deepcopy(made.averages)
    values = losses(made, 1)
    sum(values).backward()  # type: ignore[union-attr]
    if where == "loss":
        values[1] = values[1] * value
    else:
        made["critic"][0].weight.grad[0, 0] = value
    _, finite = made.step(values)
    assert not bool(finite)
    parameters = {
        f"{name}.{key}" for name, net in made.networks.items() for key, _ in net.named_parameters()
    }
    after = values_of(made.networks)
    assert all(torch.equal(after[key], before[key]) for key in parameters)
    weights = {key for key, _ in made["painter"].named_parameters()}
    assert all(torch.equal(made.averages["painter"][k], averages["painter"][k]) for k in weights)
    for old, new in zip(kept, memory(made), strict=True):
        assert new["schedule"]["last_epoch"] == old["schedule"]["last_epoch"] + 1
        moments = new["optimizer"]["state"]
        if first:  # there were none yet
            assert not any(bool(v.any()) for row in moments.values() for v in row.values())
        else:
            assert same(moments, old["optimizer"]["state"])
    assert bool(take(made, 2)[1])
    assert not same(values_of(made.networks), after)


@pytest.mark.parametrize("at", [0, 1, 4, 9])
def test_kept_in_the_middle_and_taken_up_again(at: int) -> None:
    """Weights, statistics, moments, schedules and averages, to the bit."""
    whole, first, second = (networks(seed) for seed in (0, 0, 7))
    for number in range(10):
        take(whole, number)
    for number in range(at):
        take(first, number)
    trained = NetworkTraining(second)
    trained.load_state_dict(copy.deepcopy(NetworkTraining(first).state_dict()))
    for number in range(at, 10):
        take(second, number)
    assert same(values_of(second.networks), values_of(whole.networks))
    assert same(memory(second), memory(whole))
    assert same(second.weights(), whole.weights())


def test_one_length_for_all_schedules() -> None:
    made = Networks(modules(), OPTIONS, Trainer(), CPU, 4)
    for number in range(4):
        take(made, number)
    # one step more than are taken, so that the last one still learns
    assert made.optimizers["painter"].optimizer.param_groups[0]["lr"] == pytest.approx(0.02 / 25e4)
    assert made.optimizers["critic"].optimizer.param_groups[0]["lr"] == pytest.approx(0)


def test_what_does_not_learn_has_no_optimizer_and_is_left_as_it_came() -> None:
    made = Networks(modules(), {"critic": OPTIONS["critic"]}, Trainer(), CPU, 5)
    frozen = values_of({"painter": made["painter"], "judge": made["judge"]})
    for parameter in made["painter"].parameters():
        parameter.requires_grad_(False)
    made["painter"].eval()
    for number in range(3):
        made.backward(losses(made, number)[1])
    assert same(values_of({"painter": made["painter"], "judge": made["judge"]}), frozen)
    assert set(made.optimizers) == {"critic"} and not made.averages
    assert set(made.weights()) == {"painter", "critic", "judge"}
