"""What evaluating a test split costs, against the forward passes that it cannot do without.

- `forward`: the enhancer, and the recognizers on the enhanced and, for diagnosis, on the clean
  images, on batches that lie ready;
- `evaluate`: `runs.evaluation.evaluate`: degrading, the same passes, PSNR, SSIM and what the
  recognizers scored, of the degraded and of the enhanced images, as a table.

Networks are those of the profiles with both recognizers, with their initial weights, the images
random ones of 256². By default a few images serve on a CPU; the paper's split has 519.

    python benchmarks/evaluation.py [--profiles demo bench paper] [--images 519]
"""

import argparse
import statistics
from typing import Any

import torch

import fixtures
import measuring
from gradprom.data.loader import Batch, test_batches
from gradprom.methods.task_driven import TaskDriven
from gradprom.runs.evaluation import evaluate

IMAGES = {"demo": 16, "bench": 4, "paper": 4}


def main() -> None:
    parser = measuring.parser(__doc__, repeats=2)
    parser.add_argument("--profiles", nargs="*", default=["demo", "bench", "paper"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--images", type=int, help="images of the test split")
    args = parser.parse_args()
    measuring.report("evaluation", [measured(profile, args) for profile in args.profiles], args)


def measured(profile: str, args: argparse.Namespace) -> dict[str, Any]:
    """The cost of one profile's evaluation."""
    config = fixtures.composed(
        f"profile={profile}", "auxiliary=multitask", f"dataset.size={args.size}"
    )
    device, options = torch.device(args.device), config.evaluation
    images = fixtures.images(args.images or IMAGES[profile], args.size, config.facts, "test")
    method = TaskDriven(config)
    method.restore(fixtures.coupled(method, device).artefact(), device)
    split = (images, "test", options.batch_size, config.degradation, options.seed, device)
    batches = list(test_batches(*split))
    times = measuring.seconds(
        {
            "forward": lambda: [forward(method, batch) for batch in batches],
            "evaluate": lambda: evaluate(method, images, config.degradation, options, device),
        },
        args.repeats,
        args.device,
    )
    return {
        "profile": profile,
        "size": args.size,
        "images": len(images.ids),
        "forward s": statistics.median(times["forward"]),
        "evaluate s": statistics.median(times["evaluate"]),
        "× forward": measuring.ratio(times["evaluate"], times["forward"]),
    }


@torch.no_grad()
def forward(method: TaskDriven, batch: Batch) -> None:
    """The passes alone."""
    enhanced = method.enhance(batch.input)
    for task in method.tasks:
        recognizer = method.networks[task]
        recognizer(enhanced)
        if task == "diagnosis":
            recognizer(batch.target)


if __name__ == "__main__":
    main()
