"""How tight Theorem 1 of Willingham et al. 2024 is for trained priors.

Eq. 18 bounds the error of gradient descent with G, ‖x_g − x̂‖, by √L_link/(1 − L_g) + ‖x_f − x̂‖,
where x_f is where forward-backward with P ends, L_link the link loss where x_f came from, and
L_g < 1 a Lipschitz constant of a descent's step; here the largest singular value of its Jacobian at
x_g, by power iteration. Runs are finished ones of `rg1` or `rerg`, which have both networks; images
are squares from the middles of images of a folder, deblurred (σ_b 1.6) with noise of `--sigma`.

    python benchmarks/prior_bound.py RUN [RUN …] --study reference --folder ../CBSD68
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import fixtures
import measuring
from gradprom.data import formats, image_io
from gradprom.degradations.observation import observe_for_evaluation
from gradprom.methods.prior_training import link_loss
from gradprom.runs.records import Study
from gradprom.runs.restore import load_run, restored_method
from gradprom.solvers import ForwardBackward, GradientDescent, Problem, Stopping, fixed_point

STEP = 0.49
"""η of both iterations, as in training."""
STOP = Stopping(iterations=1000, tolerance=1e-9)
POWER_STEPS = 60


def main() -> None:
    parser = measuring.parser(__doc__)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--study", default="local")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--folder", type=Path, required=True, help="images, not those of the test")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--sigma", type=float, default=0.03)
    args = parser.parse_args()
    rows = [row for prefix in args.runs for row in measured(prefix, args)]
    measuring.report("prior_bound", rows, args)


def measured(prefix: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Both sides of Eq. 18 for each image."""
    study = Study(args.results, args.study)
    run = load_run(study, prefix)
    device = torch.device(args.device)
    networks = restored_method(run, study.resolve(prefix), device).networks
    proximal, gradient = networks["proximal"], networks["gradient"]
    clean = middles(args).to(device)
    posed = problem(clean, args)
    level = STEP**0.5 * posed.level

    forward = ForwardBackward(posed, proximal, STEP)
    by_proximal = fixed_point(forward, posed.start(), STOP)
    forward = ForwardBackward(posed, proximal, STEP)  # the first has lost the images that stopped
    x_f = by_proximal.estimate
    by_gradient = fixed_point(GradientDescent(posed, gradient, STEP), posed.start(), STOP)
    x_g = by_gradient.estimate
    with torch.no_grad():
        link = link_loss(proximal, gradient, forward.forward_step(x_f), level) * x_f[0].numel()
    slope = torch.stack(
        [
            lipschitz(GradientDescent(one(posed, i), gradient, STEP), x_g[i : i + 1])
            for i in range(len(clean))
        ]
    )
    error_f, error_g = norm(x_f - clean), norm(x_g - clean)
    bound = link.sqrt() / (1 - slope) + error_f
    return [
        {
            "method": run.config.method.training,  # type: ignore[attr-defined]
            "run": run.id,
            "image": number,
            "sigma": args.sigma,
            "error_descent": error_g[number].item(),
            "error_forward_backward": error_f[number].item(),
            "apart": norm(x_f - x_g)[number].item(),
            "root_link": link.sqrt()[number].item(),
            "lipschitz": slope[number].item(),
            "bound": bound[number].item() if slope[number] < 1 else None,
            "loose_by": (bound / error_g)[number].item() if slope[number] < 1 else None,
            "forward_backward_converged": by_proximal.converged[number].item(),
            "descent_converged": by_gradient.converged[number].item(),
            "descent_diverged": by_gradient.diverged[number].item(),
        }
        for number in range(len(clean))
    ]


def middles(args: argparse.Namespace) -> Tensor:
    """Squares from the middles of every n-th image of the folder, [images, 3, size, size]."""
    files = sorted(path for path in args.folder.iterdir() if formats.is_image_name(path))
    chosen = files[:: max(len(files) // args.images, 1)][: args.images]
    squares = []
    for file in chosen:
        pixels = np.asarray(image_io.picture(file, 3))
        top, left = ((side - args.size) // 2 for side in pixels.shape[:2])
        square = pixels[top : top + args.size, left : left + args.size]
        squares.append(torch.from_numpy(square.copy()).permute(2, 0, 1).float() / 255)
    return torch.stack(squares)


def problem(clean: Tensor, args: argparse.Namespace) -> Problem:
    """Deblurring, with the prior's weight that of the noise."""
    words = ("degradation=deblur", "degradation.blur.sigma=1.6", f"noise={args.sigma}")
    degradation = fixtures.composed(*words).degradation
    ids = [str(number) for number in range(len(clean))]
    observation = observe_for_evaluation(degradation, tuple(clean.shape), ids, 0, clean.device)
    degraded = observation.forward(clean)
    return Problem(observation.prepared(), degraded, observation.sigma().to(clean))


def one(posed: Problem, number: int) -> Problem:
    """The problem of one image."""
    return posed.select(torch.tensor([number], device=posed.degraded.device))


def lipschitz(step: GradientDescent, point: Tensor) -> Tensor:
    """The largest singular value of a step's Jacobian at a point [1, C, H, W]."""
    pull = torch.func.vjp(step, point)[1]
    direction = torch.randn(point.shape, generator=torch.Generator().manual_seed(0)).to(point)
    size = point.new_zeros(())
    for _ in range(POWER_STEPS):
        direction = direction / direction.norm()
        pushed = torch.func.jvp(step, (point,), (direction,))[1]
        size = pushed.norm()
        [direction] = pull(pushed)
    return size.detach()


def norm(images: Tensor) -> Tensor:
    """[B, C, H, W] -> [B]."""
    return images.flatten(1).norm(dim=1)


if __name__ == "__main__":
    main()
