"""Optimizers are torch's own, schedules are their formulas, and a run loads no compiler."""

import copy
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support import cli_process
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from gradprom.errors import ConfigError
from gradprom.training.optimization import Optimizer, OptimizerOptions

STEPS = 12
SKIPPED = 5
LR = 1e-2
KINDS: dict[str, dict[str, Any]] = {
    "adam": {"betas": [0.8, 0.99]},
    "adam with decay": {"name": "adam", "weight_decay": 0.1},
    "adamw": {"betas": [0.9, 0.95], "weight_decay": 0.1},
    "sgd": {"momentum": 0.7},
    "sgd without momentum": {"name": "sgd", "momentum": 0.0, "weight_decay": 0.1},
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "onecycle": {},
    "cosine": {"warmup": 0.25},
    "milestones": {"milestones": [0.3, 0.75], "factor": 0.5},
}


def options(kind: str, schedule: str, **more: Any) -> OptimizerOptions:
    return OptimizerOptions(
        **{"name": kind, "lr": LR, "schedule": schedule, **KINDS[kind], **SCHEDULES[schedule]},
        **more,
    )


def parameters(kind: torch.dtype = torch.float32) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(3)
    return [torch.randn(n, generator=drawn).to(kind).requires_grad_() for n in (7, 64)]


def gradients(step: int, skipped: int = SKIPPED) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(100 + step)
    found = [torch.randn(n, generator=drawn) for n in (7, 64)]
    return [torch.full_like(g, torch.nan) for g in found] if step == skipped else found


def take(optimizer: Optimizer, number: int, skipped: int = SKIPPED) -> None:
    for parameter, gradient in zip(optimizer.parameters, gradients(number, skipped), strict=True):
        parameter.grad = gradient.to(parameter.dtype)
    optimizer.step(torch.tensor(number != skipped))


class Plain:
    """torch's own Adam, with the step of `SKIPPED` left out by hand."""

    def __init__(self, schedule: str):
        self.parameters = parameters()
        self.adam = torch.optim.Adam(self.parameters, lr=LR, fused=True)
        self.schedule: LambdaLR | OneCycleLR = LambdaLR(self.adam, lambda step: 1.0)
        if schedule == "onecycle":
            self.schedule = OneCycleLR(
                self.adam, max_lr=LR, total_steps=STEPS + 1, cycle_momentum=False
            )

    def step(self, number: int) -> None:
        for parameter, gradient in zip(self.parameters, gradients(number), strict=True):
            parameter.grad = gradient
        if number != SKIPPED:
            self.adam.step()
        self.schedule.step()


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
def test_it_is_adam_of_torch_bit_for_bit(schedule: str) -> None:
    chosen = OptimizerOptions(lr=LR, schedule=schedule)
    plain, ours = Plain(schedule), Optimizer(parameters(), chosen, STEPS)
    for number in range(STEPS):
        plain.step(number)
        take(ours, number)
        assert all(map(torch.equal, ours.parameters, plain.parameters)), number
        assert all(parameter.grad is None for parameter in ours.parameters)
        if number == STEPS // 2:  # each goes on from what the other has kept
            kept = {"optimizer": plain.adam.state_dict(), "schedule": plain.schedule.state_dict()}
            plain.adam.load_state_dict(ours.state_dict()["optimizer"])
            plain.schedule.load_state_dict(ours.state_dict()["schedule"])
            ours = Optimizer(ours.parameters, chosen, STEPS)
            ours.load_state_dict(kept)


# every kind on every schedule, by hand


def rate(schedule: str, step: int) -> float:
    """The learning rate of a step, counted from 0, by the formulas."""
    if schedule == "constant":
        return LR
    if schedule == "milestones":
        return LR * (1.0 if step < 4 else 0.5 if step < 9 else 0.25)  # 0.3 · 12 and 0.75 · 12
    if schedule == "cosine":  # a rise over 3 steps to the peak, then half a cosine over 9
        return LR * ((step + 1) / 4 if step < 3 else math.cos(math.pi * (step - 3) / 18) ** 2)
    # Smith and Topin (2017) as torch has it: a rise over 30 %, from a 25th, to a 250000th
    peak = 0.3 * (STEPS + 1) - 1
    low, high, share = (
        (LR / 25, LR, step / peak)
        if step <= peak
        else (LR / 25e4, LR, 1 - (step - peak) / (STEPS - peak))
    )
    return low + (high - low) * (1 - math.cos(math.pi * share)) / 2


