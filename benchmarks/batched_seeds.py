"""Seeds of one cell trained as one batched model, against one after another.

`torch.func.vmap` over the stacked weights of several seeds: what it makes of their convolutions
is one grouped convolution. A step is joint training's: both forward passes, and one backward.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

import measuring
from gradprom.models.enhancers.srresnet import Options, build
from gradprom.models.recognizers import build_recognizer

LAMBDA = 1e-4
CHANNELS = 3
PROFILES: dict[str, tuple[Options, str, int]] = {
    "demo": (Options(channels=16, blocks=4, global_skip=True), "small", 64),
    "bench": (Options(), "resnet18", 128),
}


class Cell(nn.Module):
    """An enhancer and its recognizer: images [B, C, H, W] twice and labels [B] to the loss."""

    def __init__(self, profile: str) -> None:
        super().__init__()
        options, recognizer, _ = PROFILES[profile]
        self.enhancer = build(options, CHANNELS)
        self.recognizer = build_recognizer("image", recognizer, False, CHANNELS, 2)

    def forward(self, noisy: Tensor, clean: Tensor, label: Tensor) -> Tensor:
        enhanced = self.enhancer(noisy)
        auxiliary = F.cross_entropy(self.recognizer(enhanced), label)
        return F.mse_loss(enhanced, clean) + LAMBDA * auxiliary


def main() -> None:
    parser = measuring.parser(__doc__, repeats=5)
    parser.add_argument("--profiles", nargs="+", default=["demo"], choices=PROFILES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, help="instead of the profile's")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for profile in args.profiles:
        size = args.size or PROFILES[profile][2]
        pieces = steps(profile, args.seeds, size, args.device)
        timings = measuring.seconds(pieces, args.repeats, args.device)
        apart = timings["one after another"]
        rows += [
            {
                "profile": profile,
                "size": size,
                "seeds": args.seeds,
                "way": way,
                "ratio": measuring.ratio(times, apart),
                "MiB": measuring.peak_memory(pieces[way], args.device) / 2**20,
            }
            for way, times in timings.items()
        ]
    measuring.report("batched_seeds", rows, args)


def steps(profile: str, seeds: int, size: int, device: str) -> dict[str, measuring.Piece]:
    """All seeds' gradients, in the two ways."""
    torch.manual_seed(0)
    cells = [Cell(profile).to(device) for _ in range(seeds)]
    clean = torch.rand(seeds, 8, CHANNELS, size, size, device=device)
    noisy = (clean + 0.1 * torch.randn_like(clean)).clamp(0, 1)
    label = torch.randint(2, (seeds, 8), device=device)
    weights, buffers = stack_module_state(cells)  # type: ignore[arg-type]
    skeleton = Cell(profile).to(device)

    def loss(weights: Any, buffers: Any, *batch: Tensor) -> Tensor:
        return functional_call(skeleton, (weights, buffers), batch)

    stacked = vmap(grad(loss))

    def apart() -> None:
        for cell, *batch in zip(cells, noisy, clean, label, strict=True):
            cell.zero_grad()
            cell(*batch).backward()

    apart()
    gradients = stacked(weights, buffers, noisy, clean, label)
    for name, parameter in cells[0].named_parameters():
        torch.testing.assert_close(gradients[name][0], parameter.grad, rtol=1e-3, atol=1e-4)
    return {
        "one after another": apart,
        "stacked": lambda: stacked(weights, buffers, noisy, clean, label),
    }


if __name__ == "__main__":
    main()
