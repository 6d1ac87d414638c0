"""Adam with a schedule, and the skip of updates that are not finite."""

from collections.abc import Iterable
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR


class _Adam(torch.optim.Adam):
    """torch's own, without what wraps its methods for the sake of torch.compile.

    The wrappers import torch's compiler, which takes as long as torch itself, only to be left out
    of what it compiles.
    """

    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    state_dict = unwrap(torch.optim.Adam.state_dict)
    load_state_dict = unwrap(torch.optim.Adam.load_state_dict)
    zero_grad = unwrap(torch.optim.Adam.zero_grad)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))


class Optimizer:
    """Adam over one network's parameters; its learning rate follows a schedule over a stage.

    Parameters
    ----------
    parameters
        What is trained.
    lr
        The learning rate; the peak, for `onecycle`.
    schedule
        `constant` or `onecycle`.
    steps
        Length of the cycle: all steps the network will be trained for.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, schedule: str, steps: int):
        self.parameters = [p for p in parameters if p.requires_grad]
        self.adam = _Adam(self.parameters, lr=lr, fused=True)
        self.schedule: LRScheduler = LambdaLR(self.adam, lambda step: 1.0)
        if schedule == "onecycle" and steps > 0:
            # one step more than are taken, so that the last one still learns
            self.schedule = OneCycleLR(self.adam, max_lr=lr, total_steps=steps + 1)

    def gradients(self) -> list[Tensor]:
        """The gradients that the next step would use."""
        return [p.grad for p in self.parameters if p.grad is not None]

    def step(self, finite: Tensor) -> None:
        """Update the parameters where `finite` (0-dim bool) holds; decided on the device."""
        # the fused kernels skip the update themselves, as they do under a gradient scaler
        self.adam.found_inf = (~finite).float()  # type: ignore[attr-defined]
        self.adam.step()
        self.adam.zero_grad()
        self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """Adam's moments and the schedule's place."""
        return {"adam": self.adam.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`, whatever the memory layout was in which it was made."""
        self.adam.load_state_dict(state["adam"])
        for parameter, moments in self.adam.state.items():
            # the fused kernels go through memory, and take it that all lies as the parameter does
            for name in ("exp_avg", "exp_avg_sq"):
                moments[name] = torch.empty_like(parameter).copy_(moments[name])
        self.schedule.load_state_dict(state["schedule"])


def all_finite(losses: Iterable[Tensor], gradients: list[Tensor]) -> Tensor:
    """Whether every loss and every gradient is finite, as a 0-dim bool on their device."""
    norms = torch._foreach_norm(gradients) if gradients else []
    return torch.stack([*(loss.detach() for loss in losses), *norms]).isfinite().all()
