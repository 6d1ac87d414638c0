"""The typed root of the configuration, the loading of its components, and the checks across them.

Hydra composes plain nodes; `load` turns them into typed objects. Each component (a dataset, a
strategy, …) is a module that owns an `Options` dataclass: the node's key `name` picks the module,
so that a new component edits nothing here.
"""

import copy
import functools
import importlib
import math
import pickle
import pkgutil
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradprom.errors import ConfigError, NotServed
from gradprom.files import is_study
from gradprom.identity import added

CONF = Path(__file__).parents[2] / "conf"
"""Where the files of the groups are, in a clone."""
# group of the configuration → package whose modules are its components
PACKAGES = {
    "dataset": "gradprom.data",
    "backbone": "gradprom.models",
    "strategy": "gradprom.strategies",
    "method": "gradprom.methods",
}
TASKS = ("diagnosis", "segmentation")
SUPERVISIONS = ("supervised", "unsupervised")
SCHEDULES = ("constant", "onecycle")
DEVICES = ("auto", "cpu", "cuda", "mps")
SERVED = {"float32": DEVICES[1:], "tf32": ("cuda",), "bf16": ("cuda", "cpu")}
"""The precisions, and the devices that have them."""
LOGGERS = ("csv", "tensorboard")
TUNED = ("psnr", "ssim", "accuracy", "miou")


def _unhashed(default: Any) -> Any:
    """A field that is recorded but cannot change a result, and so is no part of an id."""
    return field(default=default, metadata={"hashed": False})


@dataclass
class Auxiliary:
    """The recognizer (the paper's VR, φ) and its own training."""

    tasks: list[str] = MISSING
    """What it recognizes: any of `diagnosis`, `segmentation`; both is the paper's multi-task."""
    backbone: str = "resnet101"
    """`small`, or a ResNet of timm (`resnet18`, `resnet50`, `resnet101`)."""
    pretrained: bool = True
    """Start from ImageNet weights (the small ones have none)."""
    lr: float = 1e-4
    """Adam's learning rate for φ in pre-training."""
    coupled_lr: float = 1e-4
    """Adam's learning rate for φ in coupled training, where the strategy lets it learn."""
    epochs: int = 50
    """Epochs of pre-training on clean images with labels."""

    def __post_init__(self) -> None:
        for task in [] if self.tasks == MISSING else self.tasks:
            _choice("auxiliary.tasks", task, TASKS)
        _positive("auxiliary.lr", self.lr)
        _positive("auxiliary.coupled_lr", self.coupled_lr)
        _count("auxiliary.epochs", self.epochs, 0)


@dataclass
class Trainer:
    """How long, how fast and on what the stages are trained."""

    batch_size: int = 8
    """Images a step, in total (Section 4.1)."""
    lr: float = 1e-4
    """Adam's learning rate for the enhancer θ (Section 4.1)."""
    schedule: str = "constant"
    """`constant`, or `onecycle`: one rise to `lr` and fall over all that a network is trained
    for, warm-up and coupled training of the enhancer together."""
    warmup_epochs: int = 50
    """Epochs of the enhancer alone, before the recognizer joins."""
    coupled_epochs: int = 50
    """Epochs of enhancer and recognizer together."""
    augment: bool = True
    """Flips, ±10° rotation, centre crop at 50–100 % (Section 4.1)."""
    log_every: int = _unhashed(10)
    """Steps a row of the history stands for; NaN is looked for as often."""
    checkpoint_seconds: float = _unhashed(30.0)
    """Least time between two checkpoints of a stage, in seconds."""
    device: str = _unhashed("auto")
    """`auto` takes CUDA, then MPS, then the CPU."""
    devices: int = _unhashed(1)
    """Devices that share each batch, data-parallel; all but rounding is as on one."""
    precision: str = added("float32")
    """How networks compute while they are trained: `float32`, and nothing less; `tf32`, on CUDA;
    `bf16`, autocast with parameters and losses in float32. Scores are always float32's."""
    compile: bool = _unhashed(False)
    """Compile the networks: seconds to minutes a stage, then faster steps, equal up to rounding."""
    channels_last: bool = _unhashed(False)
    """Keep a pixel's channels together in memory: faster for narrow networks on a CPU, slower for
    wide ones; equal up to rounding."""
    threads: int = _unhashed(1)
    """Torch threads on the CPU; more than there are idle cores makes it far slower."""

    def __post_init__(self) -> None:
        _count("trainer.batch_size", self.batch_size, 1)
        _positive("trainer.lr", self.lr)
        _choice("trainer.schedule", self.schedule, SCHEDULES)
        _count("trainer.warmup_epochs", self.warmup_epochs, 0)
        _count("trainer.coupled_epochs", self.coupled_epochs, 0)
        _count("trainer.log_every", self.log_every, 1)
        _choice("trainer.device", self.device, DEVICES)
        _count("trainer.devices", self.devices, 1)
        if self.batch_size % self.devices:
            raise ConfigError(
                f"trainer.devices={self.devices} must divide trainer.batch_size={self.batch_size}"
            )
        _choice("trainer.precision", self.precision, tuple(SERVED))
        if self.device not in ("auto", *SERVED[self.precision]):
            raise ConfigError(
                f"trainer.precision={self.precision} is not there on trainer.device={self.device}; "
                f"it needs {' or '.join(SERVED[self.precision])}"
            )
        if self.compile and self.devices > 1:
            raise ConfigError(
                f"trainer.compile=true works on one device; leave it, or trainer.devices="
                f"{self.devices}, out"
            )
        _count("trainer.threads", self.threads, 1)


