"""The typed root of the configuration, the loading of its components, and the checks across them.

Hydra composes plain nodes; `load` turns them into typed objects. Each component (a dataset, a
strategy, …) is a module that owns an `Options` dataclass: the node's key `name` picks the module,
so that a new component edits nothing here.
"""

import importlib
import math
import pkgutil
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradprom.errors import ConfigError, NotServed
from gradprom.files import is_plain

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
LOGGERS = ("csv", "tensorboard")


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
    seed: int = 0
    """Drives everything random in training."""
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
        for name in ("auxiliary", "trainer", "evaluation"):
            values[name] = OmegaConf.to_object(node[name])
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
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(options), values))
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{group}={node.name}: {_first_line(error)}") from error


def _check_keys(node: DictConfig) -> None:
    """Hydra's `+key=value` gets past the schema, and nothing would read the key."""
    sections: dict[str, Any] = {"": Root, "auxiliary.": Auxiliary}
    sections |= {"trainer.": Trainer, "evaluation.": Evaluation, "sweep.": Sweep}
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
    if node.seed < 0:
        raise ConfigError(f"seed={node.seed} must be >= 0")
    if not is_plain(node.study):
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
