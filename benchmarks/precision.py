"""A training step in each precision, memory layout, eager and compiled, against eager float32.

A step is all of `EnhancerTraining.update`: forward, two gradients over the enhancer, GradProm's
decision, Adam. Networks and image sizes are those of the profiles, the batch is `--batch` images
(by default 8 of demo, 2 of bench). `ppm` is the largest relative difference of the main loss over
the steps that were taken, in millionths, all variants having begun with the same weights and seen
the same images; `first` the seconds of the first step, compilation included. Compiled code is taken
from torch's cache where it is there: an empty TORCHINDUCTOR_CACHE_DIR shows what it costs. The
compiler chooses the memory layout itself. A CPU without bfloat16 in its instructions takes ten
times as long for it, so that there only demo is measured in it unless `--precisions` asks.

    python benchmarks/precision.py [--device cuda] [--profiles demo bench] [--repeats N]
"""

import argparse
import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

import measuring
from fixtures import composed
from gradprom import config
from gradprom.config import Trainer, component
from gradprom.config.typed import image_size
from gradprom.data.loader import Batch
from gradprom.methods import recognition
from gradprom.methods.task_driven import EnhancerTraining
from gradprom.training import precision
from gradprom.training.stage import Start

BATCH = {"demo": 8, "bench": 2, "paper": 2}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
WAYS = (("contiguous", False), ("channels last", False), ("contiguous", True))
"""Layout, and whether compiled."""
DIFFERENT = 4
"""Batches that are seen in turn."""


@dataclass
class Variant:
    """A training whose steps are timed, and the losses it has had."""

    precision: str
    layout: str
    compiled: bool
    options: Trainer
    device: torch.device
    training: EnhancerTraining
    batches: list[Batch]
    losses: list[Tensor] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.precision}, {self.layout}, {'compiled' if self.compiled else 'eager'}"

    def step(self) -> None:
        """One step on the next batch."""
        batch = self.batches[len(self.losses) % DIFFERENT]
        with precision.as_trained(self.options, self.device):
            self.losses.append(self.training.update(batch, probe=False)["loss_main"])

    def first(self) -> float:
        """Seconds of a step by the clock, for compilers work in processes of their own."""
        began = time.perf_counter()
        self.step()
        self.losses[-1].item()
        return time.perf_counter() - began


def main() -> None:
    """Measure what the words ask for."""
    parser = measuring.parser(__doc__, repeats=3)
    parser.add_argument("--profiles", nargs="+", default=["demo", "bench"], choices=tuple(BATCH))
    parser.add_argument("--batch", type=int, help="images a step")
    parser.add_argument("--size", type=int, help="height and width in pixels")
    parser.add_argument("--precisions", nargs="+", choices=tuple(config.SERVED))
    parser.add_argument("--no-compile", action="store_true", help="eager variants alone")
    args = parser.parse_args()
    rows = [row for profile in args.profiles for row in measured(profile, args)]
    measuring.report("precision", rows, args)


def measured(profile: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each variant of a profile's step; the first is the one others are compared with."""
    choices = [(kind, *way) for kind in precisions(profile, args) for way in WAYS]
    selected = [choice for choice in choices if not (args.no_compile and choice[-1])]
    variants = [variant(profile, args, *choice) for choice in selected]
    first = {variant.name: variant.first() for variant in variants}
    pieces = {variant.name: variant.step for variant in variants}
    times = measuring.seconds(pieces, args.repeats, args.device)
    losses = {variant.name: torch.stack(variant.losses).cpu() for variant in variants}
    base = variants[0].name
    return [
        {
            "profile": profile,
            "precision": variant.precision,
            "layout": variant.layout,
            "compiled": variant.compiled,
            "ratio": measuring.ratio(times[variant.name], times[base]),
            "ppm": 1e6 * float((losses[variant.name].double() / losses[base] - 1).abs().max()),
            "steps": len(variant.losses),
            "first": first[variant.name],
            "seconds": sorted(times[variant.name])[args.repeats // 2],
        }
        for variant in variants
    ]


def precisions(profile: str, args: argparse.Namespace) -> list[str]:
    """Those that were asked for, or all that the device has and that end in time."""
    if args.precisions:
        return args.precisions
    if args.device == "cpu" and profile != "demo":
        return ["float32"]
    return [name for name, devices in config.SERVED.items() if args.device in devices]


def variant(
    profile: str, args: argparse.Namespace, kind: str, layout: str, compiled: bool
) -> Variant:
    """A profile's networks and batches, always the same ones."""
    sized = [f"dataset.size={args.size}"] if args.size else []
    settings = composed(f"profile={profile}", f"trainer.device={args.device}", *sized)
    last = layout == "channels last"
    settings.trainer = replace(
        settings.trainer, precision=kind, compile=compiled, channels_last=str(last)
    )
    torch.manual_seed(0)
    channels, memory_format = settings.facts.channels, LAYOUTS[layout]
    place: dict[str, Any] = {"device": args.device, "memory_format": memory_format}
    enhancer = component("backbone", settings.backbone.name).build(settings.backbone, channels)
    recognizer = recognition.build(settings, "diagnosis", fresh=False).to(**place)
    networks = enhancer.to(**place), {"diagnosis": recognizer}
    start = Start({}, epoch_steps=100, device=torch.device(args.device))
    training = EnhancerTraining(settings, *networks, replace(settings.strategy), start)
    shape = (
        args.batch or BATCH[profile],
        channels,
        image_size(settings.dataset),
        image_size(settings.dataset),
    )
    batches = [
        batch(shape, len(settings.facts.classes), number, place) for number in range(DIFFERENT)
    ]
    return Variant(kind, layout, compiled, settings.trainer, start.device, training, batches)


def batch(shape: tuple[int, ...], classes: int, seed: int, place: dict[str, Any]) -> Batch:
    """Images of no meaning, degraded by noise."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=generator)
    noisy = target + 0.1 * torch.randn(shape, generator=generator)
    label = torch.randint(classes, shape[:1], generator=generator).to(place["device"])
    return Batch([""] * len(target), noisy.to(**place), target.to(**place), {"label": label})


if __name__ == "__main__":
    main()