@dataclass
class Evaluation:
    """How the test split is degraded and scored."""

    seed: int = 0
    """With an image's id it fixes that image's degradation, for every strategy and machine."""
    batch_size: int = _unhashed(16)
    """Images enhanced at once; the scores do not depend on it."""
    panels: int = _unhashed(4)
    """Test images kept as pictures: degraded | enhanced | clean | error."""

    def __post_init__(self) -> None:
        _count("evaluation.batch_size", self.batch_size, 1)
        _count("evaluation.panels", self.panels, 0)


@dataclass
class Sweep:
    """What `-m` does with the runs that it finds."""

    dry_run: bool = False
    """Print the plan and stop."""
    retry_failed: bool = False
    """Train failed runs again; otherwise they stay as they are."""


@dataclass
class Slurm:
    """How runs become jobs of a SLURM cluster, with `hydra/launcher=submitit_slurm`."""

    wait: bool = True
    """Wait for the runs, show their progress and the table; otherwise submit and leave."""
    runs_per_job: int = 1
    """Runs that share a job, `runs_per_device` of them at a time: a small one fills no GPU."""

    def __post_init__(self) -> None:
        _count("slurm.runs_per_job", self.runs_per_job, 1)


@dataclass
class Tune:
    """What `-m tune=…` searches, and how: a study of Optuna's, whose trials are runs."""

    space: dict[str, str] = field(default_factory=dict)
    """The searched keys in Hydra's sweep words, such as `lam: tag(log, interval(1e-6, 1e-1))`;
    empty: nothing is tuned."""
    metric: str = "psnr"
    """What is made as high as can be on the validation split."""
    trials: int = 40
    """Trials in all, with those that were pruned or have failed."""
    at_once: int = 1
    """Trials handed to the launcher at a time; the next ones are drawn when all have ended."""
    seed: int = 0
    """Drives what is drawn; the trials' own seed is `seed`, as in every run."""
    startup: int = 8
    """Trials that are drawn at random and have ended before any is sampled or pruned."""
    prune_after: float = 0.25
    """Share of the coupled epochs in which no trial is pruned; 1: none ever is."""
    validation: float = 0.2
    """Share of the training split that is held out, in whole groups."""
    trial: int = -1
    """Which trial a job of the study is; set by the sweeper."""

    def __post_init__(self) -> None:
        _choice("tune.metric", self.metric, TUNED)
        for name in ("trials", "at_once", "startup"):
            _count(f"tune.{name}", getattr(self, name), 1)
        _count("tune.seed", self.seed, 0)
        if not 0 <= self.prune_after <= 1:
            raise ConfigError(f"tune.prune_after={self.prune_after} must be between 0 and 1")
        if not 0 < self.validation < 1:
            raise ConfigError(f"tune.validation={self.validation} must lie between 0 and 1")


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
    """σ of the white Gaussian noise, in units of the image range [0, 1]."""
    scale: int = 1
    """Down-sampling factor, for `degradation=downsample` or a mix that down-samples."""
    lam: float = 1e-4
    """λ, the weight of the auxiliary loss in the enhancer's gradient (Eq. 1)."""
    pretrained: bool = True
    """Start networks from ImageNet weights; no weights and no network is an error."""
    warmup_share: float | None = None
    """Share of the enhancer's epochs that are its warm-up; their sum stays as it is."""
    seed: int = 0
    """Drives everything random in training."""
    validation: float = 0.0
    """Share of the training split that is held out, and tested on instead of the test split."""
    evaluate_on: list[Any] = field(default_factory=list)
    """Other datasets to test on as well: names, or mappings with `name` and options."""
    experiment: str = ""
    """What `-m` expands: a table of the folder `experiments`, or several with commas."""
    study: str = "local"
    """The folder of `results` that the records go to."""
    results: str = "results"
    """Where studies, trained stages and the data cache live."""
    data_root: str = "data"
    """Where the datasets are."""
    logger: str = "csv"
    """`csv`, or `tensorboard` beside it (`pip install -e '.[tensorboard]'`)."""
    runs_per_device: int = 1
    """Runs of a sweep that are at work at the same time, on this machine or in a Slurm job."""


