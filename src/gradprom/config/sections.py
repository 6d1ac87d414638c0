"""The sections that every configuration has: each key with its type, default and meaning."""

import math
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from gradprom.config.checks import require_choice, require_count, require_positive
from gradprom.config.components import component_names
from gradprom.errors import ConfigError
from gradprom.identity import added

SCHEDULES = ("constant", "onecycle")
GRAPHS = ("auto", "true", "false")
DEVICES = ("auto", "cpu", "cuda", "mps")
SERVED = {"float32": DEVICES[1:], "tf32": ("cuda",), "bf16": ("cuda", "cpu")}
"""The precisions, and the devices that support them."""

LAYOUTS = ("auto", "true", "false")
"""Whether a pixel's channels lie together in memory."""


def unhashed(default: Any) -> Any:
    """A field that is recorded but cannot change a result, and is therefore not part of an id."""
    return field(default=default, metadata={"hashed": False})


@dataclass
class Auxiliary:
    """The recognizer (the paper's VR, φ) and its own training."""

    tasks: list[str] = MISSING
    """Names of tasks, which are files of `gradprom.tasks`; two are the paper's multi-task."""
    backbone: str = "resnet101"
    """The network: a name that a file of `gradprom.models.recognizers` provides."""
    pretrained: bool = True
    """Start from ImageNet weights, if there are any for the network."""
    lr: float = 1e-4
    """Adam's learning rate for φ in pre-training."""
    coupled_lr: float = 1e-4
    """Adam's learning rate for φ in coupled training, where the strategy lets it learn."""
    epochs: int = 50
    """Epochs of pre-training on clean images with labels."""
    batchnorm: str = field(default="eval", metadata={"before": "train"})
    """BatchNorm's statistics in coupled training: `eval`, those of pre-training, as a frozen
    recognizer has them; `train`, the batch's, where the strategy lets the recognizer learn."""
    target: str = field(default="pretrained", metadata={"before": "follows"})
    """Unsupervised (Eq. 3), whose output on the clean image is the target: `pretrained`, that of
    the recognizer before coupled training; `follows`, its own as it learns."""
    clamp: bool = field(default=True, metadata={"before": False})
    """In coupled training the recognizer sees enhanced images clamped to [0, 1], as it is scored
    on; otherwise unclamped ones."""

    def __post_init__(self) -> None:
        for task in [] if self.tasks == MISSING else self.tasks:
            require_choice("auxiliary.tasks", task, tuple(component_names("task")))
        require_positive("auxiliary.lr", self.lr)
        require_positive("auxiliary.coupled_lr", self.coupled_lr)
        require_count("auxiliary.epochs", self.epochs, 0)
        require_choice("auxiliary.batchnorm", self.batchnorm, ("eval", "train"))
        require_choice("auxiliary.target", self.target, ("pretrained", "follows"))


@dataclass
class Trainer:
    """How long, how fast and on what the stages are trained."""

    batch_size: int = 8
    """Images per step, over all devices (Section 4.1)."""
    lr: float = 1e-4
    """Adam's learning rate for the enhancer θ (Section 4.1)."""
    schedule: str = "constant"
    """`constant`, or `onecycle`: one rise to `lr` and fall over the whole training of a network,
    warm-up and coupled training of the enhancer together."""
    clip: float = 0.0
    """The largest norm of the enhancer's gradient, to which larger ones are scaled down; 0: none
    is."""
    warmup_epochs: int = 50
    """Epochs of the enhancer alone, before the recognizer joins."""
    coupled_epochs: int = 50
    """Epochs of enhancer and recognizer together."""
    augment: bool = True
    """Flips, ±10° rotation, centre crop at 50–100 % (Section 4.1), none of it enlarged; flips and
    quarter turns where the files have no more pixels than the images."""
    log_every: int = unhashed(10)
    """Steps per row of the history; losses are also checked for NaN at each row. Cosines and norms
    that cost passes of their own (`joint`, `frozen`, …) are not measured at each, but at the end of
    rows that are 20 steps for each loss apart: less than 3 % of the time."""
    checkpoint_seconds: float = unhashed(30.0)
    """Minimum time between two checkpoints of a stage, in seconds."""
    extend: bool = unhashed(False)
    """Keep the end of the last stage, and begin it with that of a shorter one, if there is one that
    differs in its epochs alone: equal to training at once, bit for bit. With a constant rate."""
    device: str = unhashed("auto")
    """`auto` takes CUDA, then MPS, then the CPU."""
    devices: int = unhashed(1)
    """Devices that share each batch, data-parallel; equal to one device up to rounding."""
    precision: str = added("float32")
    """What networks are trained in: `float32`; `tf32`, on CUDA; `bf16`, autocast with parameters
    and losses in float32. Scores are always computed in float32."""
    compile: bool = unhashed(False)
    """Compile the networks: takes seconds to minutes per stage, then steps are faster; equal up to
    rounding."""
    graph: str = unhashed("auto")
    """Replay updates as CUDA graphs, which have the same bits: `auto`, on CUDA where an update
    takes nothing from the host; `true`, or the run fails, and in a graph's buffers on a CPU;
    `false`, never."""
    channels_last: str = unhashed("auto")
    """Keep a pixel's channels together in memory: `true`, `false`, or `auto`, where it was measured
    to be faster: on CUDA in `tf32` and `bf16`, on a CPU for narrow networks; equal up to
    rounding."""
    deterministic: bool = unhashed(True)
    """Train and evaluate with equal bits each time on CUDA too, whatever runs beside; an operation
    that cannot do so is an error. `false` allows faster ones, equal up to rounding."""
    threads: int = unhashed(1)
    """Torch threads on the CPU; more threads than idle cores are much slower."""

    def __post_init__(self) -> None:
        require_count("trainer.batch_size", self.batch_size, 1)
        require_positive("trainer.lr", self.lr)
        require_choice("trainer.schedule", self.schedule, SCHEDULES)
        if not (math.isfinite(self.clip) and self.clip >= 0):
            raise ConfigError(f"trainer.clip={self.clip} must be a finite number >= 0")
        require_count("trainer.warmup_epochs", self.warmup_epochs, 0)
        require_count("trainer.coupled_epochs", self.coupled_epochs, 0)
        require_count("trainer.log_every", self.log_every, 1)
        require_choice("trainer.device", self.device, DEVICES)
        require_count("trainer.devices", self.devices, 1)
        if self.batch_size % self.devices:
            raise ConfigError(
                f"trainer.devices={self.devices} must divide trainer.batch_size={self.batch_size}"
            )
        require_choice("trainer.precision", self.precision, tuple(SERVED))
        if self.device not in ("auto", *SERVED[self.precision]):
            raise ConfigError(
                f"trainer.precision={self.precision} is not available on "
                f"trainer.device={self.device}; it needs {' or '.join(SERVED[self.precision])}"
            )
        self.channels_last = str(self.channels_last).lower()  # YAML's true is a truth value
        require_choice("trainer.channels_last", self.channels_last, LAYOUTS)
        if self.compile and self.devices > 1:
            raise ConfigError(
                f"trainer.compile=true works on one device; remove it or "
                f"trainer.devices={self.devices}"
            )
        self.graph = str(self.graph).lower()  # `true` in YAML and on the command line is a bool
        require_choice("trainer.graph", self.graph, GRAPHS)
        if self.graph == "true" and (self.compile or self.devices > 1):
            other = "trainer.compile=true" if self.compile else f"trainer.devices={self.devices}"
            raise ConfigError(f"trainer.graph=true does not go with {other}; remove one of them")
        require_count("trainer.threads", self.threads, 1)


