"""What a strategy is: from the Gram matrix of the losses' gradients to the losses' weights."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor


class Strategy(ABC):
    """How the gradients of K losses over the enhancer's parameters θ become one.

    A strategy is a dataclass in a file of its own: its fields are its options, `weights` is its
    rule. Index 0 is the main loss, the others are auxiliary losses.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    compares: ClassVar[bool] = True
    """Does `weights` read the Gram matrix? If not, one pass through the enhancer is enough."""
    learns: ClassVar[bool] = True
    """Does the recognizer learn from its own loss (∇φ L_VR, never scaled by λ; Eq. 6)?"""
    has_auxiliary: ClassVar[bool] = True
    """Does it use the auxiliary losses? If not, nothing is computed for them."""
    two_losses: ClassVar[bool] = False
    """Is it defined for one main and one auxiliary loss only?"""

    name: str
    lam: float = 0.0
    """λ of Eq. 1; 0 for a strategy without auxiliary losses, NaN for one that no λ changes."""
    granularity: str = "whole"
    """"whole": one decision for θ; "layer": one for each layer, from its own Gram matrix."""
    gate_on: str = "all"
    """For a training loop: whose gradients decide, "all" of θ or the "last" layer's
    (`decision_params`)."""

    @abstractmethod
    def weights(self, gram: Tensor) -> Tensor:
        """Weights of the losses' gradients over θ.

        Must not wait for the device: no `.item()`, no `if` on a tensor.

        Parameters
        ----------
        gram
            [..., K, K]: inner products of the K gradients, leading dimensions = layers. For a
            strategy with `compares = False` its shape, dtype and device hold but its values are
            NaN.

        Returns
        -------
        Tensor
            [..., K] of the same dtype and device; leading dimensions may be left out where all
            layers get the same.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """The state that a resumed run needs to decide as if it had not stopped; often empty."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a `state_dict`.

        Raises
        ------
        ValueError
            If it comes from another strategy.
        """
        check_state(self.name, state, ())


class LossStrategy(Strategy):
    """A strategy that weighs losses by their values, without comparing gradients."""

    compares: ClassVar[bool] = False

    @abstractmethod
    def weights(self, gram: Tensor, losses: Tensor | None = None) -> Tensor:
        """Weights of the losses' gradients over θ.

        Parameters
        ----------
        gram
            As for every strategy; its values are NaN.
        losses
            [K], the losses' values, detached, on the device of `gram` and averaged over
            data-parallel ranks. Required: `backward` passes them.

        Returns
        -------
        Tensor
            [K], with the dtype and device of `gram`.

        Raises
        ------
        ValueError
            Without losses.
        """


def with_main(gram: Tensor, auxiliary: Tensor | float) -> Tensor:
    """Weights [..., K] for a `gram` [..., K, K]: exactly 1 for the main loss, then `auxiliary`."""
    weights = gram.new_ones(gram.shape[:-1])
    weights[..., 1:] = auxiliary
    return weights


def scaled(gram: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """The Gram matrix [..., K, K] of (g_0, λ g_1, …, λ g_{K-1}), and those factors [K]."""
    factors = gram.new_full(gram.shape[-1:], lam)
    factors[0] = 1.0
    return gram * factors[:, None] * factors, factors


def two_scaled(name: str, gram: Tensor, lam: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inner products of v_0 = g_0 and v_1 = λ g_1, and the factors (1, λ) of their weights.

    Parameters
    ----------
    name
        The strategy that asks, for the error.
    gram
        [..., 2, 2], the Gram matrix of (g_0, g_1).
    lam
        λ of Eq. 1.

    Returns
    -------
    tuple
        ⟨v_0, v_0⟩, ⟨v_0, v_1⟩ and ⟨v_1, v_1⟩, each [...], and the factors [2].

    Raises
    ------
    ValueError
        Unless there are two losses.
    """
    if gram.shape[-1] != 2:
        raise ValueError(f"{name} weighs one main and one auxiliary loss, got {gram.shape[-1]}")
    gram, factors = scaled(gram, lam)
    return gram[..., 0, 0], gram[..., 0, 1], gram[..., 1, 1], factors


def precision(gram: Tensor) -> float:
    """The relative size below which a difference of inner products counts as rounding."""
    return 10 * torch.finfo(gram.dtype).eps


def cosines(gram: Tensor) -> Tensor:
    """Cosines [..., K-1] between the main and each auxiliary gradient; 0 where one is zero."""
    norms = gram.diagonal(dim1=-2, dim2=-1).sqrt()
    scale = norms[..., :1] * norms[..., 1:]
    return torch.where(scale == 0, 0.0, gram[..., 0, 1:] / scale)


def loss_factors(
    name: str, gram: Tensor, lam: float, losses: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The factors (1, λ, …) of the losses, and the losses so scaled; [K] each, of `gram`'s dtype.

    Raises
    ------
    ValueError
        Without losses.
    """
    if losses is None:
        raise ValueError(f"strategy {name} weighs losses by their values and got none")
    factors = gram.new_full(gram.shape[-1:], lam)
    factors[0] = 1.0
    return factors, factors * losses.to(gram.dtype)


def check_lambda(lam: float) -> None:
    """Require a λ that is finite and not negative.

    Raises
    ------
    ValueError
        For any other value.
    """
    if not 0 <= lam < math.inf:
        raise ValueError(f"lam must be a finite number >= 0, got {lam}")


def check_share(field: str, value: float) -> None:
    """Require a value in [0, 1].

    Raises
    ------
    ValueError
        For any other value.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{field} must be between 0 and 1, got {value}")


def check_choice(field: str, value: str, allowed: tuple[str, ...]) -> None:
    """Require one of the allowed values.

    Raises
    ------
    ValueError
        For any other value.
    """
    if value not in allowed:
        raise ValueError(f"{field} must be one of {', '.join(allowed)}, got {value!r}")


def check_state(name: str, state: dict[str, Tensor], keys: tuple[str, ...]) -> None:
    """Require a state that is empty, as before the first step, or has exactly these keys.

    Raises
    ------
    ValueError
        For any other state.
    """
    if state and set(state) != set(keys):
        known = ", ".join(keys) or "no state"
        raise ValueError(f"strategy {name} has {known} to load, got {sorted(state)}")