@dataclass
class Config:
    """One run, fully typed: what methods, engine and records work from."""

    dataset: Any
    degradation: Any
    backbone: Any
    strategy: Any
    method: Any
    auxiliary: Auxiliary
    trainer: Trainer
    evaluation: Evaluation
    supervision: str
    seed: int
    validation: float
    study: str
    results: str
    logger: str
    evaluate_on: list[Any]
    """Options of the other datasets to test on."""
    facts: Any
    """What is known of the dataset without its files: `gradprom.data.base.Facts`."""


def register() -> None:
    """Make the typed root known to Hydra, under the name the defaults list uses."""
    ConfigStore.instance().store(name="schema", node=Root)


def load(node: DictConfig) -> Config:
    """Type a composed node and check it.

    Raises
    ------
    ConfigError
        With one sentence: the key, the value and what is allowed.
    """
    try:
        _check_keys(node)
        _check_root(node)  # first, in the words of the command line: `noise`, not `sigma`
        # OmegaConf builds the typed sections here, and each raises ValueError for a bad value
        values = {f.name: node[f.name] for f in fields(Root)}
        for name in ("auxiliary", "trainer", "evaluation", "slurm"):
            values[name] = OmegaConf.to_object(node[name])
        if node.warmup_share is not None:
            _divide_epochs(values["trainer"], node.warmup_share)
        OmegaConf.to_object(node.tune)
        for group in PACKAGES:
            values[group] = options(group, node[group])
        values["degradation"] = _degradation(node.degradation)
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(_first_line(error)) from error
    values["facts"] = _facts(values["dataset"])
    values["evaluate_on"] = [_test_set(node, each, values["facts"]) for each in node.evaluate_on]
    config = Config(**{f.name: values[f.name] for f in fields(Config)})
    _check_together(config)
    _check_scale(config, node.scale)
    return config


def held_out(config: Config) -> dict[str, float]:
    """What a stage reads of the validation split: nothing where there is none, so that ids from
    before there was one stay."""
    return {"validation": config.validation} if config.validation else {}


def inexact(config: Config) -> dict[str, str]:
    """What a stage reads of the precision: nothing where it is float32, as it was before there
    was a choice."""
    precision = config.trainer.precision
    return {} if precision == "float32" else {"precision": precision}


def _divide_epochs(trainer: Trainer, warmup_share: float) -> None:
    total = trainer.warmup_epochs + trainer.coupled_epochs
    trainer.warmup_epochs = round(warmup_share * total)
    trainer.coupled_epochs = total - trainer.warmup_epochs


def _facts(dataset: Any) -> Any:
    return component("dataset", dataset.name).facts(dataset)


def _test_set(node: DictConfig, entry: Any, facts: Any) -> Any:
    """Options of one of `evaluate_on`: where the dataset's data are, at its size."""
    given = {"name": entry} if isinstance(entry, str) else dict(entry)
    known = {f.name for f in fields(component("dataset", given["name"]).Options)}
    shared = {"root": node.data_root, "size": node.dataset.size}
    shared = {key: value for key, value in shared.items() if key in known}
    chosen = options("dataset", OmegaConf.create({**shared, **given}))
    channels = _facts(chosen).channels
    if channels != facts.channels:
        raise NotServed(
            f"evaluate_on={chosen.name} has images of {channels} channel(s) and the networks take "
            f"{facts.channels}; choose a dataset of {facts.channels}"
        )
    return chosen


@functools.cache
def component(group: str, name: str) -> Any:
    """The module of a component, such as `gradprom.strategies.gradprom`."""
    package = importlib.import_module(PACKAGES[group])
    known = [module.name for module in pkgutil.iter_modules(package.__path__)]
    module = importlib.import_module(f"{package.__name__}.{name}") if name in known else None
    # one without Options only serves the components
    if not hasattr(module, "Options"):
        raise ConfigError(
            f"{group}.name={name} is unknown; choose from {', '.join(_components(package))}"
        )
    return module


def _components(package: ModuleType) -> list[str]:
    """Names of a package's modules that are components, which is to say own an `Options`."""
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    modules = {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}
    return sorted(name for name, module in modules.items() if hasattr(module, "Options"))


def options(group: str, node: DictConfig) -> Any:
    """The typed options of one component; raises ConfigError for what they do not allow."""
    return _typed(group, component(group, node.name).Options, node)


