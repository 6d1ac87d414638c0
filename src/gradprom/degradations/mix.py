"""Several degradations, one after the other (Table III)."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradprom.degradations import labels
from gradprom.degradations.base import Degradation, start_of
from gradprom.degradations.blur import Blur
from gradprom.degradations.downsample import Downsample, enlarge
from gradprom.degradations.gaussian import Gaussian
from gradprom.degradations.poisson import Poisson
from gradprom.errors import ConfigError
from gradprom.identity import added

if TYPE_CHECKING:
    import torch
    from torch import Tensor

OWN_FIELDS: dict[str, type] = {
    "blur": Blur,
    "downsample": Downsample,
    "poisson": Poisson,
    "gaussian": Gaussian,
}
"""Parts whose options are a field of the mix; those of all others are in `parts`."""


@dataclass
class Mix:
    """Several degradations, each applied to the result of the one before (Section 4.4, A-5).

    A part that is not in `order` is None or left out, and therefore not part of an id.
    """

    name: str = "mix"
    """Which degradation this is."""
    order: list[str] = field(default_factory=lambda: ["blur", "poisson", "gaussian"])
    """The parts that are applied, first to last: names of degradations, each once."""
    blur: Blur | None = added(None)
    downsample: Downsample | None = added(None)
    poisson: Poisson | None = added(None)
    gaussian: Gaussian | None = added(None)
    parts: dict[str, Any] | None = added(None)
    """Options of the other parts by name, such as `{completion: {drop: 0.2}}`; a part that is
    missing here has its defaults."""

    def __post_init__(self) -> None:
        order = f"order=[{','.join(self.order)}]"
        if not self.order:
            raise ValueError(f"{order}: allowed are one or more degradations, such as blur")
        if "mix" in self.order:
            raise ValueError(f"{order}: allowed are all degradations but a mix")
        if len(set(self.order)) < len(self.order):
            raise ValueError(f"{order}: each part may occur only once")
        for part, options in OWN_FIELDS.items():
            used = part in self.order
            setattr(self, part, (getattr(self, part) or options()) if used else None)
        others = [part for part in self.order if part not in OWN_FIELDS]
        options_of = self.parts or {}
        for part in {**options_of, **dict.fromkeys(others)}:
            _require_known(part, "parts" if part in options_of else order)
        self.parts = {part: _typed(part, options_of.get(part, {})) for part in others} or None

    @property
    def scale(self) -> int:
        """The product of the parts' scales."""
        return math.prod(part.scale for _, part in self._parts())

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The draws of the parts, as `part.key`, each for the shape of its input."""
        drawn: dict[str, Tensor] = {}
        for name, part in self._parts():
            draws = part.draw(ids, shape, generator)
            drawn |= {f"{name}.{key}": value for key, value in draws.items()}
            shape = part.output_shape(shape)
        return drawn

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Every part in turn; [B, C, H, W] -> `output_shape`."""
        for name, part in self._parts():
            batch = part.apply(batch, _of(name, parameters))
        return batch

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """A_n … A_1 x, the product of the parts' linear parts."""
        for name, part in self._parts():
            batch = part.operator(batch, _of(name, parameters))
        return batch

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """A_1ᵀ … A_nᵀ y."""
        shapes = list(self._seen(shape))
        for name, part, part_shape in reversed(shapes):
            batch = part.adjoint(batch, _of(name, parameters), part_shape)
        return batch

    def start(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """The parts' own first estimates, from the last part to the first."""
        for name, part, part_shape in reversed(list(self._seen(shape))):
            batch = start_of(part, batch, _of(name, parameters), part_shape)
            batch = enlarge(batch, part_shape[-2:])
        return batch

    def prepare(
        self, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> dict[str, Tensor]:
        """The draw with what the parts prepare, on the device of the draw."""
        prepared = dict(parameters)
        for name, part, part_shape in self._seen(shape):
            prepare = getattr(part, "prepare", None)
            if prepare is not None:
                of_part = prepare(_of(name, parameters), part_shape)
                prepared |= {f"{name}.{key}": value for key, value in of_part.items()}
        device = next((drawn.device for drawn in parameters.values()), None)
        return {key: value.to(device) for key, value in prepared.items()}

    def noise_level(self, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
        """The parts' levels combined as independent noise: √(σ_1² + … + σ_n²), [B].

        The effect of a later part, such as a blur, on earlier noise is not included.
        """
        import torch

        levels = [p.noise_level(_of(n, parameters), batch_size) for n, p in self._parts()]
        device = next((drawn.device for drawn in parameters.values()), levels[0].device)
        return functools.reduce(torch.hypot, [level.to(device) for level in levels])

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape after the last part."""
        for _, part in self._parts():
            shape = part.output_shape(shape)
        return shape

    def _seen(self, shape: tuple[int, ...]) -> Iterator[tuple[str, Degradation, tuple[int, ...]]]:
        """The parts, each with the shape of its input."""
        for name, part in self._parts():
            yield name, part, shape
            shape = part.output_shape(shape)

    def _parts(self) -> list[tuple[str, Degradation]]:
        parts: dict[str, Any] = {**vars(self), **(self.parts or {})}
        return [(name, parts[name]) for name in self.order]


Options = Mix


def _require_known(part: str, where: str) -> None:
    """ValueError unless a degradation has that name."""
    from gradprom.config.components import component

    try:
        component("degradation", part)
    except ConfigError as error:
        raise ValueError(f"{where}: {error}") from error


def _typed(part: str, options: Any) -> Any:
    """A part's options, type-checked by its own file; ConfigError if they are not allowed."""
    from omegaconf import OmegaConf

    from gradprom.config.components import component, typed

    schema = component("degradation", part).Options
    if isinstance(options, schema):
        return options
    if not isinstance(options, Mapping):
        raise ValueError(f"parts.{part}={options}: allowed are its options, such as {{key: value}}")
    return typed("degradation", schema, OmegaConf.create({**options, "name": part}))


def _of(name: str, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A part's own parameters, under its own keys."""
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in parameters.items() if k.startswith(prefix)}


def label(options: Mapping[str, Any]) -> str:
    """Such as `blur 3×3 σ=2 + Poisson 0.1 + σ=0.3`, or `mix of σ=0.3`."""
    text = " + ".join(labels.label(part) for part in _options_of_parts(options))
    return f"mix of {text}" if len(options["order"]) == 1 else text


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """After all single degradations: shorter mixes first, then by the kinds, then by values."""
    keys = [labels.sort_key(part) for part in _options_of_parts(options)]
    values = [value for key in keys for value in key[1:]]
    return labels.UNKNOWN + len(keys), *(key[0] for key in keys), *values


def _options_of_parts(options: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    further = options.get("parts") or {}
    return [options.get(part) or further[part] for part in options["order"]]
