"""Priors for many inverse problems at once (Willingham et al. 2024): six trainings, one method.

| `training` | networks | learns from |
|---|---|---|
| `gauss` | P | Gaussian denoising |
| `pnpreg` | P, G | denoising, and G from P by the link loss (Fermanian et al. 2023; Eq. 8) |
| `mtdeq` | P | the fixed points of forward-backward (Willingham et al. 2023; Eq. 15) |
| `rg1` | P, G | L1: those, and the link loss there (Eq. 28) |
| `deqgd` | G | L2: the fixed points of gradient descent (Eq. 29) |
| `rerg` | P, G | L3: all of it (Eq. 30) |

P is a proximal operator, G the gradient of a regularizer. Later trainings start from earlier ones
(section 5.2): P of `pnpreg` and `mtdeq` from `gauss`; G of the last three from `pnpreg`, P from
`mtdeq`. None reads the problem of the test: the test images are restored by an iterative solver,
with the operator of whatever degradation they have.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from gradprom import metrics
from gradprom.config import Config, batch_reads
from gradprom.data.batches import Batches
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch
from gradprom.degradations import RandomProblems
from gradprom.errors import ConfigError
from gradprom.identity import added
from gradprom.methods.base import Description, Method
from gradprom.methods.prior_solver import (
    LEAST_LEVEL,
    SOLVERS,
    SolverOptions,
    psnr_by_step,
    solve,
)
from gradprom.methods.prior_training import (
    Denoising,
    Equilibrium,
    Forward,
    Linked,
    LossWeights,
    TwoLevels,
)
from gradprom.models.priors.drunet import DRUNetOptions, ProximalOperator, RegularizingGradient
from gradprom.solvers import Problem, Solution
from gradprom.training.networks import Networks
from gradprom.training.optimization import OptimizerOptions
from gradprom.training.stage import Stage, Start, Training

NETWORKS = {
    "gauss": ("proximal",),
    "pnpreg": ("proximal", "gradient"),
    "mtdeq": ("proximal",),
    "rg1": ("proximal", "gradient"),
    "deqgd": ("gradient",),
    "rerg": ("proximal", "gradient"),
}
"""The networks of each training."""
LOSSES = {
    "mtdeq": ("backward",),
    "rg1": ("backward", "link"),
    "deqgd": ("descent",),
    "rerg": ("backward", "link", "descent"),
}
"""The losses of each training at fixed points."""
_FURTHER = {
    "proximal": {"level": "the standard deviation of each image's noise, float32 tensor [B]"},
    "gradient": {},
}
"""What a network takes besides images."""
PHASES = ("gauss", "pnpreg", "mtdeq", "regularizing")
JOINS = ("sum", "strategy")


@dataclass
class Phase:
    """One training of the chain."""

    epochs: int = 1
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    sigma: float | None = added(None)
    """The largest noise of its problems; None: that of `problems`."""
    power: float | None = added(None)
    """How its noise is distributed; None: as that of `problems`."""


@dataclass
class Options:
    """Which training, the networks, each phase of the chain, and the test."""

    name: str = "restoration_prior"
    training: str = "rerg"
    """`gauss`, `pnpreg`, `mtdeq`, `rg1`, `deqgd` or `rerg`."""
    network: DRUNetOptions = field(default_factory=DRUNetOptions)
    problems: RandomProblems = field(default_factory=RandomProblems)
    """What is trained on; denoisers learn its noise alone."""
    gauss: Phase = field(default_factory=Phase)
    pnpreg: Phase = field(default_factory=Phase)
    mtdeq: Phase = field(default_factory=Phase)
    regularizing: Phase = field(default_factory=Phase)
    """Of `rg1`, `deqgd` and `rerg`."""
    weights: LossWeights = field(default_factory=LossWeights)
    join: str = "sum"
    """How the losses of `rerg` join: `sum`, as published; `strategy`, by the gradient strategy,
    with the descent's loss as main loss of G and the others as auxiliary ones."""
    forward: Forward = field(default_factory=Forward)
    solver: SolverOptions = field(default_factory=SolverOptions)

    def __post_init__(self) -> None:
        if self.training not in NETWORKS:
            raise ValueError(f"training={self.training}: must be one of {', '.join(NETWORKS)}")
        if self.join not in JOINS:
            raise ValueError(f"join={self.join}: must be one of {', '.join(JOINS)}")
        for phase in PHASES:
            try:
                self.trained_on(phase)
            except ValueError as error:
                raise ValueError(f"{phase}.{error}") from error

    def trained_on(self, phase: str) -> RandomProblems:
        """The problems of a phase of the chain."""
        chosen = {key: getattr(getattr(self, phase), key) for key in ("sigma", "power")}
        own = {key: value for key, value in chosen.items() if value is not None}
        # what a phase has of its own is not read from `problems`
        shared = [f.name for f in fields(RandomProblems) if f.name not in own]
        return RandomProblems(**{key: getattr(self.problems, key) for key in shared}, **own)


