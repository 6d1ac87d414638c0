"""The losses of restoration priors, and the trainings that learn from them.

P is the network `proximal`, G the network `gradient`; all losses are means over images and pixels,
where the paper has sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gradprom.data.loader import Batch
from gradprom.degradations import Gaussian
from gradprom.solvers import (
    AdamDescent,
    Anderson,
    ForwardBackward,
    GradientDescent,
    Iteration,
    Problem,
    Solution,
    Stopping,
    fixed_point,
)
from gradprom.solvers.iterations import Gradient, Proximal
from gradprom.strategies import Strategy
from gradprom.training.networks import Networks, NetworkTraining


@dataclass
class LossWeights:
    """What losses weigh."""

    link: float = 0.004
    """λ of pnpReG's link loss (Eq. 8)."""
    bound: float = 0.1
    """Of the link loss in L1 and L3 (Eq. 28, 30)."""
    descent: float = 0.1
    """Of the descent's loss in L3 (Eq. 30)."""


@dataclass
class Forward(Stopping):
    """How fixed points are found in training (sections 5.1 and 5.2)."""

    backward_step: float = 0.49
    """η of forward-backward."""
    memory: int = 1
    """Estimates that Anderson acceleration of forward-backward combines; 1: there is none."""
    step: float = 0.05
    """η of gradient descent, whose fixed point is found with Adam's steps of this size."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory < 1:
            raise ValueError(f"memory={self.memory}: allowed are whole numbers >= 1")


@dataclass
class TwoLevels(Gaussian):
    """Noise of a level of each image, and a second level that is independent of it."""

    power: float = 1.0
    """Levels are `sigma`·uᵖ with u uniform, as those of `RandomProblems`; `sigma_low` is 0."""

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """As `Gaussian`, and `other` [B], distributed as `sigma`."""
        drawn = super().draw(ids, shape, generator)
        share = torch.rand(shape[0], generator=generator, device=generator.device)
        levels = {"sigma": drawn["sigma"], "other": self.sigma * share}
        # a factor of 1 where levels are uniform, to the bit
        smaller = {
            key: level * (level / max(self.sigma, 1e-12)) ** (self.power - 1)
            for key, level in levels.items()
        }
        return {**drawn, **smaller}


def link_loss(proximal: Proximal, gradient: Gradient, noisy: Tensor, level: Tensor) -> Tensor:
    """How far σ²·G(P(z)) is from z − P(z) (Eq. 7), for each image, [B].

    Parameters
    ----------
    proximal, gradient
        P and G.
    noisy
        z, [B, C, H, W].
    level
        σ, [B].
    """
    restored = proximal(noisy, level)
    weight = level.square().to(noisy).view(-1, 1, 1, 1)
    return (weight * gradient(restored) - (noisy - restored)).square().mean((1, 2, 3))


class Denoising(NetworkTraining):
    """P learns to remove Gaussian noise of a known level, from absolute errors."""

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step."""
        assert batch.observation is not None
        restored = self.networks["proximal"](batch.input, batch.observation.sigma())
        loss, finite = self.networks.backward(F.l1_loss(restored, batch.target))
        return {"loss_denoising": loss, "finite": finite}


