"""The networks of one stage, and what every training does to them at each step."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradprom import strategies
from gradprom.config import Trainer
from gradprom.strategies import Decision, Strategy
from gradprom.training import precision
from gradprom.training.optimization import Optimizer, OptimizerOptions, all_finite
from gradprom.training.parallel import distributed

State = dict[str, Any]


@dataclass(frozen=True)
class Joined:
    """What came of a step in which a strategy joined the gradients of several losses."""

    losses: list[Tensor]
    """0-dim, averaged over the ranks."""
    finite: Tensor
    """Whether they and all gradients are finite, a 0-dim bool."""
    decision: Decision
    in_part: bool
    """Whether a part of the network decided, and not all of it."""

    def logs(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Of each auxiliary loss, by its name: `loss_<name>`, `gate_<name>`, and where products
        were taken `cosine_`, `ratio_` (if a λ matters) and, if a part decided, whether it
        `agree_`s with all."""
        logs: dict[str, Tensor] = {}
        for index, name in enumerate(names):
            row = {"loss": self.losses[index + 1], **self._decided(index)}
            logs |= {f"{key}_{name}": value for key, value in row.items()}
        return logs

    def _decided(self, index: int) -> dict[str, Tensor]:
        """What the strategy did about one loss, and what the whole network would have decided."""
        logs = {"gate": self.decision.gate[index]}
        overall = self.decision.overall if self.in_part else self.decision
        if overall is not None and overall.gram is not None:
            logs["cosine"] = overall.cosine[index]
            if not math.isnan(overall.lam):
                logs["ratio"] = overall.ratio[index]
            if self.in_part:
                logs["agree"] = (overall.gate[index] == logs["gate"]).float()
        return logs


