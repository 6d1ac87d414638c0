"""A generator on the L1 loss of pixels alone (Eq. 1 of Task-GAN): "no GAN", its first comparison.

`gan` adds a discriminator to it and `task_gan` a task network to that. Two further networks score
the images, both trained on clean images alone: the task network, which in `task_gan` learns on, and
a judge, which takes part in no training and tells whether a restoration has changed what an image
shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprom import metrics
from gradprom.config import Config, batch_reads
from gradprom.data.batches import Batches
from gradprom.data.loader import Batch
from gradprom.errors import ConfigError
from gradprom.methods import recognition
from gradprom.methods.backbone import build_backbone
from gradprom.methods.base import Description, Method
from gradprom.tasks import task_by_name
from gradprom.tasks.regression import absolute_error
from gradprom.training.networks import Networks, NetworkTraining
from gradprom.training.optimization import OptimizerOptions, bound_to_length
from gradprom.training.parallel import distributed
from gradprom.training.stage import Stage, Start

JUDGE = "judge"
"""The network that took part in no game; it classifies images."""
VOLUME = "volume"
"""The annotation by which slices are of one volume, where a dataset has it."""


def adam() -> OptimizerOptions:
    """Adam of the appendix, at the rate of the first author's code: a tenth of the appendix's."""
    return OptimizerOptions(lr=2e-4, betas=[0.5, 0.999])


@dataclass
class Options:
    """How the generator is optimized; the sections `backbone` and `auxiliary` have the networks."""

    name: str = "pixel"
    generator: OptimizerOptions = field(default_factory=adam)


def check(config: Config) -> None:
    """Raise ConfigError for several tasks, or for one that the dataset has no labels for."""
    recognition.check(config)
    if len(config.auxiliary.tasks) > 1:
        raise ConfigError(
            f"method={config.method.name} has one task network; choose a single auxiliary task"
        )


class Pixel(Method):
    """See the module's docstring."""

    title = "Generator on pixels"

    def __init__(self, config: Config):
        super().__init__(config)
        self.options: Any = config.method
        self.tasks = list(config.auxiliary.tasks)
        """The task by its name, if there is one."""

    def stage(self) -> Stage:
        """The generator, for as many epochs as warm-up and coupled training together."""
        c, t, recognizers = self.config, self.config.trainer, self.recognizers()
        epochs = t.warmup_epochs + t.coupled_epochs
        return Stage(
            c.method.name,
            epochs,
            c.seed,
            reads=self.reads_of_training(),
            parents=tuple(recognizers.values()),
            batches=self.batches(),
            bound_to_length=self._bound_to_length(),
            begin=lambda start: self.begin(start, self.networks_at(start, recognizers), epochs),
        )

    def _bound_to_length(self) -> str:
        optimizers = [o for o in vars(self.options).values() if isinstance(o, OptimizerOptions)]
        return next(filter(None, (bound_to_length(o.schedule) for o in optimizers)), "")

    def batches(self) -> Batches:
        """Degraded images of `trainer.batch_size`."""
        t = self.config.trainer
        return Batches(t.batch_size, self.config.degradation, t.augment)

    def reads_of_training(self) -> dict[str, Any]:
        """The part of the configuration that the last stage reads."""
        c = self.config
        own = {"degradation": c.degradation, "backbone": c.backbone, "method": c.method}
        return {**batch_reads(c), **own}

    def recognizers(self) -> dict[str, Stage]:
        """The stages on clean images by the network's name: that of the task, and the judge."""
        return {
            name: recognition.pretraining(
                self.config, self.tasks[0], JUDGE if name == JUDGE else "recognizer"
            )
            for name in self.recognizer_names()
        }

    def recognizer_names(self) -> list[str]:
        """The task's, and that of the judge if there are labels of whole images."""
        judged = any(task_by_name(task).output == "image" for task in self.tasks)
        return [*self.tasks, JUDGE] if judged else self.tasks

    def networks_at(self, start: Start, recognizers: Mapping[str, Stage]) -> dict[str, nn.Module]:
        """New networks, with the recognizers as their stages left them."""
        networks = self.build_networks(fresh=True)
        for name, stage in recognizers.items():
            [weights] = start.weights(stage).values()
            networks[name].load_state_dict(weights)
        return networks

    def begin(self, start: Start, networks: dict[str, nn.Module], epochs: int) -> "Training":
        """The training of these networks for some epochs."""
        return Training(self.config, networks, start, epochs)

    def describe(self) -> Description:
        """The networks and how long they are trained."""
        c, own, t = self.config, self.options, self.config.trainer
        epochs = t.warmup_epochs + t.coupled_epochs
        generator = f"{c.backbone.name}, {own.generator.name} {own.generator.lr:g}"
        recognizers = f"recognizers {c.auxiliary.epochs}, " if self.tasks else ""
        return Description(
            title=f"{self.title} ({c.backbone.name})",
            parts={
                "generator": generator,
                "recognizer": recognition.label(c, self.tasks),
                "epochs": f"{recognizers}{epochs}, batches of {t.batch_size}",
            },
            logged=("diversity", "norm"),
            exported={task: f"recognizer.{task}" for task in self.tasks},
            restorer="generator",
        )

    def metrics(self) -> tuple[str, ...]:
        """Those of images, of the task network and of the judge."""
        errs = any(task_by_name(task).output != "embedding" for task in self.tasks)
        own = ("task_error",) if errs else ()
        of_images = JUDGE in self.recognizer_names()
        judged: tuple[str, ...] = ("error_rate", "roc_auc", "label_changed") if of_images else ()
        if of_images and VOLUME in self.config.facts.further:
            judged += ("volume_error_rate", "volume_task_error")
        return (*metrics.USUAL, "rmse", *recognition.metrics(self.tasks), *own, *judged)

    def build_networks(self, fresh: bool = False) -> dict[str, nn.Module]:
        """The generator, the task network by its task, and the judge."""
        c = self.config
        networks = {"generator": build_backbone(c, fresh)}
        for name in self.recognizer_names():
            untrained = fresh and name not in self.recognizers()
            networks[name] = recognition.build(c, self.tasks[0], untrained)
        return networks

    @torch.no_grad()
    def enhance(self, images: Tensor) -> Tensor:
        """Degraded [B, C, h, w] to restored [B, C, H, W], clamped to [0, 1]."""
        return self.networks["generator"](images).clamp(0, 1)

    @torch.no_grad()
    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """Scores of the restored images, of the task network on them, and of the judge."""
        assert restored is not None
        scores = metrics.measure(restored, batch.target, (*metrics.USUAL, "rmse"))
        for name in self.tasks:
            task, network = task_by_name(name), self.networks[name]
            logits, truth = task.scored(network, restored), task.truth(batch)
            scores |= task.scores(logits, batch) | task.clean_scores(network, batch)
            if task.output != "embedding":  # of identities that were learnt there is none here
                scores["task_error"] = absolute_error(logits, truth)
                scores["clean_task_error"] = absolute_error(network(batch.target), truth)
            if task.output == "image":
                scores["probability"] = logits.softmax(1)
                if VOLUME in batch.annotations:
                    scores[VOLUME] = batch.annotations[VOLUME]
        for name, recognizer in self.references.items():
            scores |= recognition.bounds(task_by_name(name), recognizer, batch)
        if JUDGE in self.networks:
            scores |= self._judged(batch, restored)
        return scores

    def _judged(self, batch: Batch, restored: Tensor) -> dict[str, Tensor]:
        """The judge's classes of the restored, the clean and the degraded images, int64 [B]."""
        judge = self.networks[JUDGE]
        clean = judge(batch.target).argmax(1)
        columns = {"judged": judge(restored).argmax(1), "judged_clean": clean}
        if batch.input.shape[1] == batch.target.shape[1]:
            degraded = judge(recognition.recognizer_input(batch)).argmax(1)
            columns |= {"degraded_judged": degraded, "degraded_judged_clean": clean}
        return columns

    def reference_stages(self) -> dict[str, Stage]:
        """Pre-training of the task network, whose scores bound those on restored images."""
        return {task: recognition.pretraining(self.config, task) for task in self.tasks}


