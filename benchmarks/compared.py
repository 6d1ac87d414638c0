"""A step of each network of Tables V to VIII against one of SR-ResNet's, on the same images.

A step is the training's own update: forward pass, losses, backward passes, the optimizer's step;
of the last stage, in which recognizers take part. Networks have learned nothing and images are
random. `× SR-ResNet` is the median of the rounds' ratios. Parameters and multiply-adds are those of
the network that restores images, for one of 256×256 pixels.

By default the published networks on batches of two images of 64×64, of which a round takes some 15
seconds on one core; `--profile demo` has the small networks, on batches of eight.

    python benchmarks/compared.py [--profile demo] [--size 64] [--rows RLFNet …] [--device cuda]
                                  [--repeats N]
"""

import statistics

import torch

import measuring
from fixtures import composed, images
from gradprom import config
from gradprom.config import component
from gradprom.data.loader import Batch, Loader
from gradprom.methods.base import Method
from gradprom.runs.cost import cost
from gradprom.training.stage import Stage, Start, Training

BASE = "SR-ResNet"
ROWS = {
    BASE: "strategy=mainstream auxiliary=none backbone=plain",
    "ESTR": "strategy=frozen auxiliary=diagnosis",
    "ESTR, larger": "strategy=frozen auxiliary=diagnosis backbone=larger",
    "U-SAID": "method=usaid strategy=frozen auxiliary=segmentation lam=0.00029 backbone=dncnn",
    "D2SM": "method=d2sm strategy=frozen auxiliary=diagnosis lam=1.0 backbone=sadnet",
    "WinNet": "strategy=mainstream auxiliary=none backbone=winnet",
    "ADAP": "strategy=mainstream auxiliary=none backbone=apdnet method.loss=charbonnier",
    "NAFSSR": "strategy=mainstream auxiliary=none backbone=nafnet",
    "RLFNet": "strategy=mainstream auxiliary=none backbone=rlfn method.loss=l1",
    "DVANet": "strategy=mainstream auxiliary=none backbone=divanet method.loss=l1",
    "DDM": "method=ddm",
    "NRSF": "strategy=mainstream auxiliary=none backbone=nrsf",
    "SUD": "method=sud backbone=larger",
}
"""As the tables have them."""
BATCH = {"demo": 8, "bench": 2, "paper": 2}


def main() -> None:
    """Measure what the words ask for."""
    parser = measuring.parser(__doc__, repeats=5)
    parser.add_argument("--profile", default="paper", choices=tuple(BATCH))
    parser.add_argument("--size", type=int, default=64, help="in pixels")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=tuple(ROWS))
    args = parser.parse_args()
    config.register()
    device, batch = torch.device(args.device), BATCH[args.profile]
    words = (f"profile={args.profile}", f"size={args.size}", f"trainer.batch_size={batch}")
    names = dict.fromkeys([BASE, *args.rows])
    methods = {name: _method(*ROWS[name].split(), *words) for name in names}
    pieces = {name: _step(method, args.size, device) for name, method in methods.items()}
    times = measuring.seconds(pieces, args.repeats, args.device)
    rows = []
    for name, method in methods.items():
        counted = cost(method)
        assert counted is not None
        rows.append(
            {
                "row": name,
                "parameters": counted.parameters,
                "multiply-adds, G": counted.multiply_adds / 1e9,
                "ms": 1000 * statistics.median(times[name]),
                "× SR-ResNet": measuring.ratio(times[name], times[BASE]),
                "rounds": args.repeats,
            }
        )
    name = "compared" if args.profile == "paper" else f"compared_{args.profile}"
    measuring.report(name, rows, args, batch=f"{batch} images of {args.size}×{args.size}")


def _method(*words: str) -> Method:
    settings = composed("dataset=phantom", *words)
    method: Method = component("method", settings.method.name).build(settings)
    return method


def _step(method: Method, size: int, device: torch.device) -> measuring.Piece:
    """One update of the last stage."""
    stage, facts = method.stage(), method.config.facts
    training = _begun(stage, device)
    drawn = images(method.config.trainer.batch_size, size, facts, "train")
    batch: Batch = Loader(drawn, "train", stage.batches, device).batch(0, 0)
    return lambda: training.update(batch, probe=False)


def _begun(stage: Stage, device: torch.device) -> Training:
    """A stage at its beginning, on parents that were not trained."""
    torch.manual_seed(0)
    artefacts = {parent.id: _begun(parent, device).artefact() for parent in stage.parents}
    return stage.begin(Start(artefacts, 1000, device))


if __name__ == "__main__":
    main()