def check(config: Config) -> None:
    """Raise ConfigError for a solver whose network the training does not have.

    And for a gradient strategy where there are not several losses.
    """
    options = config.method
    assert isinstance(options, Options)
    if options.join == "strategy" and options.training != "rerg":
        raise ConfigError(
            f"method.join=strategy joins the losses of method=rerg; "
            f"method.training={options.training} adds up its own"
        )
    network = SOLVERS[options.solver.name]
    if network not in NETWORKS[options.training]:
        others = [solver for solver, needed in SOLVERS.items() if needed != network]
        raise ConfigError(
            f"method.solver.name={options.solver.name} needs the network {network}, which "
            f"method.training={options.training} has not; choose from {', '.join(others)}"
        )


class RestorationPrior(Method):
    """See the module's text."""

    def __init__(self, config: Config):
        super().__init__(config)
        assert isinstance(config.method, Options)
        self.options = config.method
        self.solution: Solution | None = None
        """Of the images restored last."""

    def stage(self) -> Stage:
        """The training, on top of those that it starts from."""
        stages = {"gauss": self._gauss, "pnpreg": self._pnpreg, "mtdeq": self._mtdeq}
        return stages.get(self.options.training, self._regularizing)()

    def _gauss(self) -> Stage:
        reads = {"problems": self._noise_reads("gauss")}
        return self._stage("gauss", "gauss", reads, (), Denoising)

    def _pnpreg(self) -> Stage:
        own = self.options
        reads = {"problems": self._noise_reads("pnpreg"), "weights": {"link": own.weights.link}}

        def training(networks: Networks) -> Linked:
            return Linked(networks, own.weights)

        return self._stage("pnpreg", "pnpreg", reads, (self._gauss(),), training)

    def _noise_reads(self, phase: str) -> dict[str, float]:
        """What a denoiser learns from: how much noise there is, and how it is distributed."""
        problems = self.options.trained_on(phase)
        spread = {"power": problems.power} if problems.power != 1 else {}
        return {"sigma": problems.sigma, **spread}

    def _mtdeq(self) -> Stage:
        reads = {"problems": self.options.trained_on("mtdeq"), **self._search_reads("mtdeq")}
        return self._stage("mtdeq", "mtdeq", reads, (self._gauss(),), self._equilibrium("mtdeq"))

    def _regularizing(self) -> Stage:
        """By L1, L2 or L3; one name, so that all three see equal batches."""
        own, name = self.options, self.options.training
        problems = own.trained_on("regularizing")
        reads = {"training": name, "problems": problems, **self._search_reads(name)}
        if self._joins:
            reads |= {"join": own.join}
        parents = (self._pnpreg(), *([] if name == "deqgd" else [self._mtdeq()]))
        return self._stage("regularizing", name, reads, parents, self._equilibrium(name))

    def _equilibrium(self, name: str) -> Callable[[Networks], Equilibrium]:
        own = self.options

        def training(networks: Networks) -> Equilibrium:
            joins = {"link", "descent"} <= {*LOSSES[name]} and self._joins
            strategy = replace(self.config.strategy) if joins else None
            return Equilibrium(networks, own.forward, own.weights, LOSSES[name], strategy)

        return training

    @property
    def _joins(self) -> bool:
        """Whether a gradient strategy joins the losses."""
        return self.options.join == "strategy"

    def _search_reads(self, name: str) -> dict[str, Any]:
        """What the search for fixed points reads, and the weights of losses that are there."""
        own = self.options
        backward = () if name == "deqgd" else ("backward_step", "memory")
        descent = () if name in ("mtdeq", "rg1") else ("step",)
        keys = ("iterations", "tolerance", "limit", *backward, *descent)
        weights = {"rg1": ("bound",), "rerg": ("bound", "descent")}.get(name, ())
        return {
            "forward": {key: getattr(own.forward, key) for key in keys},
            "weights": {key: getattr(own.weights, key) for key in weights},
        }

    def _stage(
        self,
        name: str,
        training_name: str,
        reads: dict[str, Any],
        parents: tuple[Stage, ...],
        training: Callable[[Networks], Training],
    ) -> Stage:
        """A stage whose networks start from those of its parents, the last parent's first."""
        c, own, phase = self.config, self.options, getattr(self.options, name)
        method = {"network": own.network, "optimizer": phase.optimizer, **reads}
        joins = name == "regularizing" and self._joins
        strategy = {"strategy": c.strategy} if joins else {}
        problems = own.trained_on(name)
        noise = TwoLevels(sigma=problems.sigma, clamp=False, sigma_low=0.0, power=problems.power)
        degradation = problems if name in ("mtdeq", "regularizing") else noise

        def begin(start: Start) -> Training:
            networks = self._built(NETWORKS[training_name])
            for parent in parents:
                weights = start.weights(parent)
                for network in networks.keys() & weights.keys():
                    networks[network].load_state_dict(weights[network])
            optimizers = dict.fromkeys(networks, phase.optimizer)
            steps = phase.epochs * start.epoch_steps
            return training(Networks(networks, optimizers, c.trainer, start.device, steps))

        return Stage(
            name,
            phase.epochs,
            c.seed,
            {**batch_reads(c), "method": method, **strategy},
            parents,
            batches=Batches(c.trainer.batch_size, degradation, c.trainer.augment),
            begin=begin,
        )

    def evaluation_reads(self) -> dict[str, Any]:
        """The problem to be solved, and the options that its solver uses."""
        own = self.options.solver
        unused = {"admm": ("step", "turns"), "forward": ("turns",)}.get(own.name, ())
        solver = {key: value for key, value in vars(own).items() if key not in unused}
        return {"degradation": self.config.degradation, "method": {"solver": solver}}

    def describe(self) -> Description:
        """The networks, the chain and the solver."""
        own, solver, c = self.options, self.options.solver, self.config
        level = "σ of the noise" if solver.level is None else f"σ {solver.level:.4g}"
        phases = [stage.name for stage in self.stage().lineage()]
        epochs = ", ".join(f"{name} {getattr(own, name).epochs}" for name in phases)
        size = f"channels {own.network.channels}, blocks {own.network.blocks}"
        by = f", strategy {c.strategy.name}" if self._joins else ""
        return Description(
            title=f"Restoration prior ({own.training}{by})",
            parts={
                "networks": f"{' and '.join(NETWORKS[own.training])} (DRUNet, {size})",
                "solver": f"{solver.name}, at most {solver.iterations} iterations, {level}",
                "epochs": f"{epochs}, batches of {c.trainer.batch_size}",
            },
            logged=("iterations_", "converged_", "diverged_", "gate", "ratio", "cosine"),
            network=SOLVERS[solver.name],
            inputs=_FURTHER[SOLVERS[solver.name]],
        )

    def metrics(self) -> tuple[str, ...]:
        """Those of images, and how the solver fared."""
        return (*metrics.USUAL, "iterations", "converged")

    def build_networks(self) -> dict[str, nn.Module]:
        """P, G or both."""
        return self._built(NETWORKS[self.options.training])

    def _built(self, names: tuple[str, ...]) -> dict[str, nn.Module]:
        kinds = {"proximal": ProximalOperator, "gradient": RegularizingGradient}
        channels, size = self.config.facts.channels, self.options.network
        return {name: kinds[name](channels, size) for name in names}

    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor:
        """The solver's last estimate, clamped to [0, 1]."""
        solver = self.options.solver
        network = self.networks[SOLVERS[solver.name]]
        self.solution = solve(
            solver, self._problem(batch), network, self._counted(solver.iterations)
        )
        return self.solution.estimate.clamp(0, 1)

    def psnr_by_step(self, batch: Batch) -> Tensor:
        """PSNR of each image after each step of the solver, not clamped, [steps + 1, B]."""
        solver = self.options.solver
        network = self.networks[SOLVERS[solver.name]]
        return psnr_by_step(solver, self._problem(batch), network, batch.target)

    def _problem(self, batch: Batch) -> Problem:
        """What the solver solves."""
        assert batch.observation is not None
        sigma, solver = batch.observation.sigma().to(batch.input), self.options.solver
        level = sigma if solver.level is None else torch.full_like(sigma, solver.level)
        observation = batch.observation.prepared()
        return Problem(observation, batch.input, level.clamp(min=LEAST_LEVEL))

    def _counted(self, total: int) -> Callable[[Tensor, Tensor], None] | None:
        """What reports each iteration, where someone listens."""
        progress, numbers = self.progress, itertools.count(1)
        return progress and (lambda rows, estimate: progress(next(numbers), total))

    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """Scores of the last estimate as it is, not clamped (as PnP-ReG's), and of the solver."""
        solution = self.solution
        assert solution is not None
        scores = metrics.measure(solution.estimate, batch.target)
        return {
            **scores,
            "iterations": solution.iterations.float(),
            "converged": solution.converged.float(),
        }


build = RestorationPrior
