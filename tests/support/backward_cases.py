"""Pairs of small networks in float64, with a full backward pass for each loss as oracle."""

import copy
import dataclasses

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gradprom.strategies import (
    MGDA,
    PCD,
    CAGrad,
    Frozen,
    GradProm,
    Joint,
    Mainstream,
    PCGrad,
    Project,
    RandomGate,
    Uncertainty,
    backward,
    layers,
)

LAM = 0.3
EVERY = [
    Mainstream(),
    Joint(lam=LAM),
    Frozen(lam=LAM),
    GradProm(lam=LAM),
    GradProm(lam=LAM, gate="cosine"),
    GradProm(lam=LAM, granularity="layer"),
    Project(lam=LAM),
    PCGrad(lam=LAM),
    MGDA(lam=LAM),
    RandomGate(lam=LAM),
    PCD(),
    CAGrad(lam=LAM),
    Uncertainty(lam=LAM),
]
every_strategy = pytest.mark.parametrize(
    "strategy", EVERY, ids=lambda s: f"{s.name}-{getattr(s, 'gate', '')}-{s.granularity}"
)


class Enhancer(nn.Module):
    """Convolutions with BatchNorm and a global skip."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        body: list[nn.Module] = []
        for i in range(depth):
            body += [nn.Conv2d(width if i else 1, width, 3, padding=1), nn.BatchNorm2d(width)]
            body += [nn.ReLU()]
        self.body = nn.Sequential(*body, nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Recognizer(nn.Module):
    """A trunk and one head for each auxiliary task."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Softplus(), nn.Flatten()
        )
        self.heads = nn.ModuleList(nn.Linear(64, 3) for _ in range(tasks))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = self.trunk(x)
        return [head(features) for head in self.heads]


@dataclasses.dataclass
class Case:
    """A random pair of networks with data; `signs` turn auxiliary losses to force conflicts."""

    seed: int = 0
    depth: int = 2
    width: int = 4
    batch: int = 3
    tasks: int = 1

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        self.enhancer = Enhancer(self.depth, self.width).double()
        self.recognizer = Recognizer(self.tasks).double()
        self.clean = torch.rand(self.batch, 1, 8, 8, dtype=torch.float64)
        self.noisy = self.clean + 0.2 * torch.randn_like(self.clean)
        self.labels = torch.randint(3, (self.batch,))
        self.signs = [1.0] * self.tasks

    @property
    def theta(self) -> list[Tensor]:
        return list(self.enhancer.parameters())

    @property
    def phi(self) -> list[Tensor]:
        return list(self.recognizer.parameters())

    def losses(self) -> tuple[list[Tensor], Tensor]:
        enhanced = self.enhancer(self.noisy)
        main = nn.functional.mse_loss(enhanced, self.clean)
        outputs = self.recognizer(enhanced)
        auxiliary = [
            sign * nn.functional.cross_entropy(output, (self.labels + task) % 3)
            for task, (sign, output) in enumerate(zip(self.signs, outputs, strict=True))
        ]
        return [main, *auxiliary], enhanced

    def oracle(self) -> tuple[Tensor, list[Tensor]]:
        """Gradients over θ [K, P] and, summed, over φ: a forward and backward for each loss."""
        rows, phi = [], [torch.zeros_like(p) for p in self.phi]
        for k in range(1 + self.tasks):
            alone = copy.deepcopy(self)
            alone.losses()[0][k].backward()
            rows.append(flat(alone.theta))
            for total, p in zip(phi, alone.phi, strict=True):
                total += 0 if p.grad is None else p.grad
        return torch.stack(rows), phi

    def part(self, rows: Tensor, of: nn.Module) -> Tensor:
        """The columns of gradients over θ [K, P] that belong to a part of the enhancer."""
        sizes = [p.numel() for p in self.theta]
        own = set(of.parameters())
        pieces = zip(self.theta, rows.split(sizes, dim=1), strict=True)
        return torch.cat([piece for p, piece in pieces if p in own], dim=1)

    def turn(self, is_open: bool) -> None:
        """Signs the auxiliary losses so that all agree with the main one, or none does."""
        rows, _ = self.oracle()
        for task in range(self.tasks):
            agrees = float(rows[0] @ rows[1 + task]) >= 0
            self.signs[task] *= 1.0 if agrees == is_open else -1.0

    def run(self, strategy, with_features: bool = True, **others):
        """One step from cleared gradients: θ's gradient [P], and the decision."""
        self.enhancer.zero_grad()
        self.recognizer.zero_grad()
        losses, enhanced = self.losses()
        shared = self.theta
        if strategy.granularity == "layer":
            shared = layers(self.enhancer)
        where = enhanced if with_features else None
        decision = backward(losses, shared, dataclasses.replace(strategy), features=where, **others)
        return flat(self.theta), decision


def flat(parameters: list[Tensor]) -> Tensor:
    return torch.cat([p.grad.flatten() for p in parameters])


def same_bits(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.view(torch.int64), other.view(torch.int64))


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


cases = st.builds(
    Case,
    seed=st.integers(0, 10**6),
    depth=st.integers(1, 3),
    width=st.integers(1, 6),
    batch=st.integers(1, 4),
    tasks=st.integers(1, 2),
)
random_cases = settings(max_examples=15, deadline=None, derandomize=True)
with_and_without_features = pytest.mark.parametrize("with_features", [True, False])
