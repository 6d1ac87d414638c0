"""What evaluating a test split costs, against the forward passes that it cannot do without.

- `forward`: the enhancer, and the recognizers on the enhanced and, for diagnosis, on the clean
  images, on batches that lie ready;
- `evaluate`: `training.evaluation.evaluate`: degrading, the same passes, PSNR, SSIM and what the
  recognizers scored, of the degraded and of the enhanced images, as a table.

Networks are those of the profiles with both recognizers, with their initial weights, the images
random ones of 256². By default a few images serve on a CPU; the paper's split has 519.

    python benchmarks/evaluation.py [--profiles demo bench paper] [--images 519]
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import torch

import made
import measuring
from gradprom.data.loader import Batch, test_batches
from gradprom.methods.task_driven import TaskDriven
from gradprom.runs.evaluation import evaluate

IMAGES = {"demo": 16, "bench": 4, "paper": 4}


def main() -> None:
    words = measuring.parser(__doc__, repeats=2)
    words.add_argument("--profiles", nargs="*", default=["demo", "bench", "paper"])
    words.add_argument("--size", type=int, default=256)
    words.add_argument("--images", type=int, help="images of the test split")
    told = words.parse_args()
    measuring.tell("evaluation", [measured(profile, told) for profile in told.profiles], told)


def measured(profile: str, told: argparse.Namespace) -> dict[str, Any]:
    """The cost of one profile's evaluation."""
    config = made.composed(f"profile={profile}", "auxiliary=multitask", f"dataset.size={told.size}")
    device, options = torch.device(told.device), config.evaluation
    images = made.images(told.images or IMAGES[profile], told.size, config.facts, "test")
    method = TaskDriven(config)
    made.coupled(method, device)
    split = (images, "test", options.batch_size, config.degradation, options.seed, device)
    batches = list(test_batches(*split))
    took = measuring.seconds(
        {
            "forward": lambda: [forward(method, batch) for batch in batches],
            "evaluate": lambda: evaluate(method, images, config.degradation, options, device),
        },
        told.repeats,
        told.device,
    )
    return {
        "profile": profile,
        "size": told.size,
        "images": len(images.ids),
        "forward s": statistics.median(took["forward"]),
        "evaluate s": statistics.median(took["evaluate"]),
        "× forward": measuring.ratio(took["evaluate"], took["forward"]),
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
