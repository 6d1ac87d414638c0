"""Small networks and batches for a coupled step, and an oracle of the step in float64."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import torch
from support import tiny_runs
from torch import Tensor, nn

from gradprom.config import Config
from gradprom.data.loader import Batch
from gradprom.methods.coupled_training import EnhancerTraining
from gradprom.training.stage import Start

CPU = torch.device("cpu")
LAM, LR, COUPLED_LR = 0.3, 0.01, 0.02
STRATEGIES = ["joint", "frozen", "gradprom", "random_gate", "mainstream"]
CLASSES = {"diagnosis": 3, "segmentation": 2}
SIZE, COUNT = 8, 4


def config(*overrides: str, results: Path = Path("results")) -> Config:
    common = ["trainer.schedule=constant", f"trainer.lr={LR}", f"auxiliary.coupled_lr={COUPLED_LR}"]
    run = tiny_runs.make(results, *tiny_runs.PHANTOM, *common, f"lam={LAM}", *overrides)
    return run.config


def batch(seed: int, dtype: torch.dtype = torch.float64) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(COUNT, 1, SIZE, SIZE, generator=generator, dtype=dtype)
    noise = torch.randn(target.shape, generator=generator, dtype=dtype)
    mask = torch.randint(2, (COUNT, SIZE, SIZE), generator=generator)
    label = torch.randint(3, (COUNT,), generator=generator)
    ids = [f"{seed}-{i}" for i in range(COUNT)]
    return Batch(ids, target + 0.1 * noise, target, {"mask": mask, "label": label})


class Pool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Chain(nn.Sequential):
    """With a `forward` of its own: torch 2.6 compiles none of torch's."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x


def networks(tasks: list[str], seed: int = 0) -> tuple[nn.Module, dict[str, nn.Module]]:
    """An enhancer and recognizers with BatchNorm, in float64."""
    torch.manual_seed(seed)

    def body(outputs: int) -> list[nn.Module]:
        return [
            # a bias before BatchNorm has no gradient but rounding, which Adam would blow up
            nn.Conv2d(1, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3),
            nn.PReLU(),
            nn.Conv2d(3, outputs, 3, padding=1),
        ]

    enhancer = Chain(*body(1)).double()
    recognizers = {}
    for task in tasks:
        head = [Pool()] if task == "diagnosis" else []
        recognizers[task] = Chain(*body(CLASSES[task]), *head).double()
    return enhancer, recognizers


def training(configuration: Config, seed: int = 0) -> EnhancerTraining:
    enhancer, recognizers = networks(list(configuration.auxiliary.tasks), seed)
    strategy = configuration.strategy
    return EnhancerTraining(configuration, enhancer, recognizers, strategy, Start({}, 2, CPU))


def state(*modules: nn.Module) -> list[Tensor]:
    """Parameters and buffers, copied."""
    return [value.clone() for m in modules for value in m.state_dict().values()]


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def non_finite_batch(value: str, seed: int) -> Batch:
    """A batch with a target pixel of value `nan` or `inf`, so that its main loss is not finite."""
    finite = batch(seed)
    target = finite.target.clone()
    target[0, 0, 0, 0] = {"nan": math.nan, "inf": math.inf}[value]
    return replace(finite, target=target)


def optimizer_state(trained: EnhancerTraining) -> list[Tensor]:
    """Parameters, and Adam's moments and counts."""
    tensors = []
    for optimizer in trained.networks.optimizers.values():
        for parameter in optimizer.parameters:
            moments = optimizer.optimizer.state[parameter]
            tensors += [parameter.detach(), *(moments[key] for key in sorted(moments))]
    return [value.clone() for value in tensors]


# the oracle


class HandAdam:
    """Adam as in Kingma and Ba (2015), Algorithm 1, in torch's default constants."""

    def __init__(self, parameters: list[Tensor], lr: float):
        self.parameters, self.lr, self.t = parameters, lr, 0
        self.m = [torch.zeros_like(p) for p in parameters]
        self.v = [torch.zeros_like(p) for p in parameters]

    def step(self, gradients: list[Tensor]) -> None:
        self.t += 1
        for p, m, v, g in zip(self.parameters, self.m, self.v, gradients, strict=True):
            m.copy_(0.9 * m + 0.1 * g)
            v.copy_(0.999 * v + 0.001 * g * g)
            unbiased = m / (1 - 0.9**self.t), v / (1 - 0.999**self.t)
            p.data -= self.lr * unbiased[0] / (unbiased[1].sqrt() + 1e-8)


