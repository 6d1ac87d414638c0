"""Backward from the losses to where their graphs meet, and to the parameters outside θ."""

from collections.abc import Sequence

from torch import Tensor
from torch.autograd import grad
from torch.autograd.graph import Node, get_gradient_edge

from gradprom.strategies.flat import Flat, Gradients


def back_from_losses(
    losses: Sequence[Tensor], theta: Flat, features: Tensor | None, learns: bool
) -> tuple[list[Gradients], dict[Tensor, Tensor]]:
    """One backward per loss: its gradients at the features (or over θ), and the sum over φ.

    A graph that no later loss needs is freed at once: the recognizer's before the enhancer's pass.
    """
    meeting = theta.parameters if features is None else [features]
    graphs = [_walk(loss, theta, features) for loss in losses]
    at_meeting: list[Gradients] = []
    phi: dict[Tensor, Tensor] = {}
    for k, (loss, (nodes, leaves)) in enumerate(zip(losses, graphs, strict=True)):
        learning = leaves if learns or k == 0 else []
        needed_later = any(nodes & later for later, _ in graphs[k + 1 :])
        gradients: Gradients = [None] * len(meeting)
        if loss.requires_grad:
            inputs = [*meeting, *learning]
            gradients = grad(loss, inputs, retain_graph=needed_later, allow_unused=True)
        at_meeting.append(gradients[: len(meeting)])
        for leaf, gradient in zip(learning, gradients[len(meeting) :], strict=True):
            if gradient is not None:
                phi[leaf] = phi[leaf] + gradient if leaf in phi else gradient
    return at_meeting, phi


def _walk(loss: Tensor, theta: Flat, features: Tensor | None) -> tuple[set[Node], list[Tensor]]:
    """A loss's graph up to the features: its inner nodes, and its leaves apart from θ."""
    if features is not None and features.grad_fn is None:
        raise ValueError(
            "features must be computed from shared in the losses' graph, got a leaf tensor"
        )
    stop = None if features is None else features.grad_fn
    pending: list[Node | None] = [get_gradient_edge(loss).node] if loss.requires_grad else []
    nodes: set[Node] = set()
    leaves: dict[Tensor, None] = {}
    shared = set(theta.parameters)
    while pending:
        node = pending.pop()
        if node is None or node is stop or node in nodes:
            continue
        if node.name() == "torch::autograd::AccumulateGrad":
            leaves[node.variable] = None  # type: ignore[attr-defined]
        else:
            nodes.add(node)
            pending.extend(before for before, _ in node.next_functions)
    if features is not None and shared & leaves.keys():
        raise ValueError(
            "features must lie on all paths from the losses to shared, got a path around it"
        )
    return nodes, [leaf for leaf in leaves if leaf not in shared]
