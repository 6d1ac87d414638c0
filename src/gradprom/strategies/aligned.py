"""Aligned-MTL (Senushkin et al., "Independent Component Alignment", CVPR 2023, Algorithm 1,
arXiv 2305.19000)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, precision, two_scaled


@dataclass(kw_only=True)
class Aligned(Strategy):
    """θ gets the sum of two orthogonal gradients of equal length that stand in for (g_0, λ g_1).

    They are the principal components of the gradients, shrunk to the smaller one: with a small λ,
    or gradients that are nearly parallel, the step is short.
    """

    two_losses: ClassVar[bool] = True

    name: str = "aligned"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0; scales the auxiliary gradient before the comparison."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)

    def weights(self, gram: Tensor) -> Tensor:
        """B(1, 1)ᵀ times (1, λ), B = √μ G^(-1/2), μ the smaller eigenvalue of v's Gram matrix G.

        Of parallel gradients, or where one is zero, B is the projection on their line. The main
        loss's weight lies in [-√2, √2]; for a small λ it is of the order λ‖g_1‖/‖g_0‖, as is the
        step beside g_0.

        Raises
        ------
        ValueError
            Unless K = 2, the only case whose eigenvalues need no solver.
        """
        main, both, auxiliary, factors = two_scaled(self.name, gram, self.lam)
        trace = main + auxiliary
        # of unit size, because products of squares may leave float32's range
        size = torch.where(trace > 0, trace, 1.0)
        main, both, auxiliary = main / size, both / size, auxiliary / size
        determinant = main * auxiliary - both.square()
        parallel = determinant <= precision(gram) * main * auxiliary
        root = determinant.clamp(min=0).sqrt()
        spread = torch.hypot(main - auxiliary, 2 * both)
        # G^(-1/2) is (cofactors of G + √det)/√(det (tr + 2√det)), and μ = 2 det/(tr + spread)
        scale = (2 / ((1 + spread) * (1 + 2 * root))).sqrt()
        free = scale.unsqueeze(-1) * torch.stack([auxiliary - both + root, main - both + root], -1)
        on_line = torch.stack([main + both, auxiliary + both], -1)
        balanced = torch.where(parallel.unsqueeze(-1), on_line, free)
        return torch.where((trace > 0).unsqueeze(-1), balanced, 1.0) * factors


Options = Aligned