def clipped(gradients: list[Tensor], norm: float) -> list[Tensor]:
    """Scaled down to a norm, where they have a larger one together; 0: never."""
    length = math.sqrt(sum(float((g * g).sum()) for g in gradients))
    # torch adds 1e-6 to the length
    return [g * min(1, norm / (length + 1e-6)) if norm else g for g in gradients]


class Oracle:
    """Eq. 6, a whole backward pass a loss, from copies of a training's networks."""

    def __init__(self, configuration: Config, trained: EnhancerTraining):
        self.config, self.strategy = configuration, configuration.strategy.name
        self.enhancer = copy.deepcopy(trained.enhancer)
        self.recognizers = {name: copy.deepcopy(net) for name, net in trained.recognizers.items()}
        self.auxiliary = configuration.auxiliary
        by_batch = self.auxiliary.batchnorm == "train" and self.strategy != "frozen"
        for recognizer in self.recognizers.values():
            recognizer.requires_grad_(True).train(by_batch)
        self.teachers = copy.deepcopy(self.recognizers)
        # the number of last parameters whose gradients decide the gate; 0: all
        self.deciding = 2 if getattr(configuration.strategy, "gate_on", "all") == "last" else 0
        self.theta = HandAdam(list(self.enhancer.parameters()), LR)
        self.phi = {
            name: HandAdam(list(net.parameters()), COUPLED_LR)
            for name, net in self.recognizers.items()
        }
        self.gates: list[bool] = []

    def loss(self, task: str, enhanced: Tensor, batch: Batch) -> Tensor:
        recognizer = self.recognizers[task]
        # another network, so that nothing can flow back or be counted through the target
        follows = self.auxiliary.target == "follows"
        judge = copy.deepcopy(recognizer if follows else self.teachers[task]).eval()
        if self.auxiliary.clamp:
            zero, one = torch.zeros_like(enhanced), torch.ones_like(enhanced)
            enhanced = torch.where(enhanced < 0, zero, torch.where(enhanced > 1, one, enhanced))
        logits = recognizer(enhanced)
        if self.config.supervision == "unsupervised":
            soft_labels = torch.softmax(judge(batch.target), 1).detach()
            return (torch.softmax(logits, 1) - soft_labels).square().mean()
        truth = batch.label if task == "diagnosis" else batch.mask
        log_likelihood = torch.log_softmax(logits, 1).gather(1, truth.unsqueeze(1))
        return -log_likelihood.mean()

    def step(self, batch: Batch) -> dict[str, float]:
        theta = list(self.enhancer.parameters())
        enhanced = self.enhancer(batch.input)
        main = (enhanced - batch.target).square().mean()
        losses = {task: self.loss(task, enhanced, batch) for task in self.recognizers}
        total = list(torch.autograd.grad(main, theta, retain_graph=True))
        length = math.sqrt(sum(float((g * g).sum()) for g in total))
        main_gradients, logs, steps = list(total), {"loss_main": float(main.detach())}, []
        for task, loss in losses.items():
            phi = list(self.recognizers[task].parameters())
            gradients = torch.autograd.grad(loss, [*theta, *phi], retain_graph=True)
            theta_gradients, phi_gradients = gradients[: len(theta)], list(gradients[len(theta) :])
            inner = sum(
                float((g * h).sum()) for g, h in zip(main_gradients, theta_gradients, strict=True)
            )
            deciding = zip(
                main_gradients[-self.deciding :], theta_gradients[-self.deciding :], strict=True
            )
            agreement = sum(float((g * h).sum()) for g, h in deciding)
            is_open = self.strategy != "gradprom" or agreement >= 0
            self.gates.append(is_open)
            if is_open:
                total = [g + LAM * h for g, h in zip(total, theta_gradients, strict=True)]
            norm = math.sqrt(sum(float((g * g).sum()) for g in theta_gradients))
            logs |= {f"loss_{task}": float(loss.detach()), f"gate_{task}": float(is_open)}
            logs |= {f"cosine_{task}": inner / norm / length, f"ratio_{task}": LAM * norm / length}
            if self.deciding:
                logs[f"agree_{task}"] = float(is_open == (inner >= 0))
            steps.append((self.phi[task], phi_gradients))
        self.theta.step(clipped(total, self.config.trainer.clip))
        for adam, gradients in steps if self.strategy != "frozen" else []:
            adam.step(gradients)
        return logs