def _degradation(node: DictConfig) -> Any:
    from gradprom.degradations import OPTIONS

    _choice("degradation.name", node.name, tuple(OPTIONS))
    return _typed("degradation", OPTIONS[node.name], node)


def _typed(group: str, options: type, node: DictConfig) -> Any:
    try:
        values = OmegaConf.to_container(node, resolve=True)  # while it still has its parent
        return copy.deepcopy(_built(options, pickle.dumps(values)))
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{group}={node.name}: {_first_line(error)}") from error


@functools.cache
def _built(options: type, values: bytes) -> Any:
    """Options of some pickled values; a sweep asks for the same ones again and again."""
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(options), pickle.loads(values)))


def _check_keys(node: DictConfig) -> None:
    """Hydra's `+key=value` gets past the schema, and nothing would read the key."""
    sections: dict[str, Any] = {"": Root, "auxiliary.": Auxiliary}
    sections |= {"trainer.": Trainer, "evaluation.": Evaluation, "sweep.": Sweep}
    sections |= {"slurm.": Slurm, "tune.": Tune}
    for prefix, section in sections.items():
        known = sorted(f.name for f in fields(section))
        for key in map(str, node[prefix.rstrip(".")] if prefix else node):
            if key not in known:
                raise ConfigError(f"{prefix}{key} is no key; choose from {', '.join(known)}")


def _check_root(node: DictConfig) -> None:
    if not math.isfinite(node.noise) or node.noise < 0:
        raise ConfigError(f"noise={node.noise} is no noise level; it must be a finite number >= 0")
    _choice("supervision", node.supervision, SUPERVISIONS)
    _choice("logger", node.logger, LOGGERS)
    _count("runs_per_device", node.runs_per_device, 1)
    if node.seed < 0:
        raise ConfigError(f"seed={node.seed} must be >= 0")
    if node.warmup_share is not None and not 0 <= node.warmup_share <= 1:
        raise ConfigError(f"warmup_share={node.warmup_share} must be between 0 and 1")
    if not 0 <= node.validation < 1:
        raise ConfigError(f"validation={node.validation} must be at least 0 and less than 1")
    if not is_study(node.study):
        raise ConfigError(f"study={node.study} must be a plain folder name, such as local")
    if node.study in ("stages", "cache", "set-aside", "leases"):
        raise ConfigError(f"study={node.study} is a folder that all studies share; use another")


def _check_together(config: Config) -> None:
    """What single values cannot tell: whether the parts fit each other."""
    tasks, facts, dataset = config.auxiliary.tasks, config.facts, config.dataset.name
    if "diagnosis" in tasks and not facts.classes:
        raise NotServed(
            f"auxiliary=diagnosis needs class labels and dataset={dataset} has none; "
            f"use auxiliary=segmentation or auxiliary=none"
        )
    if "segmentation" in tasks and not facts.mask_classes:
        raise NotServed(
            f"auxiliary=segmentation needs masks and dataset={dataset} has none; "
            f"use auxiliary=diagnosis or auxiliary=none"
        )
    names = [each.name for each in config.evaluate_on]
    if len(set(names)) < len(names) or dataset in names:
        raise ConfigError(
            f"evaluate_on=[{','.join(names)}] must name other datasets than dataset={dataset}, "
            f"each once"
        )
    if names and config.method.name == "recognizer":
        raise ConfigError("evaluate_on needs an enhancer, and method=recognizer has none")
    if names and config.validation:
        raise ConfigError(
            "evaluate_on is for testing, and with validation= nothing is tested; set one of them"
        )
    method = component("method", config.method.name)
    method.check(config)


def _check_scale(config: Config, scale: int) -> None:
    """Whether `scale`, what the degradation makes of it, and the size of the images fit."""
    from gradprom.degradations import scale_of

    degradation = config.degradation
    shrinks = scale_of(degradation) > 1
    if scale != 1 and not shrinks:
        raise ConfigError(
            f"scale={scale} has no effect with degradation={degradation.name}; use "
            f"degradation=downsample, or a mix with downsample in degradation.order"
        )
    if not shrinks and "downsample" in getattr(degradation, "order", [degradation.name]):
        raise ConfigError("down-sampling needs a factor; choose scale=2 or scale=4")
    for dataset in (config.dataset, *config.evaluate_on):
        try:
            degradation.output_shape((1, config.facts.channels, dataset.size, dataset.size))
        except ValueError as error:
            raise ConfigError(f"dataset.size={dataset.size}: {error}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key}={value} is not allowed; choose from {', '.join(allowed)}")


def _positive(key: str, value: float) -> None:
    if not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{key}={value} must be a finite number > 0")


def _count(key: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{key}={value} must be at least {least}")