class Training(NetworkTraining):
    """One step of the generator on the L1 loss."""

    def __init__(self, config: Config, networks: dict[str, nn.Module], start: Start, epochs: int):
        self.options: Any = config.method
        learning = self.optimizers()
        for name, network in networks.items():
            network.train(name in learning).requires_grad_(name in learning)
        steps = epochs * start.epoch_steps
        super().__init__(
            Networks(networks, learning, config.trainer, start.device, steps, measure_norms=True)
        )

    def optimizers(self) -> dict[str, OptimizerOptions]:
        """The networks that learn, and how."""
        return {"generator": self.options.generator}

    def update(self, batch: Batch, probe: bool) -> dict[str, Tensor]:
        """One step (Eq. 1)."""
        restored = self.networks["generator"](batch.input)
        pixel, finite = self.networks.backward(F.l1_loss(restored, batch.target))
        return {"loss_main": pixel, **self.watched(restored, batch), "finite": finite}

    @torch.no_grad()
    def watched(self, restored: Tensor, batch: Batch) -> dict[str, Tensor]:
        """PSNR of the step, gradient norms, and the diversity of what the generator makes.

        The diversity is the standard deviation over the batch's images, as a share of the clean
        ones': 0 where all restored images are one, and in batches of one image.
        """
        error = distributed.average(F.mse_loss(restored.detach(), batch.target))
        spread, clean = (distributed.average(_variance(x)) for x in (restored, batch.target))
        logs = {"psnr": -10 * error.log10(), "diversity": (spread / clean.clamp(min=1e-12)).sqrt()}
        return logs | {f"norm_{name}": norm for name, norm in self.networks.norms.items()}


def _variance(images: Tensor) -> Tensor:
    """The variance over a batch [B, C, H, W] of each pixel, in the mean over pixels; 0-dim."""
    return images.detach().var(0, correction=0).mean()


build = Pixel
