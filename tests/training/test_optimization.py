"""The optimizer is torch's Adam bit for bit, and a run never imports torch's compiler."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import cli_process
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from gradprom.training.optimization import Optimizer

STEPS = 12
SKIPPED = 5


def parameters() -> list[Tensor]:
    drawn = torch.Generator().manual_seed(3)
    return [torch.randn(n, generator=drawn).requires_grad_() for n in (7, 64)]


def gradients(step: int) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(100 + step)
    found = [torch.randn(n, generator=drawn) for n in (7, 64)]
    return [torch.full_like(g, torch.nan) for g in found] if step == SKIPPED else found


class Plain:
    """torch's own Adam, with the step of `SKIPPED` left out by hand."""

    def __init__(self, schedule: str):
        self.parameters = parameters()
        self.adam = torch.optim.Adam(self.parameters, lr=1e-2, fused=True)
        self.schedule: LambdaLR | OneCycleLR = LambdaLR(self.adam, lambda step: 1.0)
        if schedule == "onecycle":
            self.schedule = OneCycleLR(self.adam, max_lr=1e-2, total_steps=STEPS + 1)

    def step(self, number: int) -> None:
        for parameter, gradient in zip(self.parameters, gradients(number), strict=True):
            parameter.grad = gradient
        if number != SKIPPED:
            self.adam.step()
        self.schedule.step()


def take(optimizer: Optimizer, number: int) -> None:
    for parameter, gradient in zip(optimizer.parameters, gradients(number), strict=True):
        parameter.grad = gradient
    optimizer.step(torch.tensor(number != SKIPPED))


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
def test_it_is_adam_of_torch_bit_for_bit(schedule: str) -> None:
    plain, ours = Plain(schedule), Optimizer(parameters(), 1e-2, schedule, STEPS)
    for number in range(STEPS):
        plain.step(number)
        take(ours, number)
        assert all(map(torch.equal, ours.parameters, plain.parameters)), number
        assert all(parameter.grad is None for parameter in ours.parameters)
        if number == STEPS // 2:  # each goes on from what the other has kept
            kept = {"adam": plain.adam.state_dict(), "schedule": plain.schedule.state_dict()}
            plain.adam.load_state_dict(ours.state_dict()["adam"])
            plain.schedule.load_state_dict(ours.state_dict()["schedule"])
            ours = Optimizer(ours.parameters, 1e-2, schedule, STEPS)
            ours.load_state_dict(kept)


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
