"""Optimizers with their schedules, and the skip of updates that are not finite."""

import contextlib
import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from gradprom.config.checks import require_choice, require_positive
from gradprom.errors import ConfigError

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
SCHEDULES = ("constant", "onecycle", "cosine", "milestones")


@dataclass
class OptimizerOptions:
    """How one network is optimized; a method's options may hold one for each of its networks."""

    name: str = "adam"
    """`adam`, `adamw` or `sgd`."""
    lr: float = 1e-4
    """The learning rate; the peak of `onecycle` and `cosine`."""
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    """β1 and β2 of Adam and AdamW."""
    momentum: float = 0.9
    """Of SGD, in [0, 1)."""
    weight_decay: float = 0.0
    """L2 penalty of Adam and SGD, decoupled in AdamW."""
    clip: float = 0.0
    """The largest norm of all gradients together; 0: they are not clipped."""
    schedule: str = "constant"
    """`constant`; `onecycle`, one rise and fall over all steps, with β1 constant; `cosine`, after
    a linear rise over `warmup`; `milestones`, multiplied by `factor` at each milestone."""
    warmup: float = 0.0
    """Share of the steps in which `cosine` rises, in [0, 1)."""
    milestones: list[float] = field(default_factory=list)
    """Shares of the steps, rising, in (0, 1)."""
    factor: float = 0.1
    """What the learning rate is multiplied by at a milestone."""
    average: float = 0.0
    """Decay of the averaged weights that the stage stores, in [0, 1); 0: the last weights."""

    def __post_init__(self) -> None:
        require_choice("optimizer.name", self.name, tuple(OPTIMIZERS))
        require_choice("optimizer.schedule", self.schedule, SCHEDULES)
        require_positive("optimizer.lr", self.lr)
        require_positive("optimizer.factor", self.factor)
        shares = {"momentum": self.momentum, "warmup": self.warmup, "average": self.average}
        for key, value in shares.items():
            if not 0 <= value < 1:
                raise ConfigError(f"optimizer.{key}={value} must be at least 0 and less than 1")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"optimizer.betas={self.betas} must be two numbers in [0, 1)")
        if min(self.weight_decay, self.clip) < 0:
            raise ConfigError("optimizer.weight_decay and optimizer.clip must be >= 0")
        rising = sorted(set(self.milestones)) == list(self.milestones)
        if not rising or not all(0 < share < 1 for share in self.milestones):
            raise ConfigError(
                f"optimizer.milestones={self.milestones} must be rising shares between 0 and 1"
            )


class Optimizer:
    """One network's optimizer; its learning rate follows a schedule over the steps of training.

    Parameters
    ----------
    parameters
        The network's parameters; those without gradients are left out.
    options
        The kind of optimizer, learning rate, schedule, …
    steps
        Length of the schedule: the number of steps that the network will be trained for.
    """

    def __init__(self, parameters: Iterable[Tensor], options: OptimizerOptions, steps: int):
        self.parameters = [p for p in parameters if p.requires_grad]
        self.options = options
        self.optimizer = _build(self.parameters, options)
        self.schedule = _schedule(self.optimizer, options, steps)
        self.rate = _rate_of(self.optimizer)
        """The present learning rate as the optimizer's kernels read it."""
        self.holds_schedule = False
        """Whether steps leave schedule and rate as they are, for someone else to `advance` them."""
        self.steps = 0
        """How often `step` has been called."""

    def gradients(self) -> list[Tensor]:
        """The gradients that the next step would use."""
        return [p.grad for p in self.parameters if p.grad is not None]

    def step(self, finite: Tensor) -> None:
        """Update the parameters where `finite` (0-dim bool) holds; decided on the device."""
        if self.options.clip:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.options.clip)
        # the fused kernels skip the update themselves, as with a gradient scaler
        self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        with self._rate_as_tensor():
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1
        if not self.holds_schedule:
            self.advance()

    def advance(self) -> None:
        """Move the schedule on by a step, and the rate with it."""
        self.schedule.step()
        self.rate.fill_(self.optimizer.param_groups[0]["lr"])

    @contextlib.contextmanager
    def _rate_as_tensor(self) -> Iterator[None]:
        """Let the optimizer read `rate`; schedules and states keep the number in full precision."""
        [group] = self.optimizer.param_groups
        number, group["lr"] = group["lr"], self.rate
        try:
            yield
        finally:
            group["lr"] = number

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's moments and the schedule's position."""
        return {"optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a copy of a `state_dict`, whichever memory layout it was made with.

        Moments that there are keep their place in memory, from which a captured step reads them.
        """
        earlier = {parameter: {**kept} for parameter, kept in self.optimizer.state.items()}
        # checkpoints from before there were other optimizers use the key `adam`
        self.optimizer.load_state_dict(
            state["optimizer"] if "optimizer" in state else state["adam"]
        )
        for parameter, moments in self.optimizer.state.items():
            # the fused kernels assume that the moments have the parameter's memory layout
            for name, value in moments.items():
                if isinstance(value, Tensor):
                    alike = parameter if value.shape == parameter.shape else value
                    moments[name] = torch.empty_like(alike).copy_(value)
        for parameter, kept in earlier.items():
            moments = self.optimizer.state[parameter]
            for name, place in kept.items():
                # before the first step there are none, which is as if they were zero
                place.copy_(moments[name]) if name in moments else place.zero_()
                moments[name] = place
        self.schedule.load_state_dict(state["schedule"])
        self.rate.fill_(self.optimizer.param_groups[0]["lr"])