class Linked(NetworkTraining):
    """pnpReG (Eq. 8): P denoises and G is linked to it.

    Steps take turns: in one P gets the level of the noise (δ = 1), in the next another (δ = 0), for
    which only the link loss is meant.
    """

    def __init__(self, networks: Networks, weights: LossWeights):
        super().__init__(networks)
        self.weights = weights
        device = next(networks["proximal"].parameters()).device
        self.denoises = torch.ones((), device=device)
        """δ of the next step."""

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step."""
        proximal, gradient = self.networks["proximal"], self.networks["gradient"]
        assert batch.observation is not None
        level = batch.observation.sigma()
        level = level.where(self.denoises > 0, batch.observation.parameters["other"])
        restored = proximal(batch.input, level)
        weight = level.square().view(-1, 1, 1, 1)
        link = F.mse_loss(weight * gradient(restored), batch.input - restored)
        denoising = self.denoises * F.l1_loss(restored, batch.target)
        loss, finite = self.networks.backward(denoising + self.weights.link * link)
        self.denoises.neg_().add_(1)
        return {"loss_main": loss, "loss_link": link.detach(), "finite": finite}

    def state_dict(self) -> dict[str, Any]:
        """Networks and whose turn it is."""
        return {**super().state_dict(), "denoises": self.denoises}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        super().load_state_dict(state)
        self.denoises.copy_(state["denoises"])


class Equilibrium(NetworkTraining):
    """Learning at fixed points (Algorithm 1), with Jacobian-free gradients (Fung et al. 2022).

    A fixed point is found without gradients; one more application of the iteration has them. Losses
    are, by name: `backward`, the error of forward-backward (Eq. 15); `link`, the link loss where
    its fixed point came from (Eq. 28, 31); `descent`, the error of gradient descent (Eq. 16).
    """

    reads_values = True  # each search ends when its images have converged

    def __init__(
        self,
        networks: Networks,
        forward: Forward,
        weights: LossWeights,
        losses: tuple[str, ...],
        strategy: Strategy | None = None,
    ):
        super().__init__(networks)
        self.forward, self.losses, self.strategy = forward, losses, strategy
        self.weight = {name: _weight(name, losses, weights) for name in losses}

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step of Algorithm 1."""
        assert batch.observation is not None
        observation = batch.observation.prepared()
        problem = Problem(observation, batch.input, observation.sigma())
        losses, logs = self.losses_at_fixed_points(problem, batch.target)
        weighted = {name: self.weight[name] * loss for name, loss in losses.items()}
        if self.strategy is not None:
            return {**logs, **self._joined_step(weighted, self.strategy, probe)}
        loss, finite = self.networks.backward(sum(weighted.values(), torch.zeros(())))
        parts = {f"loss_{name}": value.detach() for name, value in losses.items()}
        return {"loss_main": loss, **parts, **logs, "finite": finite}

    def _joined_step(
        self, weighted: Mapping[str, Tensor], strategy: Strategy, probe: bool
    ) -> dict[str, Tensor]:
        """A strategy joins the losses' gradients over G; the descent's loss is the main one."""
        names = ("descent", "link", "backward")
        losses = [weighted[name] for name in names]
        joined = self.networks.step_by(strategy, losses, "gradient", None, probe)
        # forward-backward knows nothing of G: there is nothing to decide about its loss
        logs = {**joined.logs(["link"]), "loss_backward": joined.losses[2]}
        return {"loss_main": joined.losses[0], **logs, "finite": joined.finite}

    def state_dict(self) -> dict[str, Any]:
        """Networks, and the strategy's state where there is one."""
        if self.strategy is None:
            return super().state_dict()
        return {**super().state_dict(), "strategy": self.strategy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        super().load_state_dict(state)
        if self.strategy is not None:
            self.strategy.load_state_dict(state["strategy"])

    def losses_at_fixed_points(
        self, problem: Problem, clean: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses by name, with Jacobian-free gradients, and what is logged of the searches."""
        losses: dict[str, Tensor] = {}
        logs: dict[str, Tensor] = {}
        if "backward" in self.losses:
            proximal, step = self.networks["proximal"], self.forward.backward_step
            plain = ForwardBackward(problem, proximal, step)
            solution = self._fixed_point(Anderson(plain, self.forward.memory), problem)
            logs |= _logs("backward", solution)
            iteration = ForwardBackward(problem, proximal, step)
            losses["backward"] = F.mse_loss(iteration(solution.estimate), clean)
            if "link" in self.losses:
                origin, gradient = (
                    iteration.forward_step(solution.estimate),
                    self.networks["gradient"],
                )
                losses["link"] = link_loss(proximal, gradient, origin, problem.level).mean()
        if "descent" in self.losses:
            gradient, step = self.networks["gradient"], self.forward.step
            solution = self._fixed_point(AdamDescent(problem, gradient, step), problem)
            logs |= _logs("descent", solution)
            following = GradientDescent(problem, gradient, step)(solution.estimate)
            losses["descent"] = F.mse_loss(following, clean)
        return losses, logs

    def _fixed_point(self, iteration: Iteration, problem: Problem) -> Solution:
        return fixed_point(iteration, problem.start(), self.forward)


def _weight(name: str, losses: tuple[str, ...], weights: LossWeights) -> float:
    """Of a loss among others (Eq. 28–30)."""
    if name == "link":
        return weights.bound
    return weights.descent if name == "descent" and len(losses) > 1 else 1.0


def _logs(name: str, solution: Solution) -> Mapping[str, Tensor]:
    return {
        f"iterations_{name}": solution.iterations.float().mean(),
        f"converged_{name}": solution.converged.float().mean(),
        f"diverged_{name}": solution.diverged.float().mean(),
    }
