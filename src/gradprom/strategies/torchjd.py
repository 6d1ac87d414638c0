"""An adapter for the aggregators of TorchJD (Quinton and Rey, "Jacobian descent for
multi-objective optimization", arXiv 2406.16232); needs `pip install gradprom[torchjd]`."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, check_state, scaled, with_main

_COMPONENTS = "reads the gradients' components, and not only their inner products"
UNSERVED = {
    "Aggregator": "is an interface",
    "WeightedAggregator": "is an interface",
    "GramianWeightedAggregator": "is an interface",
    "GradDrop": _COMPONENTS,
    "TrimmedMean": _COMPONENTS,
    "ExcessMTL": _COMPONENTS,
    "Krum": "drops outliers among many gradients",
    "NashMTL": "keeps what no checkpoint can hold; strategy=bisector has its direction",
}
"""Classes of TorchJD that cannot be a strategy, and why."""


@dataclass(kw_only=True)
class TorchJD(Strategy):
    """θ gets what an aggregator of TorchJD makes of (g_0, λ g_1, …).

    It is computed on the CPU in float64, so every step waits for the device; the other strategies
    do not. The aggregator's random numbers come from `seed`.
    """

    name: str = "torchjd"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0; scales the auxiliary gradients before they are aggregated."""
    aggregator: str = "UPGrad"
    """A class of `torchjd.aggregation`, such as UPGrad, CAGrad, FairGrad, GradVac."""
    arguments: dict[str, Any] | None = None
    """Arguments of the class, such as `{c: 0.5}` of CAGrad or `{alpha: 1.0}` of FairGrad."""
    seed: int = 0
    """Seed of the aggregator's random numbers, >= 0."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
        self._fresh = _built(self.aggregator, self.arguments or {})
        self._layers: list[Any] = []  # each layer's aggregator, with a state of its own
        self._losses = 0
        self._random = torch.Generator().manual_seed(self.seed).get_state()

    def weights(self, gram: Tensor) -> Tensor:
        """The aggregator's weights times (1, λ, …); (1, 0, …) for gradients that are not finite.

        What becomes of the main loss's weight is the aggregator's affair.
        """
        scaled_gram, factors = scaled(gram, self.lam)
        on_host = scaled_gram.double().cpu().reshape(-1, *gram.shape[-2:])
        while len(self._layers) < len(on_host):
            self._layers.append(copy.deepcopy(self._fresh))
        self._losses = gram.shape[-1]
        before = torch.get_rng_state()
        torch.default_generator.set_state(self._random)
        rows = [_weighed(*pair) for pair in zip(self._layers, on_host, strict=True)]
        self._random = torch.get_rng_state()
        torch.default_generator.set_state(before)
        return torch.stack(rows).to(gram).view(gram.shape[:-1]) * factors

    def state_dict(self) -> dict[str, Tensor]:
        """The state of the random numbers, the shape [layers, K] of the last decision, and what
        the aggregators keep, by layer and name; empty before the first step."""
        if not self._layers:
            return {}
        kept = {
            f"{index}.{name}": value
            for index, aggregator in enumerate(self._layers)
            for name, value in aggregator.named_buffers()
        }
        shape = torch.tensor([len(self._layers), self._losses])
        return {"random": self._random, "shape": shape, **kept}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a `state_dict`, on whichever device it was loaded."""
        own = {key for key in state if not key[0].isdigit()}
        check_state(self.name, dict.fromkeys(own, torch.empty(0)), ("random", "shape"))
        self.__post_init__()
        if not state:
            return
        # a new aggregator has no buffers yet, and TorchJD refuses to load what it has none for
        layers, losses = state["shape"].tolist()
        self.weights(torch.eye(losses).expand(layers, -1, -1))
        for index, aggregator in enumerate(self._layers):
            for name, value in aggregator.named_buffers():
                value.copy_(state[f"{index}.{name}"])
        self._random = state["random"].cpu()


def _built(name: str, arguments: dict[str, Any]) -> Any:
    """An aggregator of TorchJD.

    Raises
    ------
    ValueError
        If TorchJD or what the aggregator needs is not installed, for an unknown aggregator or
        argument, and for one whose weights do not follow from inner products.
    """
    try:
        from torchjd import aggregation
    except ImportError as error:
        raise ValueError(
            "strategy torchjd needs TorchJD: pip install 'gradprom[torchjd]'"
        ) from error
    known = [
        key
        for key in aggregation.__all__
        if issubclass(getattr(aggregation, key), aggregation.Aggregator) and key not in UNSERVED
    ]
    if name in UNSERVED:
        raise ValueError(f"aggregator {name} {UNSERVED[name]}")
    if name not in known:
        raise ValueError(f"aggregator must be one of {', '.join(known)}, got {name!r}")
    values = {
        key: torch.tensor(value, dtype=torch.float64) if isinstance(value, list) else value
        for key, value in arguments.items()
    }
    try:
        return getattr(aggregation, name)(**values)
    except (ImportError, TypeError, ValueError) as error:
        raise ValueError(f"aggregator {name}: {error}") from error


def _weighed(aggregator: Any, gram: Tensor) -> Tensor:
    """Weights [K] of an aggregator, from a Gram matrix [K, K] in float64 on the CPU."""
    from torchjd.aggregation import WeightedAggregator

    if not gram.isfinite().all():
        return with_main(gram, 0.0)
    if not hasattr(aggregator, "reset"):  # it keeps nothing of earlier gradients
        # TorchJD takes gradients that are shorter than 0.01 together for zero
        gram = gram / gram.trace().clamp(min=torch.finfo(gram.dtype).tiny)
    if hasattr(aggregator, "gramian_weighting"):
        return aggregator.gramian_weighting(gram)
    # rows with these inner products, in as few dimensions as there are losses
    values, vectors = torch.linalg.eigh(gram)
    rows = vectors * values.clamp(min=0).sqrt()
    if isinstance(aggregator, WeightedAggregator):
        return aggregator.weighting(rows)
    return torch.linalg.pinv(rows.mT) @ aggregator(rows)


Options = TorchJD
