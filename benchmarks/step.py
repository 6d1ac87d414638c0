"""The gradients of one training step, and the whole step, against what they could cost.

Each way computes forward passes, losses and the `.grad` of all that learns, on the same batch:

- `joint, plain`: one backward of L_IP + λ L_VR in plain torch, which `× plain` refers to;
- `limit, …`: the passes that are needed and nothing else, each network's forward once, backward
  once through the recognizer, and through the enhancer once or, to compare, once a loss;
- `beginner`: a forward and a full backward for each loss, then the gate, read on the host;
- `TorchJD`: the same gate as an aggregator of torchjd, one loss after the other;
- the others: `strategies.backward`. `× limit` refers to the limit of as many passes;
- `… update`: all of `EnhancerTraining.update`, against the limit with the same optimizers' steps;
  `probed` as at each `trainer.log_every`-th step.

Peak memory is what a way takes beyond networks and batch, in MiB. Networks and losses are those of
the profiles, the images are random. `frozen` lets the recognizer not learn; `multitask` has two.

By default the networks of `demo` at 64² in float32; on one core a round of `bench` at 64² takes
minutes. Precision, memory layout and equal bits each time are those of a training.

    python benchmarks/step.py [--profiles demo bench paper] [--sizes 64 128 256] [--setups …]
                              [--precisions float32 tf32 bf16] [--ways joint gradprom …]
                              [--device cuda] [--repeats N]
"""

import itertools
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import grad

import measuring
from fixtures import composed
from gradprom import config, strategies
from gradprom.config import Config, component
from gradprom.config.typed import image_size
from gradprom.data.loader import Batch
from gradprom.methods import recognition
from gradprom.methods.task_driven import EnhancerTraining
from gradprom.strategies import Frozen, GradProm, Joint, Strategy
from gradprom.tasks import task_by_name
from gradprom.training.stage import Start

LAM = 1e-4
BATCH = 8
SETUPS = ("supervised", "unsupervised", "multitask")
COMPARED = {
    "gradprom": GradProm(lam=LAM),
    "gradprom, cosine": GradProm(lam=LAM, gate="cosine"),
    "gradprom, layer": GradProm(lam=LAM, granularity="layer"),
}
LAST = GradProm(lam=LAM, gate_on="last")


