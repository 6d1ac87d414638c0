"""Several degradations, one after the other (Table III)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gradprom.degradations.base import Degradation
from gradprom.degradations.blur import Blur
from gradprom.degradations.downsample import Downsample
from gradprom.degradations.gaussian import Gaussian
from gradprom.degradations.poisson import Poisson
from gradprom.identity import added

PARTS: dict[str, type] = {
    "blur": Blur,
    "downsample": Downsample,
    "poisson": Poisson,
    "gaussian": Gaussian,
}


@dataclass
class Mix:
    """Degradations in a row, each on what the one before it leaves (Section 4.4, A-5).

    A part that is not in `order` is None, and so no part of an id.
    """

    name: str = "mix"
    """Which degradation this is."""
    order: list[str] = field(default_factory=lambda: ["blur", "poisson", "gaussian"])
    """The parts that are applied, first to last: `blur`, `downsample`, `poisson`, `gaussian`."""
    blur: Blur | None = added(None)
    downsample: Downsample | None = added(None)
    poisson: Poisson | None = added(None)
    gaussian: Gaussian | None = added(None)

    def __post_init__(self) -> None:
        told = f"order=[{','.join(self.order)}]"
        if not self.order or any(part not in PARTS for part in self.order):
            raise ValueError(f"{told}: allowed are one or more of {', '.join(PARTS)}")
        if len(set(self.order)) < len(self.order):
            raise ValueError(f"{told}: each part may stand there once")
        for part, options in PARTS.items():
            used = part in self.order
            setattr(self, part, (getattr(self, part) or options()) if used else None)

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The draws of the parts, as `part.key`, each for the shape that it will see."""
        drawn: dict[str, Tensor] = {}
        for name, part in self._parts():
            found = part.draw(ids, shape, generator)
            drawn |= {f"{name}.{key}": value for key, value in found.items()}
            shape = part.output_shape(shape)
        return drawn

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Every part in turn; [B, C, H, W] -> `output_shape`."""
        for name, part in self._parts():
            own = {key.removeprefix(f"{name}."): value for key, value in parameters.items()}
            batch = part.apply(batch, own)
        return batch

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """What the last part leaves."""
        for _, part in self._parts():
            shape = part.output_shape(shape)
        return shape

    def _parts(self) -> list[tuple[str, Degradation]]:
        parts: dict[str, Any] = vars(self)
        return [(name, parts[name]) for name in self.order]