@functools.cache
def _light(kind: type[torch.optim.Optimizer]) -> Any:
    """torch's own class, without the wrappers that exclude its methods from torch.compile.

    The wrappers import torch's compiler, which takes as long as importing torch itself.
    """
    names = ("add_param_group", "state_dict", "load_state_dict", "zero_grad")
    methods = {name: unwrap(getattr(kind, name)) for name in names}
    methods["step"] = torch.no_grad()(unwrap(kind.step))
    # older versions capture no step unless told `capturable`, which fused steps always are
    methods["_cuda_graph_capture_health_check"] = lambda optimizer: None
    return type(kind.__name__, (kind,), methods)


def _build(parameters: list[Tensor], options: OptimizerOptions) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {
        "lr": options.lr,
        "weight_decay": options.weight_decay,
        "fused": True,
    }
    if options.name == "sgd":
        settings["momentum"] = options.momentum
    else:
        settings["betas"] = tuple(options.betas)
    optimizer = _light(OPTIMIZERS[options.name])(parameters, **settings)
    if settings.get("momentum"):
        # the fused kernel makes them without values where its first step is one that it skips
        for parameter in parameters:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _rate_of(optimizer: torch.optim.Optimizer) -> Tensor:
    """A place for the learning rate, 0-dim, where the fused kernels read it.

    CUDA's read float32 on the device, by themselves or in a captured step: so both use the same
    bits. All others read the number on the host, for which float64 changes none.
    """
    [group] = optimizer.param_groups
    device = group["params"][0].device
    if device.type == "cuda":
        return torch.tensor(group["lr"], dtype=torch.float32, device=device)
    return torch.tensor(group["lr"], dtype=torch.float64)


def _schedule(
    optimizer: torch.optim.Optimizer, options: OptimizerOptions, steps: int
) -> LRScheduler:
    if options.schedule == "onecycle" and steps > 0:
        # one step more than are taken, so that the last step's rate is not 0
        return OneCycleLR(optimizer, options.lr, total_steps=steps + 1, cycle_momentum=False)
    return LambdaLR(optimizer, lambda step: rate(options, step, steps))


def bound_to_length(schedule: str) -> str:
    """Why steps of a schedule depend on their number (`Stage.bound_to_length`); empty: not."""
    if schedule == "constant":
        return ""
    return (
        f"with the schedule {schedule} the rate of a step depends on the length of the training; "
        f"choose a constant rate, such as trainer.schedule=constant"
    )


def rate(options: OptimizerOptions, step: int, steps: int) -> float:
    """The learning rate of a step as a share of `options.lr`, in [0, 1].

    Parameters
    ----------
    options
        With the schedule `constant`, `cosine` or `milestones`.
    step
        Counted from 0.
    steps
        Length of the schedule.
    """
    if options.schedule == "milestones":
        return options.factor ** sum(step >= share * steps for share in options.milestones)
    if options.schedule != "cosine":
        return 1.0
    rise = options.warmup * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    return (1 + math.cos(math.pi * min((step - rise) / max(steps - rise, 1), 1))) / 2


def all_finite(losses: Iterable[Tensor], gradients: list[Tensor]) -> Tensor:
    """Whether every loss and every gradient is finite, as a 0-dim bool on their device."""
    norms = torch._foreach_norm(gradients) if gradients else []
    return torch.stack([*(loss.detach() for loss in losses), *norms]).isfinite().all()
