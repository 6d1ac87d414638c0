"""Coupled training of an enhancer and its recognizers: one step of Eq. 6, and the warm-up."""

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from gradprom.config import Config
from gradprom.data.loader import Batch
from gradprom.identity import added
from gradprom.methods import recognition
from gradprom.strategies import Strategy
from gradprom.tasks import task_by_name
from gradprom.training.losses import loss_by_name
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions
from gradprom.training.parallel import distributed
from gradprom.training.stage import Start


@dataclass
class EnhancerOptions:
    """What methods with a coupled training choose, beside other sections of the configuration."""

    name: str = ""
    loss: str = added("mse")
    """The main loss: `mse` (the paper's), `l1` or `charbonnier`."""

    def __post_init__(self) -> None:
        loss_by_name(self.loss)


class EnhancerTraining(NetworkTraining):
    """One coupled step: one forward pass, every loss's gradient, the strategy's decision."""

    def __init__(
        self,
        config: Config,
        enhancer: nn.Module,
        recognizers: dict[str, nn.Module],
        strategy: Strategy,
        start: Start,
    ):
        self.enhancer, self.recognizers, self.strategy = enhancer, recognizers, strategy
        self.supervised = not recognizers or config.supervision == "supervised"
        self.options, self.loss = config.method, loss_by_name(main_loss(config))
        self.penalty = getattr(enhancer, "penalty", None)
        a = config.auxiliary
        self.clamp = bool(recognizers) and a.clamp
        enhancer.train()
        for recognizer in recognizers.values():
            recognizer.requires_grad_(strategy.learns)
            recognizer.train(strategy.learns and a.batchnorm == "train")
        # a recognizer that does not learn is its own fixed teacher
        fixed = strategy.learns and not self.supervised and a.target == "pretrained"
        self.teachers = {t: _fixed(r) for t, r in recognizers.items()} if fixed else {}
        t, learning = config.trainer, list(recognizers) if strategy.learns else []
        options = {"enhancer": OptimizerOptions(lr=t.lr, schedule=t.schedule, clip=t.clip)}
        options |= {
            name: OptimizerOptions(lr=a.coupled_lr, schedule=t.schedule) for name in learning
        }
        epochs = {"enhancer": t.warmup_epochs + t.coupled_epochs}
        epochs |= dict.fromkeys(learning, t.coupled_epochs)
        super().__init__(
            Networks(
                {
                    "enhancer": enhancer,
                    **recognizers,
                    **{f"teacher.{task}": teacher for task, teacher in self.teachers.items()},
                },
                options,
                t,
                start.device,
                {name: count * start.epoch_steps for name, count in epochs.items()},
            )
        )

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step: Eq. 6, with the auxiliary gradients as the strategy weighs them."""
        enhanced = self.enhancer(batch.input)
        losses = [self._main_loss(enhanced, batch.target)]
        logs: dict[str, Tensor] = {}
        seen = enhanced.clamp(0, 1) if self.clamp else enhanced
        for task in self.recognizers:
            loss, logged = self.auxiliary_loss(task, seen, batch, probe)
            losses.append(loss)
            logs |= logged
        # a penalty of the network's own reaches θ without passing the image
        features = None if self.penalty else enhanced
        measure = probe and bool(self.recognizers)  # of a single loss there is nothing to compare
        joined = self.networks.step_by(self.strategy, losses, "enhancer", features, measure)
        main = joined.losses[0]
        error = main if self._is_error else _mean_square_error(enhanced, batch.target)
        logs |= {"loss_main": main, "psnr": -10 * error.log10(), "finite": joined.finite}
        return logs | joined.logs(self.recognizers)

    def auxiliary_loss(
        self, task: str, seen: Tensor, batch: Batch, probe: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L_VR of a task (Eq. 3 or 4), and the accuracy on clean images where it is looked at."""
        learned, recognizer = task_by_name(task), self.recognizers[task]
        truth = learned.truth(batch)
        logs: dict[str, Tensor] = {}
        own_target = not self.supervised and not self.teachers
        if probe or own_target:
            clean = recognition.clean_logits(recognizer, batch.target)
            logs[f"clean_accuracy_{task}"] = learned.accuracy(clean, truth)
        if self.teachers:
            clean = recognition.clean_logits(self.teachers[task], batch.target)
        logits = recognizer(seen)
        if self.supervised:
            return learned.supervised_loss(logits, truth), logs
        return learned.unsupervised_loss(logits, clean), logs

    def _main_loss(self, enhanced: Tensor, target: Tensor) -> Tensor:
        """L_IP of Eq. 1, with what the backbone adds of its own, such as a penalty on weights."""
        loss = self.loss(enhanced, target)
        return loss + self.penalty() if self.penalty else loss

    @property
    def _is_error(self) -> bool:
        """Whether the main loss is the mean square error that PSNR is made of."""
        return self.loss is F.mse_loss and not self.penalty

    def artefact(self) -> dict[str, Any]:
        """The weights of the enhancer and the recognizers."""
        weights = super().artefact()
        return {name: weights[name] for name in ("enhancer", *self.recognizers)}

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimizers and the strategy's own state."""
        return {**super().state_dict(), "strategy": self.strategy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        super().load_state_dict(state)
        self.strategy.load_state_dict(state["strategy"])


class WarmUp(EnhancerTraining):
    """Warm-up of the enhancer alone; its artefact has all that coupled training continues from."""

    def artefact(self) -> dict[str, Any]:
        """The enhancer's weights and Adam's state."""
        moments = self.networks.optimizers["enhancer"].state_dict()
        return {**super().artefact(), "optimizer": moments}


def _fixed(recognizer: nn.Module) -> nn.Module:
    return copy.deepcopy(recognizer).eval().requires_grad_(False)


def main_loss(config: Config) -> str:
    """Name of the loss of enhanced images against clean ones."""
    assert isinstance(config.method, EnhancerOptions)
    return config.method.loss


def _mean_square_error(enhanced: Tensor, target: Tensor) -> Tensor:
    return distributed.average(F.mse_loss(enhanced.detach(), target))
