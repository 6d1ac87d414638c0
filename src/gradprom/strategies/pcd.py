"""PCD: priority-constrained descent ("Not all objectives are born equal", TMLR 2026,
arXiv 2606.29521)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradprom.strategies.base import (
    Strategy,
    check_share,
    check_state,
    precision,
    two_scaled,
    with_main,
)


@dataclass(kw_only=True)
class PCD(Strategy):
    """θ gets g_0, turned towards g_1 as far as the auxiliary loss needs to make some progress.

    With v_i = g_i divided by the root of the moving average of ‖g_i‖²: the vector nearest to v_0
    among those d with ⟨v_1, d⟩ >= τ‖v_1‖², brought to the length of g_0. So the auxiliary gradient
    joins where the gradients conflict, or hardly agree: where GradProm's gate is closed. No λ
    changes the result. The ε of the paper's division is left out, so that no factor of the losses
    does either.
    """

    two_losses: ClassVar[bool] = True
    lam = math.nan

    name: str = "pcd"
    tau: float = 0.02
    """τ in [0, 1]: the progress of the auxiliary loss, as a share of what a step along its own
    gradient would give."""
    beta: float = 0.999
    """Decay of the moving averages per step, in [0, 1)."""

    def __post_init__(self) -> None:
        check_share("tau", self.tau)
        if not 0 <= self.beta < 1:
            raise ValueError(f"beta must be at least 0 and less than 1, got {self.beta}")
        self._squares: Tensor | None = None  # [..., 2], moving averages, both short of 1 - βⁿ

    def weights(self, gram: Tensor) -> Tensor:
        """(1, 0) if m = τ - ⟨v_0, v_1⟩/‖v_1‖² <= 0, else (s_0, m s_1)·‖g_0‖/‖v_0 + m v_1‖ with
        v_i = s_i g_i.

        The main loss's weight falls below 1 as far as the gradients agree and grows above it in
        conflict. Where the gradients oppose each other exactly, the step is -g_0, or 0 if τ = 0:
        progress of the auxiliary loss is a constraint, that of the main one is not. Gradients
        that are not finite leave the averages alone and give (1, 0).

        Raises
        ------
        ValueError
            Unless K = 2.
        """
        main, both, auxiliary, _ = two_scaled(self.name, gram, 1.0)
        squares = torch.stack([main, auxiliary], -1)
        finite = (squares.isfinite().all(-1) & both.isfinite()).unsqueeze(-1)
        average = self._advanced(squares, finite)
        scales = torch.where(average > 0, average.rsqrt(), 0.0)
        # one factor at a time: the square of a scale may leave float32's range
        (v_00, v_11), v_01 = (squares * scales * scales).unbind(-1), both * scales.prod(-1)
        m = torch.where(v_11 > 0, self.tau - v_01 / v_11, 0.0).clamp(min=0)
        square = v_00 + 2 * m * v_01 + m.square() * v_11
        size = (v_00.sqrt() + m * v_11.sqrt()).square()
        length = torch.where(square > precision(gram) * size, (main / square).sqrt(), 0.0)
        turned = torch.stack([scales[..., 0], m * scales[..., 1]], -1) * length.unsqueeze(-1)
        turns = ((m > 0) & (main > 0)).unsqueeze(-1) & finite
        return torch.where(turns, turned, with_main(gram, 0.0))

    def _advanced(self, squares: Tensor, finite: Tensor) -> Tensor:
        """The moving averages after a step, [..., 2].

        Both lack the factor 1/(1 - βⁿ) of an average that began at 0: it cancels in the weights.
        """
        before = torch.zeros_like(squares) if self._squares is None else self._squares
        before = before.to(squares.device)
        after = self.beta * before + (1 - self.beta) * squares
        self._squares = torch.where(finite, after, before)
        return self._squares

    def state_dict(self) -> dict[str, Tensor]:
        """The moving averages of the gradients' squared norms, [..., 2]; empty before a step."""
        return {} if self._squares is None else {"squares": self._squares}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a `state_dict`, on whichever device it was loaded."""
        check_state(self.name, state, ("squares",))
        self._squares = state["squares"].clone() if state else None


Options = PCD