class Networks:
    """Named networks with their optimizers, so that a method's `update` holds its losses alone.

    Handles device, precision and memory layout, statistics over the whole batch of all ranks,
    averages of gradients over ranks, skipping of updates that are not finite, clipping, schedules,
    averaged weights, and state.

    Parameters
    ----------
    networks
        By name; networks without an optimizer are not trained, but are part of the artefact.
    optimizers
        Options of each optimizer, by the network's name.
    trainer
        Precision, layout and compilation.
    device
        Where the networks are trained.
    steps
        Length of the optimizers' schedules, in steps: one number, or one by network.
    measure_norms
        Whether each step keeps the `norms` of the gradients.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, OptimizerOptions],
        trainer: Trainer,
        device: torch.device,
        steps: int | Mapping[str, int],
        measure_norms: bool = False,
    ):
        self.measure_norms = measure_norms
        self.norms: dict[str, Tensor] = {}
        """Euclidean norm of each network's gradient at its last step, before clipping, 0-dim."""
        self.networks = dict(networks)
        for network in self.networks.values():
            network.to(device)
            distributed.synchronise(network, device)
            precision.prepare(network, trainer)
        self.optimizers = {
            name: Optimizer(
                self.networks[name].parameters(),
                options,
                steps if isinstance(steps, int) else steps[name],
            )
            for name, options in optimizers.items()
        }
        self._layers: dict[str, list[list[Tensor]]] = {}
        self.averages = {
            name: _copied(self.networks[name])
            for name, options in optimizers.items()
            if options.average
        }

    def __getitem__(self, name: str) -> Any:
        return self.networks[name]

    def step(
        self, losses: Sequence[Tensor], names: Iterable[str] = (), averaged: bool = False
    ) -> tuple[list[Tensor], Tensor]:
        """Update networks from their accumulated gradients.

        Parameters
        ----------
        losses
            0-dim tensors, for the log and for the check that all values are finite.
        names
            Names of the networks to update; if empty, all that have an optimizer.
        averaged
            Whether the gradients are averaged over the ranks already.

        Returns
        -------
        tuple
            The losses, averaged over the ranks, and whether they and all gradients are finite (a
            0-dim bool). Where they are not, no parameter, moment or averaged weight has changed;
            the schedules go on.
        """
        optimizers = {name: self.optimizers[name] for name in names or self.optimizers}
        gradients = [g for optimizer in optimizers.values() for g in optimizer.gradients()]
        if not averaged:
            distributed.average_into(gradients)
        # averages are equal on all ranks, and so is whether they are finite
        values = [*distributed.average(torch.stack([*losses]).detach())]
        finite = all_finite(values, gradients)
        if self.measure_norms:
            self.norms |= {name: _norm(opt.gradients()) for name, opt in optimizers.items()}
        for name, optimizer in optimizers.items():
            optimizer.step(finite)
            if name in self.averages:
                self._average(name, (1 - optimizer.options.average) * finite)
        return values, finite

    def step_by(
        self,
        strategy: Strategy,
        losses: Sequence[Tensor],
        name: str,
        features: Tensor | None,
        measure: bool,
        names: Iterable[str] = (),
    ) -> Joined:
        """Update networks from losses whose gradients over one of them a strategy joins.

        Stands in for `backward` where there are several losses.

        Parameters
        ----------
        strategy
            Weighs the losses' gradients over the network `name`; other networks get each loss's
            own gradient, of an auxiliary one only if the strategy lets them learn.
        losses
            0-dim tensors of one forward pass, the main loss first.
        name
            The network that the losses share.
        features
            What it has put out, if all that the losses know of it goes through that.
        measure
            Look at cosines and norms even if the strategy does not.
        names
            The networks that learn; all that have an optimizer, if there are none.
        """
        if name not in self._layers:
            self._layers[name] = strategies.layers(self.networks[name])
        shared = self._layers[name]
        # an enhancer ends, and so its modules do, with the convolution that makes the image
        in_part = strategy.gate_on == "last"
        decision = strategies.backward(
            losses,
            shared,
            strategy,
            features=features,
            decision_params=shared[-1] if in_part else None,
            reduce=distributed.average if distributed.ranks() > 1 else None,
            measure=measure,
        )
        values, finite = self.step(losses, names, averaged=True)
        return Joined(values, finite, decision, in_part)

    def backward(self, loss: Tensor) -> tuple[Tensor, Tensor]:
        """Call `loss.backward()`, then `step` all networks.

        Returns
        -------
        tuple
            The loss, averaged over ranks, and whether it and all gradients are finite.
        """
        loss.backward()
        [value], finite = self.step([loss])
        return value, finite

    @torch.no_grad()
    def _average(self, name: str, share: Tensor) -> None:
        """Move averaged weights by a share of the way to the network's, in [0, 1], 0-dim.

        Counts and statistics are the network's last.
        """
        network = self.networks[name]
        parameters = {key for key, _ in network.named_parameters(remove_duplicate=False)}
        for key, value in network.state_dict().items():
            average = self.averages[name][key]
            if key in parameters:
                average.lerp_(value, share.to(value.dtype))
            else:
                average.copy_(value)

    def state_dict(self) -> State:
        """All that a resume needs."""
        return {
            "networks": {name: net.state_dict() for name, net in self.networks.items()},
            "optimizers": {name: opt.state_dict() for name, opt in self.optimizers.items()},
            "averages": self.averages,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from a `state_dict`."""
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, average in self.averages.items():
            for key, value in average.items():
                value.copy_(state["averages"][name][key])

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """The state dict of each network by name, with averaged weights where it has them."""
        return {
            name: self.averages.get(name) or network.state_dict()
            for name, network in self.networks.items()
        }


class NetworkTraining:
    """A training whose whole state is in its `networks`; a method's subclass adds `update`."""

    reads_values = False
    """Whether an update reads values from the device, as one with a solver that stops; such updates
    are not captured as CUDA graphs."""

    def __init__(self, networks: Networks):
        self.networks = networks

    def state_dict(self) -> State:
        """All that a resume needs: networks, optimizers, schedules, averaged weights."""
        return self.networks.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Continue from a `state_dict`."""
        self.networks.load_state_dict(state)

    def artefact(self) -> State:
        """What later stages start from: network weights by name."""
        return dict(self.networks.weights())


def _norm(gradients: list[Tensor]) -> Tensor:
    return torch.stack(torch._foreach_norm(gradients)).norm()


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in network.state_dict().items()}