@dataclass
class Evaluation:
    """How the test split is degraded and scored."""

    seed: int = 0
    """Determines, with an image's id, its degradation, for every strategy and machine."""
    batch_size: int = unhashed(16)
    """Images enhanced at a time; the scores do not depend on it."""
    panels: int = unhashed(4)
    """Number of test images saved as pictures: degraded | enhanced | clean | error."""

    def __post_init__(self) -> None:
        require_count("evaluation.batch_size", self.batch_size, 1)
        require_count("evaluation.panels", self.panels, 0)


@dataclass
class Sweep:
    """How `-m` treats the runs of a sweep."""

    dry_run: bool = False
    """Print the plan and stop."""
    retry_failed: bool = False
    """Train failed runs again; otherwise they are skipped."""
    stop_at_first_failure: bool = False
    """Begin no further run after one has failed; those that are at work end. Not with Slurm."""
    classical: list[str] = field(
        default_factory=lambda: ["non_local_means", "total_variation", "wavelets"]
    )
    """Values of `method.filter` that are run beside the others, where the degradation is Gaussian
    noise, for the rows beneath the degraded input; `[]`: none."""


@dataclass
class Slurm:
    """How runs become jobs of a Slurm cluster, with `hydra/launcher=submitit_slurm`."""

    wait: bool = True
    """Wait for the runs, show their progress and the table; otherwise submit and exit."""
    runs_per_job: int = 1
    """Runs that share a job, `runs_per_device` at a time on each of its GPUs."""

    def __post_init__(self) -> None:
        require_count("slurm.runs_per_job", self.runs_per_job, 1)


@dataclass
class Tune:
    """What `-m tune=…` searches, and how: an Optuna study whose trials are runs."""

    space: dict[str, str] = field(default_factory=dict)
    """The search space in Hydra's sweep syntax, such as `lam: tag(log, interval(1e-6, 1e-1))`;
    empty: nothing is tuned."""
    metric: str = "psnr"
    """The ranked metric that is optimized on the validation split."""
    trials: int = 40
    """Total number of trials, including pruned and failed ones, without those of `records`."""
    at_once: int = 1
    """Trials passed to the launcher at a time; the next ones are drawn when all have ended."""
    seed: int = 0
    """Seed of the sampler; the trials' training seed is `seed`, as in every run."""
    startup: int = 8
    """Trials that are drawn at random before any trial is sampled or pruned."""
    prune_after: float = 0.25
    """Share of the coupled epochs before trials may be pruned; 1: no pruning."""
    validation: float = 0.2
    """Share of the training split that is held out, in whole groups."""
    seeds: int = 1
    """Runs of each trial, with the training seeds `seed`, `seed` + 1, …, one after another; its
    value is their mean. With several, a trial is pruned between two of them, by a paired test over
    images against the best trial, and not within a run; `prune_after=1` is no pruning there too."""
    records: list[str] = field(default_factory=list)
    """Studies of the same results whose finished runs count as trials where they are what a trial
    of this space would train, such as `[local]`, or `[all]`."""
    trial: int = -1
    """The trial of a job; set by the sweeper."""

    def __post_init__(self) -> None:
        for name in ("trials", "at_once", "startup", "seeds"):
            require_count(f"tune.{name}", getattr(self, name), 1)
        require_count("tune.seed", self.seed, 0)
        if not 0 <= self.prune_after <= 1:
            raise ConfigError(f"tune.prune_after={self.prune_after} must be between 0 and 1")
        if not 0 < self.validation < 1:
            raise ConfigError(f"tune.validation={self.validation} must lie between 0 and 1")