class Networks:
    """Networks of a profile with a batch, and the losses of a strategy's step."""

    def __init__(self, settings: Config, device: str, strategy: Strategy) -> None:
        torch.manual_seed(0)
        backbone, channels = settings.backbone, settings.facts.channels
        enhancer: nn.Module = component("backbone", backbone.name).build(backbone, channels, 1)
        self.recognizers = {
            task: recognition.build(settings, task, fresh=True).to(device)
            for task in settings.auxiliary.tasks
        }
        self.strategy, self.supervised = strategy, settings.supervision == "supervised"
        self.batch = _batch(settings, device)
        start = Start({}, epoch_steps=10**4, device=torch.device(device))
        self.training = EnhancerTraining(settings, enhancer, self.recognizers, strategy, start)
        self.shared = strategies.layers(enhancer)
        self.deciding = self.shared[-1] if strategy.gate_on == "last" else None
        self.enhancer = enhancer

    def clear(self) -> None:
        """No network has gradients."""
        for network in (self.enhancer, *self.recognizers.values()):
            network.zero_grad()

    def losses(self, enhanced: Tensor) -> list[Tensor]:
        """The main loss first."""
        losses = [nn.functional.mse_loss(enhanced, self.batch.target)]
        return losses + [self.auxiliary(task, enhanced) for task in self.recognizers]

    def auxiliary(self, task: str, enhanced: Tensor) -> Tensor:
        """One recognizer's loss."""
        recognizer, learned = self.recognizers[task], task_by_name(task)
        if self.supervised:
            truth = learned.truth(self.batch)
            return learned.supervised_loss(recognizer(enhanced), truth)
        clean = recognition.clean_logits(recognizer, self.batch.target)
        return learned.unsupervised_loss(recognizer(enhanced), clean)

    def plain(self) -> None:
        """One backward through everything."""
        self.clear()
        main, *auxiliary = self.losses(self.enhancer(self.batch.input))
        (main + LAM * torch.stack(auxiliary).sum()).backward()

    def limit(self) -> None:
        """The passes, and nothing made of what they give."""
        self.clear()
        enhanced = self.enhancer(self.batch.input)
        cut = enhanced.detach().requires_grad_()
        cotangents = []
        for loss in self.losses(cut):
            cut.grad = None
            loss.backward()
            cotangents.append(cut.grad)
        if not self.strategy.compares:
            cotangents = cotangents[:1]
        theta = [*self.enhancer.parameters()]
        for cotangent in cotangents[1:]:
            grad(enhanced, theta, cotangent, retain_graph=True)
        enhanced.backward(cotangents[0])

    def limit_updated(self) -> None:
        """The passes and the optimizers' steps."""
        self.limit()
        for optimizer in self.training.networks.optimizers.values():
            optimizer.optimizer.step()
            optimizer.schedule.step()

    def beginner(self) -> None:
        """A forward and a full backward a loss; the gradients join where they agree."""
        theta = [*self.enhancer.parameters()]
        self.clear()
        nn.functional.mse_loss(self.enhancer(self.batch.input), self.batch.target).backward()
        total = main = _gradients(theta)
        for task in self.recognizers:
            self.enhancer.zero_grad()
            self.auxiliary(task, self.enhancer(self.batch.input)).backward()
            auxiliary = _gradients(theta)
            if (
                torch.stack([(g * h).sum() for g, h in zip(main, auxiliary, strict=True)]).sum()
                >= 0
            ):
                total = [g + LAM * h for g, h in zip(total, auxiliary, strict=True)]
        for p, gradient in zip(theta, total, strict=True):
            p.grad = gradient

    def torchjd(self) -> None:
        """GradProm's gate as an aggregator of torchjd."""
        from torchjd.autojac import jac_to_grad, mtl_backward

        self.clear()
        theta = [*self.enhancer.parameters()]
        enhanced = self.enhancer(self.batch.input)
        phi = [[*network.parameters()] for network in self.recognizers.values()]
        mtl_backward(
            self.losses(enhanced),
            enhanced,
            tasks_params=[[], *phi],
            shared_params=theta,
            parallel_chunk_size=1,
        )
        jac_to_grad(theta, _gate())

    def ours(self) -> None:
        """The strategy."""
        self.clear()
        enhanced = self.enhancer(self.batch.input)
        strategies.backward(
            self.losses(enhanced),
            self.shared,
            self.strategy,
            features=enhanced,
            decision_params=self.deciding,
        )

    def update(self) -> None:
        """The training's own step."""
        self.training.update(self.batch, probe=False)

    def probed(self) -> None:
        """The training's own step, at the end of a row of the history."""
        self.training.update(self.batch, probe=True)


@dataclass
class Way:
    """What is timed, and the ways it is held against."""

    name: str
    run: Callable[[], None]
    limit: str


def main() -> None:
    """Measure what the words ask for."""
    parser = measuring.parser(__doc__, repeats=9)
    parser.add_argument(
        "--profiles", nargs="+", default=["demo"], choices=("demo", "bench", "paper")
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[64], help="in pixels")
    parser.add_argument("--setups", nargs="+", default=SETUPS, choices=SETUPS)
    parser.add_argument(
        "--precisions", nargs="+", default=["float32"], choices=tuple(config.SERVED)
    )
    parser.add_argument("--ways", nargs="+", help="only those whose names begin so")
    args = parser.parse_args()
    if not args.ways or any("TorchJD".startswith(way) for way in args.ways):
        _needs_torchjd(parser)
    rows: list[dict[str, Any]] = []
    for case in itertools.product(args.profiles, args.sizes, args.setups, args.precisions):
        rows += measured(*case, args)
        print(*case, "done", flush=True)
    measuring.report("step", rows, args)


