"""Code compiled with donated buffers is taken from Inductor's cache for code without them.

    python donated_buffers.py

`torch._functorch.config.donated_buffer` is part of the key of AOTAutograd's cache, and not of the
key of Inductor's cache of FX graphs. A first process compiles a model with the default, True. A
second one sets False, which is what going backwards twice through a graph needs, misses
AOTAutograd's cache, and takes the first one's backward code from the FX graph cache. That code
overwrites what the forward pass saved, so that the second pass is wrong, silently.

Expected: "right" three times. Seen with torch 2.14.1 and Python 3.11 on a CPU (x86_64, gcc 12): the
last pass is "wrong, 6.4e-03 from eager". With TORCHINDUCTOR_FX_GRAPH_CACHE=0 all three are right.
"""

import os
import subprocess
import sys
import tempfile

import torch
from torch import Tensor, nn


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 32), nn.GELU())


def gradients(network: nn.Module, compiled: bool, passes: int) -> list[tuple[Tensor, ...]]:
    """The gradients of one loss, each time through the same graph."""
    images = torch.rand(8, 16, generator=torch.Generator().manual_seed(1))
    loss = (torch.compile(network) if compiled else network)(images).square().mean()
    parameters = list(network.parameters())
    return [
        torch.autograd.grad(loss, parameters, retain_graph=number < passes)
        for number in range(1, passes + 1)
    ]


def compare(donated: bool) -> None:
    """Compile in this process, and compare each backward pass with an eager one."""
    import torch._functorch.config

    torch._functorch.config.donated_buffer = donated
    [eager] = gradients(model(), compiled=False, passes=1)
    for number, found in enumerate(gradients(model(), True, passes=1 if donated else 2), start=1):
        worst = max((a - b).abs().max().item() for a, b in zip(found, eager, strict=True))
        verdict = "wrong" if worst > 1e-5 else "right"
        print(f"donated_buffer={donated}, pass {number}: {verdict}, {worst:.1e} from eager")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        compare(donated=sys.argv[1] == "True")
    else:
        print("torch", torch.__version__, flush=True)
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
            for donated in ("True", "False"):
                subprocess.run([sys.executable, __file__, donated], env=environment, check=True)
