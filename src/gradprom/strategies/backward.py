"""The backward pass of every strategy: all losses' gradients from one forward pass."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import grad

from gradprom.strategies.base import LossStrategy, Strategy
from gradprom.strategies.decision import Decision
from gradprom.strategies.flat import (
    Flat,
    FlatGradient,
    Gradients,
    add_to_grad,
    flat_decision_params,
    flat_theta,
)
from gradprom.strategies.graph import back_from_losses

Reduce = Callable[[Tensor], Tensor]


@torch.no_grad()
def backward(
    losses: Sequence[Tensor],
    shared: Iterable[Tensor] | Iterable[Iterable[Tensor]],
    strategy: Strategy,
    features: Tensor | None = None,
    decision_params: Iterable[Tensor] | None = None,
    reduce: Reduce | None = None,
    measure: bool = False,
) -> Decision:
    """Replaces `loss.backward()`: adds the strategy's gradients to `.grad` (Section 3.2).

    θ (`shared`) gets Σ w_k ∇θ L_k with the strategy's weights w. Every other leaf that a loss
    depends on (φ, the recognizer's parameters) gets that loss's own gradient, never scaled by λ
    (Eq. 6), or nothing of an auxiliary loss if the strategy does not let it learn. A closed gate
    leaves no trace: with weights (1, 0, …) θ gets ∇θ L_0 bit for bit, even if ∇θ L_k is NaN.

    Never waits for the device. The graphs are used up, as `loss.backward()` leaves them.

    Parameters
    ----------
    losses
        K scalar tensors of one forward pass, the main loss first. One that does not depend on θ,
        or requires no gradient, counts as a zero gradient.
    shared
        θ, a flat list or one list for each layer (see `layers`); those of its parameters that do
        not require gradients are left out.
    strategy
        Weights the losses' gradients; its own state, if it has one, advances by a step.
    features
        The enhanced image, or whatever output of the network of θ all losses share: a non-leaf
        tensor on all paths from the losses to θ. With it, each loss is differentiated to it once,
        and from there through the enhancer once if the strategy compares; otherwise one pass
        through the enhancer serves all losses. Parameters before it that are not in `shared` get
        no gradient. Without it, each loss is differentiated all the way to θ.
    decision_params
        The part of θ whose gradients decide (the last layers, say); None: all of θ.
    reduce
        Takes gradients stacked as [rows, parameters] and returns them averaged over the
        data-parallel ranks. Called on θ's before the decision, so that all ranks decide alike,
        on φ's, and on the losses, [K, 1], of a strategy that weighs by them. All ranks must build
        the same graph.
    measure
        Compute the inner products for the log even if the strategy does not compare; and if it
        compares by `decision_params`, also what all of θ would decide. The training gradient
        does not change in any bit.

    Returns
    -------
    Decision
        The weights and the inner products they are based on, tensors on the device.

    Raises
    ------
    ValueError
        Before any `.grad` has changed, if `shared`, `decision_params` or `features` is not as
        described or if the strategy cannot weigh K losses.
    """
    theta = flat_theta(shared, strategy.granularity)
    deciding = theta
    if decision_params is not None:
        deciding = flat_decision_params(decision_params, theta, strategy.granularity)
    values = None
    if isinstance(strategy, LossStrategy):
        values = torch.stack([loss.detach() for loss in losses])
        values = values if reduce is None else reduce(values.unsqueeze(-1)).squeeze(-1)
    step = _Step(strategy, theta, deciding, reduce, measure, values)
    used_losses = losses if strategy.has_auxiliary or measure else losses[:1]
    gradients, phi = back_from_losses(used_losses, theta, features, strategy.learns)
    gradients += [[None] * len(gradients[0])] * (len(losses) - len(used_losses))
    if features is None:
        row, decision = _without_features(step, gradients)
    else:
        row, decision = _through_features(step, features, [row[0] for row in gradients])
    phi = _average_phi(phi, reduce)
    theta.add_to_grad(row, every=reduce is not None)
    for leaf in list(phi):
        add_to_grad(leaf, phi.pop(leaf))
    return decision


@dataclass(frozen=True)
class _Step:
    """What the decision needs, with features and without."""

    strategy: Strategy
    theta: Flat
    deciding: Flat
    reduce: Reduce | None
    measure: bool
    values: Tensor | None
    """[K], the losses averaged over the ranks, for a strategy that weighs by them."""

    @property
    def takes_products(self) -> bool:
        return self.strategy.compares or self.measure

    @property
    def also_overall(self) -> bool:
        """Whether the decision of all of θ is measured in addition to the one that is used."""
        return self.measure and self.strategy.compares and self.deciding is not self.theta

    def averaged(self, rows: list[FlatGradient], onto: Flat) -> list[FlatGradient]:
        """The rows, averaged over the ranks."""
        return rows if self.reduce is None else onto.averaged(rows, self.reduce)

    def decision(self, rows: list[FlatGradient], onto: Flat, count: int) -> Decision:
        """The weights of `count` losses, by their gradients over `onto`, θ or a part of it."""
        deciding_rows = rows
        if onto is not self.deciding:
            every = [onto.gradients(row) for row in rows]
            deciding_rows = [
                self.deciding.row([g[p] for p in self.deciding.parameters]) for g in every
            ]
        gram = _inner_products(deciding_rows, self.deciding) if self.takes_products else None
        if self.strategy.compares and gram is not None:
            visible_gram = gram
        else:
            # measurements must not reach the weights: NaN exposes a strategy that reads them
            kind, place = _accumulator(self.theta.dtype), self.theta.parameters[0].device
            visible_gram = torch.full((count, count), math.nan, dtype=kind, device=place)
        overall = self._overall(rows) if self.also_overall else None
        return Decision(self._weights(visible_gram), gram, self.strategy.lam, overall)

    def _weights(self, gram: Tensor) -> Tensor:
        if isinstance(self.strategy, LossStrategy):
            return self.strategy.weights(gram, self.values)
        return self.strategy.weights(gram)

    def _overall(self, rows: list[FlatGradient]) -> Decision:
        """What the gradients over all of θ would decide, by a copy of the strategy."""
        gram = _inner_products(rows, self.theta)
        return Decision(copy.deepcopy(self.strategy).weights(gram), gram, self.strategy.lam)


def _without_features(step: _Step, gradients: list[Gradients]) -> tuple[FlatGradient, Decision]:
    """θ's gradient from each loss's gradients over θ."""
    rows = step.averaged([step.theta.row(row) for row in gradients], step.theta)
    decision = step.decision(rows, step.theta, len(rows))
    return _weighted_by_layer(rows, decision.weights, step.theta), decision


def _through_features(
    step: _Step, features: Tensor, cotangents: Gradients
) -> tuple[FlatGradient, Decision]:
    """θ's gradient from each loss's gradient at the features.

    The weights come first and then one pass, unless the comparison has computed all gradients
    over θ anyway.
    """
    rows_serve = step.strategy.compares and step.deciding is step.theta
    onto = step.theta if step.also_overall else step.deciding
    rows: list[FlatGradient] = []
    if step.takes_products:
        rows = step.averaged(_pulled_back(features, cotangents, onto, keep=not rows_serve), onto)
    decision = step.decision(rows, onto, len(cotangents))
    if rows_serve:
        return _weighted_by_layer(rows, decision.weights, step.theta), decision
    filled = [torch.zeros_like(features) if c is None else c for c in cotangents]
    merged = _weighted(filled, decision.weights)
    rows = _pulled_back(features, [merged], step.theta, keep=False)
    return step.averaged(rows, step.theta)[0], decision


def _pulled_back(
    features: Tensor, cotangents: Gradients, onto: Flat, keep: bool
) -> list[FlatGradient]:
    """One vector-Jacobian product through the enhancer for each cotangent; None gives zeros.

    The last one frees the enhancer's graph unless `keep`.
    """
    last = max((k for k, c in enumerate(cotangents) if c is not None), default=-1)

    def pulled(k: int, cotangent: Tensor | None) -> Gradients:
        if cotangent is None:
            return [None] * len(onto.parameters)
        retain = keep or k < last
        return grad(features, onto.parameters, cotangent, retain_graph=retain, allow_unused=True)

    return [onto.row(pulled(k, cotangent)) for k, cotangent in enumerate(cotangents)]


def _accumulator(dtype: torch.dtype) -> torch.dtype:
    """The dtype of sums of inner products: at least float32."""
    return torch.promote_types(dtype, torch.float32)


def _inner_products(rows: list[FlatGradient], onto: Flat) -> Tensor:
    """Inner products [K, K], or [layers, K, K] for several layers.

    By products and sums rather than matmul, which may round its factors to TF32.
    """
    size = range(len(rows))
    pairs = [(i, j) for i in size for j in size if i <= j]

    def products() -> Iterator[Iterator[Tensor]]:
        for piece in zip(*rows, strict=True):
            wide = [part.to(_accumulator(part.dtype)) for part in piece]
            yield (wide[i] * wide[j] for i, j in pairs)

    sums = onto.sums(products())
    places = [pairs.index((min(i, j), max(i, j))) for i in size for j in size]
    gram = torch.stack([sums[:, place] for place in places], -1).unflatten(-1, (len(rows), -1))
    return gram[0] if onto.layers == 1 else gram


def _weighted_by_layer(rows: list[FlatGradient], weights: Tensor, onto: Flat) -> FlatGradient:
    """The weighted sum of rows, with weights [K] or [layers, K]; empties the rows."""
    if weights.dim() == 1:
        # a popped piece is freed, and its memory can be reused by the sum
        return [_weighted([row.pop(0) for row in rows], weights) for _ in [*rows[0]]]
    blocks = [onto.in_blocks(row) for row in rows]
    for row in rows:
        row.clear()
    return [
        _weighted([row.pop(0) for row in blocks], own).flatten() for own in onto.by_piece(weights)
    ]


def _weighted(vectors: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Σ w_k v_k with weights [K], or [blocks, 1, K] for vectors in blocks.

    A weight of zero selects instead of multiplying: 0·inf would be NaN, and adding even a zero
    would turn the main gradient's -0 into 0. A weight of one changes no bit.
    """
    main, *auxiliary = zip(vectors, weights.unbind(-1), (weights != 0).unbind(-1), strict=True)
    total = torch.where(main[2], main[0] * main[1], 0.0)
    for vector, weight, joins in auxiliary:
        total = torch.where(joins, total + vector * weight, total)
    return total


def _average_phi(phi: dict[Tensor, Tensor], reduce: Reduce | None) -> dict[Tensor, Tensor]:
    """The recognizer's gradients, averaged over the ranks in one call."""
    if reduce is None or not phi:
        return phi
    flat = Flat([list(phi)])
    return flat.gradients(flat.averaged([flat.row(list(phi.values()))], reduce)[0])
