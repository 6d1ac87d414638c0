"""A coupled training of small networks with BatchNorm, always the same."""

from dataclasses import replace

import torch
from support import coupled_steps

from gradprom.data.loader import Batch
from gradprom.methods.coupled_training import EnhancerTraining
from gradprom.training.stage import Start

CPU = torch.device("cpu")


def training(*words: str, kind: torch.dtype = torch.float32) -> EnhancerTraining:
    """Small networks with BatchNorm, in float32, and always the same."""
    made = coupled_steps.config(*words)
    enhancer, recognizers = coupled_steps.networks(list(made.auxiliary.tasks))
    networks = enhancer.to(kind), {name: net.to(kind) for name, net in recognizers.items()}
    return EnhancerTraining(made, *networks, made.strategy, Start({}, 2, CPU))


def batch(seed: int) -> Batch:
    """The oracle's batch, rounded to float32."""
    exact = coupled_steps.batch(seed)
    return replace(exact, input=exact.input.float(), target=exact.target.float())
