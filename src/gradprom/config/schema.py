"""The typed root: what Hydra composes."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from gradprom.config.sections import Auxiliary, Evaluation, Slurm, Sweep, Trainer, Tune


@dataclass
class Root:
    """What Hydra composes. Component nodes are typed by their own `Options` in `load`."""

    dataset: Any = MISSING
    degradation: Any = MISSING
    backbone: Any = MISSING
    strategy: Any = MISSING
    method: Any = MISSING
    auxiliary: Auxiliary = field(default_factory=Auxiliary)
    trainer: Trainer = field(default_factory=Trainer)
    evaluation: Evaluation = field(default_factory=Evaluation)
    sweep: Sweep = field(default_factory=Sweep)
    slurm: Slurm = field(default_factory=Slurm)
    tune: Tune = field(default_factory=Tune)
    supervision: str = "supervised"
    """`supervised`: against labels (Eq. 4); `unsupervised`: against its own output (Eq. 3)."""
    noise: float = 0.1
    """σ of the white Gaussian noise, from 0 to 1, in units of the image range [0, 1]."""
    size: int = 64
    """Height and width of the images in pixels, for datasets that resize theirs."""
    scale: int = 1
    """Down-sampling factor, for `degradation=downsample` or a mix that down-samples."""
    lam: float = 1e-4
    """λ, the weight of the auxiliary loss in the enhancer's gradient (Eq. 1)."""
    pretrained: bool = True
    """Start networks from ImageNet weights; an error if they cannot be downloaded."""
    warmup_share: float | None = None
    """Share of the enhancer's epochs that are its warm-up; their total does not change."""
    seed: int = 0
    """Drives everything random in training."""
    validation: float = 0.0
    """Share of the training split that is held out and tested on instead of the test split."""
    train_images: int | None = None
    """Number of training images that are used, the same for all seeds; null: all."""
    evaluate_on: list[Any] = field(default_factory=list)
    """Other datasets to test on as well: names, or mappings with `name` and options. A folder of
    one's own is tested on as a whole, and is called by its `title`."""
    experiment: str = ""
    """What `-m` expands: a table of the folder `experiments`, or several, separated by commas."""
    study: str = "local"
    """The subfolder of `results` for the records."""
    results: str = "results"
    """The folder of studies, trained stages and the data cache."""
    data_root: str = "data"
    """The dataset's folder, or the one above it; for `dataset=folder` the images' own."""
    logger: Any = "csv"
    """`csv`, or in addition to it `tensorboard`, `wandb`, `mlflow`, `trackio`, or a list of these;
    each is an extra (`pip install -e '.[wandb]'`)."""
    snapshot: str = "auto"
    """Run a sweep from a copy of the code as it is now: `true`, `false`, or `auto`, with Slurm. It
    is read from the command line (`gradprom.frozen`)."""
    keep: str = "all"
    """What a finished sweep keeps of its trained stages: `all`; `final`, the weights of each run;
    `best`, those of the best run on each test set; `none`. Records stay whatever it is."""
    notify: str = ""
    """Who is told when a run has failed or a sweep has ended: a URL or a command
    (`runs.notices`)."""
    runs_per_device: int = 1
    """Runs of a sweep at the same time on each GPU, or on the CPU: here, or in a Slurm job."""
