"""From a composed node to a typed run configuration, and the checks across its parts."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradprom.config.checks import require_choice, require_count
from gradprom.config.components import GROUPS, component, options
from gradprom.config.places import absolute, given
from gradprom.config.schema import Root
from gradprom.config.sections import Auxiliary, Evaluation, Slurm, Sweep, Trainer, Tune
from gradprom.config.test_sets import test_set
from gradprom.config.typed import Config, image_size, test_set_name
from gradprom.errors import ConfigError, first_line
from gradprom.storage.files import is_study

SUPERVISIONS = ("supervised", "unsupervised")
LOGGERS = ("csv", "tensorboard", "wandb", "mlflow", "trackio")
"""`csv` is what every run has; the others are files of `gradprom.runs.loggers`."""
KEEPS = ("all", "final", "best", "none")


def register() -> None:
    """Register the typed root with Hydra, under the name that the defaults list uses."""
    ConfigStore.instance().store(name="schema", node=Root)


def load(node: DictConfig) -> Config:
    """Type a composed node and check it.

    Raises
    ------
    ConfigError
        In one sentence: the key, the value and what is allowed.
    """
    try:
        _check_keys(node)
        _check_root(node)  # first, to report the key of the command line: `noise`, not `sigma`
        # OmegaConf builds the typed sections here, and each raises ValueError for a bad value
        values = {f.name: node[f.name] for f in fields(Root)}
        for name in ("auxiliary", "trainer", "evaluation", "slurm"):
            values[name] = OmegaConf.to_object(node[name])
        if node.warmup_share is not None:
            _divide_epochs(values["trainer"], node.warmup_share)
        OmegaConf.to_object(node.tune)
        for group in GROUPS:
            values[group] = options(group, node[group])
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(first_line(error)) from error
    values["logger"] = [name for name in _names(node.logger) if name != "csv"]
    values["results"] = absolute(given(node.results))
    values["facts"] = component("dataset", values["dataset"].name).facts(values["dataset"])
    values["evaluate_on"] = [test_set(node, entry, values["facts"]) for entry in node.evaluate_on]
    config = Config(**{f.name: values[f.name] for f in fields(Config)})
    _check_together(config)
    _check_scale(config, node.scale)
    return config


def _divide_epochs(trainer: Trainer, warmup_share: float) -> None:
    total = trainer.warmup_epochs + trainer.coupled_epochs
    trainer.warmup_epochs = round(warmup_share * total)
    trainer.coupled_epochs = total - trainer.warmup_epochs


def _check_keys(node: DictConfig) -> None:
    """Reject unknown keys: Hydra's `+key=value` bypasses the schema."""
    sections: dict[str, Any] = {"": Root, "auxiliary.": Auxiliary}
    sections |= {"trainer.": Trainer, "evaluation.": Evaluation, "sweep.": Sweep}
    sections |= {"slurm.": Slurm, "tune.": Tune}
    for prefix, section in sections.items():
        allowed = sorted(f.name for f in fields(section))
        for key in map(str, node[prefix.rstrip(".")] if prefix else node):
            if key not in allowed:
                raise ConfigError(f"{prefix}{key} is unknown; choose from {', '.join(allowed)}")


def _check_root(node: DictConfig) -> None:
    try:
        component("degradation", "gaussian").Options(sigma=node.noise)
    except ValueError as error:
        raise ConfigError(str(error).replace("sigma", "noise", 1)) from error
    require_choice("supervision", node.supervision, SUPERVISIONS)
    for name in _names(node.logger):
        require_choice("logger", name, LOGGERS)
    require_choice("keep", node.keep, KEEPS)
    require_count("runs_per_device", node.runs_per_device, 1)
    if node.seed < 0:
        raise ConfigError(f"seed={node.seed} must be >= 0")
    if node.warmup_share is not None and not 0 <= node.warmup_share <= 1:
        raise ConfigError(f"warmup_share={node.warmup_share} must be between 0 and 1")
    if not 0 <= node.validation < 1:
        raise ConfigError(f"validation={node.validation} must be at least 0 and less than 1")
    if node.train_images is not None:
        require_count("train_images", node.train_images, 1)
    if not is_study(node.study):
        raise ConfigError(f"study={node.study} must be a plain folder name, such as local")
    if node.study in ("stages", "cache", "set-aside", "leases"):
        raise ConfigError(f"study={node.study} is reserved for all studies; use another name")


def _names(value: Any) -> list[str]:
    """A name, or a list of names, as a list without repetitions."""
    return list(dict.fromkeys([value] if isinstance(value, str) else map(str, value)))


def _check_together(config: Config) -> None:
    """Check that the parts fit together, which single values cannot show."""
    dataset, names = test_set_name(config.dataset), [*map(test_set_name, config.evaluate_on)]
    if len(set(names)) < len(names) or dataset in names:
        raise ConfigError(
            f"evaluate_on=[{','.join(names)}] must name datasets other than dataset={dataset}, "
            f"each once; two folders need two names, such as {{name: folder, root: /b, title: b}}"
        )
    learned = _place(config.dataset)
    if learned in map(_place, config.evaluate_on):
        raise ConfigError(
            f"evaluate_on: {learned[1]} is the folder that the run learns from; name another root"
        )
    if names and config.method.name == "recognizer":
        raise ConfigError("evaluate_on needs an enhancer, and method=recognizer has none")
    if names and config.validation:
        raise ConfigError(
            "evaluate_on is for testing, and validation= replaces testing; set only one of them"
        )
    method = component("method", config.method.name)
    method.check(config)
    if config.trainer.extend and (reason := method.build(config).stage().bound_to_length):
        raise ConfigError(
            f"trainer.extend=true: a longer training would not be equal to one at once, because "
            f"{reason}"
        )


def _place(dataset: Any) -> tuple[str, str]:
    """A dataset's name and its folder, wherever it is seen from; none where it has no files."""
    root = getattr(dataset, "root", "")
    return dataset.name, str(Path(root).resolve()) if root else ""


def _check_scale(config: Config, scale: int) -> None:
    """Check that `scale`, the degradation and the size of the images fit together."""
    from gradprom.metrics.registry import require_size  # with numpy, which `--help` does not need

    degradation = config.degradation
    shrinks = degradation.scale > 1
    if scale != 1 and not shrinks:
        raise ConfigError(
            f"scale={scale} has no effect with degradation={degradation.name}; use "
            f"degradation=downsample, or a mix with downsample in degradation.order"
        )
    if not shrinks and "downsample" in getattr(degradation, "order", [degradation.name]):
        raise ConfigError("down-sampling needs a factor; choose scale=2, scale=3, …")
    scored = method_scores(config)
    for dataset in (config.dataset, *config.evaluate_on):
        size = image_size(dataset)
        if not size:
            continue  # images of different sizes, which are checked when they are there
        try:
            degradation.output_shape((1, config.facts.inputs, size, size))
            require_size(scored, size, size)
        except ValueError as error:
            raise ConfigError(f"dataset.size={size}: {error}") from error


def method_scores(config: Config) -> tuple[str, ...]:
    """Names of the metrics of a run's images, and of its degraded inputs if they can be scored."""
    from gradprom import metrics

    scores: tuple[str, ...] = component("method", config.method.name).build(config).metrics()
    is_scored = config.facts.inputs == config.facts.channels
    return (*scores, *(metrics.USUAL if is_scored else ()))