def by_hand(kind: str, schedule: str, parameters: list[Tensor], skipped: int) -> list[list[Tensor]]:
    """The parameters after each step, by the algorithms as they are published, in float64."""
    chosen = {"momentum": 0.9, "weight_decay": 0.0, "betas": [0.9, 0.999], **KINDS[kind]}
    decay, (b1, b2) = chosen["weight_decay"], chosen["betas"]
    name, count, after = chosen.get("name", kind), 0, []
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    for number in range(STEPS):
        lr = rate(schedule, number)
        count += number != skipped
        for p, m, v, g in zip(parameters, first, second, gradients(number, -1), strict=True):
            if number == skipped:
                continue
            g = g.double() + (decay * p if name != "adamw" else 0)
            if name == "sgd":
                m.copy_(chosen["momentum"] * m + g)
                p -= lr * m
                continue
            if name == "adamw":
                p -= lr * decay * p
            m.copy_(b1 * m + (1 - b1) * g)
            v.copy_(b2 * v + (1 - b2) * g * g)
            p -= lr * m / (1 - b1**count) / ((v / (1 - b2**count)).sqrt() + 1e-8)
        after.append([p.clone() for p in parameters])
    return after


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("skipped", [SKIPPED, 0])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_on_every_schedule(kind: str, schedule: str, skipped: int) -> None:
    """Against formulas in float64; a step that is not finite counts for the schedule alone."""
    ours = Optimizer(parameters(torch.float64), options(kind, schedule), STEPS)
    start = [p.detach().clone() for p in parameters(torch.float64)]
    for number, expected in enumerate(by_hand(kind, schedule, start, skipped)):
        assert ours.optimizer.param_groups[0]["lr"] == pytest.approx(rate(schedule, number))
        take(ours, number, skipped)
        for parameter, value in zip(ours.parameters, expected, strict=True):
            torch.testing.assert_close(parameter.detach(), value, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_kept_in_the_middle_and_taken_up_again(kind: str, schedule: str) -> None:
    chosen = options(kind, schedule, clip=0.5)
    whole, first = (Optimizer(parameters(), chosen, STEPS) for _ in range(2))
    for number in range(STEPS):
        take(whole, number)
    for number in range(7):
        take(first, number)
    second = Optimizer(
        [p.detach().clone().requires_grad_() for p in first.parameters], chosen, STEPS
    )
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for number in range(7, STEPS):
        take(second, number)
    assert all(map(torch.equal, second.parameters, whole.parameters))


def test_a_held_schedule_follows_when_it_is_told() -> None:
    """The rate stays where it is in memory: a captured step reads it there."""
    ours = Optimizer(parameters(), options("adam", "milestones"), STEPS)
    place, first = ours.rate.data_ptr(), ours.rate.item()
    ours.holds_schedule = True
    for number in range(4):
        take(ours, number)
    assert ours.steps == 4 and ours.rate.item() == first == LR
    for _ in range(4):
        ours.advance()
    assert ours.rate.item() == ours.optimizer.param_groups[0]["lr"] == LR / 2
    assert ours.rate.data_ptr() == place


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_loaded_where_they_are(kind: str) -> None:
    """Also those from before the first step."""
    ours = Optimizer(parameters(), options(kind, "cosine"), STEPS)
    states = [copy.deepcopy(ours.state_dict())]
    for number in range(3):
        take(ours, number)
        states.append(copy.deepcopy(ours.state_dict()))
    places = [value.data_ptr() for value in moments(ours)]
    assert places or kind == "sgd without momentum"
    for number in (2, 0):
        ours.load_state_dict(copy.deepcopy(states[number]))
        assert [value.data_ptr() for value in moments(ours)] == places
        assert ours.rate.item() == ours.optimizer.param_groups[0]["lr"]
        other = Optimizer(
            [p.detach().clone().requires_grad_() for p in ours.parameters],
            ours.options,
            STEPS,
        )
        other.load_state_dict(copy.deepcopy(states[number]))
        take(ours, number)
        take(other, number)
        assert all(map(torch.equal, ours.parameters, other.parameters))
        assert all(map(torch.equal, moments(ours), moments(other)))


def moments(optimizer: Optimizer) -> list[Tensor]:
    return [
        value
        for kept in optimizer.optimizer.state.values()
        for value in kept.values()
        if isinstance(value, Tensor)
    ]


def test_one_cycle_leaves_the_first_beta_as_it_is() -> None:
    ours = Optimizer(parameters(), options("adam", "onecycle"), STEPS)
    for number in range(STEPS):
        take(ours, number)
        assert ours.optimizer.param_groups[0]["betas"] == (0.8, 0.99)


@pytest.mark.parametrize(("clip", "factor"), [(0.5, None), (1e3, 1.0), (0.0, 1.0)])
def test_gradients_are_clipped_together(clip: float, factor: float | None) -> None:
    """One SGD step of rate 1 without momentum shows the gradient itself."""
    chosen = OptimizerOptions(name="sgd", lr=1.0, momentum=0.0, clip=clip)
    ours = Optimizer(parameters(torch.float64), chosen, STEPS)
    before = [p.detach().clone() for p in ours.parameters]
    rows = [g.double() for g in gradients(0)]
    norm = math.sqrt(sum(float(g.square().sum()) for g in rows))
    share = clip / norm if factor is None else factor
    take(ours, 0)
    for parameter, old, gradient in zip(ours.parameters, before, rows, strict=True):
        # torch adds 1e-6 to the norm
        torch.testing.assert_close(old - parameter.detach(), share * gradient, rtol=1e-5, atol=0)


def test_a_stage_that_was_stored_when_there_was_adam_alone_goes_on() -> None:
    chosen = options("adam", "constant")
    whole, first, second = (Optimizer(parameters(), chosen, STEPS) for _ in range(3))
    for number in range(3):
        take(whole, number)
    for number in range(2):
        take(first, number)
    kept = copy.deepcopy(first.state_dict())
    second.load_state_dict({"adam": kept["optimizer"], "schedule": kept["schedule"]})
    for parameter, value in zip(second.parameters, first.parameters, strict=True):
        parameter.data.copy_(value)
    take(second, 2)
    assert all(map(torch.equal, second.parameters, whole.parameters))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "lion"}, "optimizer.name.*adam.*adamw.*sgd"),
    ({"schedule": "step"}, "optimizer.schedule.*cosine"),
    ({"lr": 0.0}, "optimizer.lr"),
    ({"betas": [0.9]}, "optimizer.betas"),
    ({"betas": [0.9, 1.0]}, "optimizer.betas"),
    ({"momentum": 1.0}, "optimizer.momentum=1.0"),
    ({"warmup": -0.1}, "optimizer.warmup=-0.1"),
    ({"average": 1.0}, "optimizer.average=1.0"),
    ({"clip": -1.0}, "optimizer.clip"),
    ({"weight_decay": -1.0}, "optimizer.weight_decay"),
    ({"milestones": [0.5, 0.2]}, "optimizer.milestones"),
    ({"milestones": [1.0]}, "optimizer.milestones"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_options_that_make_no_sense(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OptimizerOptions(**wrong)


def test_a_run_imports_no_compiler(tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv[0] = 'run.py'\n"
        f"runpy.run_path({str(cli_process.ROOT / 'run.py')!r}, run_name='__main__')\n"
        "print(*sys.modules)"
    )
    words = [*cli_process.TINY, f"results={tmp_path}"]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.splitlines()[-1].split()
    assert "gradprom.training.engine" in modules
    assert not {"torch._dynamo", "torch._inductor", "optuna"} & set(modules)
