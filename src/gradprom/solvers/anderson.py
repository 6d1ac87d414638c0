"""Anderson acceleration of a fixed-point iteration (Anderson 1965; Walker and Ni 2011)."""

import torch
from torch import Tensor

from gradprom.solvers.fixed_point import Iteration

REGULARISATION = 1e-8
"""Added to the normal equations, relative to their diagonal."""


class Anderson:
    """An iteration whose next estimate combines the last ones, so that their residuals cancel.

    Of the last estimates x_i with residuals r_i = f(x_i) − x_i, each image takes Σ α_i·f(x_i),
    where Σ α_i = 1 and ‖Σ α_i·r_i‖ is least.

    Parameters
    ----------
    iteration
        f, without a state of its own: a step depends on the estimate alone.
    memory
        How many estimates are combined; 1 is the plain iteration.
    """

    def __init__(self, iteration: Iteration, memory: int) -> None:
        self.iteration, self.memory = iteration, memory
        self.images: list[Tensor] = []
        self.residuals: list[Tensor] = []

    def __call__(self, estimate: Tensor) -> Tensor:
        """The next estimate, [B, C, H, W]."""
        image = self.iteration(estimate)
        self.images = [*self.images, image][-self.memory :]
        self.residuals = [*self.residuals, image - estimate][-self.memory :]
        shares = self._shares().to(image)
        return torch.einsum("bm,mbchw->bchw", shares, torch.stack(self.images))

    def _shares(self) -> Tensor:
        """α, float64 [B, estimates]."""
        rows = torch.stack([residual.flatten(1) for residual in self.residuals], 1).double()
        gram = rows @ rows.mT
        size = gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-30)
        eye = torch.eye(len(self.residuals), dtype=gram.dtype, device=gram.device)
        regular = gram / size.view(-1, 1, 1) + REGULARISATION * eye
        shares = torch.linalg.solve(regular, torch.ones_like(size)[:, None].expand(-1, len(eye)))
        return shares / shares.sum(1, keepdim=True)

    def select(self, rows: Tensor) -> None:
        """Go on with some images and their past."""
        self.iteration.select(rows)
        self.images = [image[rows] for image in self.images]
        self.residuals = [residual[rows] for residual in self.residuals]