def measured(
    profile: str, size: int, setup: str, precision: str, args: Any
) -> list[dict[str, Any]]:
    """A row for each way."""
    settings = settings_of(profile, size, setup, precision)
    ways = {way.name: way for way in _ways(settings, setup, args.device)}
    if args.ways:
        prefixes = tuple(args.ways)
        limits = {way.limit for name, way in ways.items() if name.startswith(prefixes)}
        selected = {"joint, plain", *limits}
        ways = {n: way for n, way in ways.items() if n in selected or n.startswith(prefixes)}
    pieces = {n: w.run for n, w in ways.items()}
    times = measuring.seconds(pieces, args.repeats, args.device, settings.trainer)
    memory = {n: measuring.peak_memory(w.run, args.device) for n, w in ways.items()}
    return [
        {
            "case": f"{profile} {size} {setup}" + f" {precision}" * (precision != "float32"),
            "way": name,
            "ms": 1000 * statistics.median(times[name]),
            "× plain": measuring.ratio(times[name], times["joint, plain"]),
            "× limit": measuring.ratio(times[name], times[way.limit]),
            "MiB": memory[name] / 2**20,
            "MiB × plain": memory[name] / memory["joint, plain"],
            "rounds": args.repeats,
        }
        for name, way in ways.items()
    ]


def _ways(settings: Config, setup: str, device: str) -> Iterator[Way]:
    """One set of networks for each way that learns, so that each is used as its training is."""
    joint = Networks(settings, device, Joint(lam=LAM))
    yield Way("joint, plain", joint.plain, "limit, joint")
    yield Way("limit, joint", joint.limit, "limit, joint")
    yield Way("joint", joint.ours, "limit, joint")
    gated = Networks(settings, device, COMPARED["gradprom"])
    yield Way("beginner", gated.beginner, "limit, compared")
    yield Way("TorchJD", gated.torchjd, "limit, compared")
    yield Way("limit, compared", gated.limit, "limit, compared")
    strategies_ = COMPARED if setup == "supervised" else {"gradprom": COMPARED["gradprom"]}
    for name, strategy in strategies_.items():
        networks = gated if name == "gradprom" else Networks(settings, device, strategy)
        yield Way(name, networks.ours, "limit, compared")
    if setup == "supervised":
        yield Way("gradprom, last", Networks(settings, device, LAST).ours, "limit, joint")
    if setup != "multitask":
        frozen = Networks(settings, device, Frozen(lam=LAM))
        yield Way("limit, frozen", frozen.limit, "limit, frozen")
        yield Way("frozen", frozen.ours, "limit, frozen")
    if setup == "supervised":
        for name, networks in (("joint", joint), ("compared", gated)):
            limit = f"limit, {name}, updated"
            ours = "joint" if name == "joint" else "gradprom"
            yield Way(limit, networks.limit_updated, limit)
            yield Way(f"{ours}, update", networks.update, limit)
            yield Way(f"{ours}, update, probed", networks.probed, limit)


def settings_of(profile: str, size: int, setup: str, precision: str) -> Config:
    """The configuration of one case."""
    auxiliary = "multitask" if setup == "multitask" else "diagnosis"
    supervision = "unsupervised" if setup == "unsupervised" else "supervised"
    sized = f"profile={profile}", f"dataset.size={size}", f"trainer.precision={precision}"
    return composed(*sized, f"auxiliary={auxiliary}", f"supervision={supervision}")


def _batch(settings: Config, device: str) -> Batch:
    """Random images, labels and masks."""
    size, facts = image_size(settings.dataset), settings.facts
    target = torch.rand(BATCH, facts.channels, size, size)
    noisy = (target + 0.1 * torch.randn_like(target)).clamp(0, 1)
    mask = torch.randint(len(facts.mask_classes), (BATCH, size, size))
    label = torch.randint(len(facts.classes), (BATCH,))
    ids = [str(image) for image in range(BATCH)]
    noisy, target, mask, label = (part.to(device) for part in (noisy, target, mask, label))
    return Batch(ids, noisy, target, {"mask": mask, "label": label})


def _gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def _gate() -> Any:
    from torchjd.aggregation import Aggregator

    class Gate(Aggregator):
        def forward(self, matrix: Tensor) -> Tensor:
            agrees = matrix[1:] @ matrix[0] >= 0
            return matrix[0] + LAM * agrees.to(matrix.dtype) @ matrix[1:]

    return Gate()


def _needs_torchjd(parser: Any) -> None:
    try:
        from torchjd.autojac import jac_to_grad  # noqa: F401
    except ImportError:
        parser.error("this benchmark needs torchjd 0.18 or younger: pip install 'torchjd>=0.18'")


if __name__ == "__main__":
    main()
