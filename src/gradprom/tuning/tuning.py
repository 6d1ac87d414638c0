"""What `-m tune=…` asks for: a base configuration, a search space around it, and their study."""

import functools
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gradprom.config import Config, Tune, component
from gradprom.config.checks import require_choice
from gradprom.config.composing import Composer
from gradprom.config.folders import choices
from gradprom.errors import ConfigError
from gradprom.experiments.overrides import OverrideList, key_of, parse
from gradprom.identity import digest
from gradprom.launch.submission import Packing
from gradprom.metrics.registry import tunable
from gradprom.runs.records import Study
from gradprom.runs.run import Run
from gradprom.sweeps.request import make_run
from gradprom.tuning import space, top_key
from gradprom.tuning.space import Params, Space


@dataclass
class Tuning:
    """A search whose runs at the corners of its space are composed and type-checked."""

    name: str
    """The file of the group `tune`."""
    options: Tune
    space: Space
    fixed: OverrideList
    """The overrides of the command line, without the searched keys."""
    corners: list[Run]
    """The runs at the corners of the space."""
    composer: Composer
    launcher: str
    packing: Packing
    dry_run: bool

    @functools.cached_property
    def study(self) -> Study:
        """The tuning's own study, inside the study of the command line; equal searches share it."""
        o, outer = self.options, self.corners[0].study
        search_id = digest(
            {
                "corners": [run.id for run in self.corners],
                "data": self.corners[0].images().fingerprint,
                "space": space.canonical(self.space),
                "options": [o.metric, o.seed, o.startup, o.prune_after, *self._seeds_as_read()],
            }
        )
        return Study(outer.results, f"{outer.name}/tune/{self.name}-{search_id}")

    @property
    def overrides(self) -> OverrideList:
        """The overrides that train the base configuration."""
        return [text for text in self.fixed if top_key(text) != "tune"]

    @property
    def seeds(self) -> list[int]:
        """The training seeds of a trial's runs."""
        first = self.corners[0].config.seed
        return list(range(first, first + self.options.seeds))

    def _seeds_as_read(self) -> list[int]:
        # ids of tunings are older than trials of several runs
        return [self.options.seeds] if self.options.seeds > 1 else []

    def job(self, number: int, params: Params, seed: int | None = None) -> OverrideList:
        """The overrides of a trial's run; `seed` is that of the training, by default the first."""
        places = [f"study={self.study.name}", f"tune.trial={number}"]
        others = [f"seed={seed}"] if seed not in (None, self.seeds[0]) else []
        held_out = _validation_override(self.options)
        return [*self.fixed, held_out, *space.overrides(params), *others, *places]

    def run(self, number: int, params: Params, seed: int | None = None) -> Run:
        """A trial's run; `seed` is that of the training, by default the first.

        Raises
        ------
        ConfigError
            If its parameters cannot be combined.
        """
        label = [f"trial {number}:", *(f"{key}={short(v)}" for key, v in params.items())]
        label += [f"seed={seed}"] if seed is not None and len(self.seeds) > 1 else []
        return make_run(*self.composer(self.job(number, params, seed)), label)


def read_tuning(arguments: OverrideList, composer: Composer) -> Tuning:
    """Compose and type-check a tuning at the corners of its space, and load its data.

    An override with several values adds its key to the space; one with a single value removes it.

    Raises
    ------
    ConfigError
        In one sentence, for an invalid override.
    DataError
        If the dataset is invalid, or nothing can be held out of it.
    """
    overrides = parse(arguments)
    typed = [
        (key_of(o), text, o.is_sweep_override())
        for o, text in zip(overrides, arguments, strict=True)
    ]
    swept = {key: text.split("=", 1)[1] for key, text, several in typed if several}
    if "tune" in swept:
        raise ConfigError(f"tune={swept['tune']}: one tuning at a time")
    fixed = [text for _, text, several in typed if not several and top_key(text) != "sweep"]
    node, choices = composer([text for _, text, several in typed if not several])
    options = _options(node, choices.get("tune"))
    free = {key: text for key, text in options.space.items() if key not in {t[0] for t in typed}}
    search_space = space.read(free | swept)
    corners = []
    for params in space.corners(search_space):
        label = space.overrides(params)
        corners.append(make_run(*composer([*fixed, _validation_override(options), *label]), label))
    _check_metric(options.metric, [run.config for run in corners])
    corners[0].images()
    launcher = choices["hydra/launcher"]
    return Tuning(
        choices["tune"],
        options,
        search_space,
        fixed,
        corners,
        composer,
        launcher,
        Packing.of(node),
        node.sweep.dry_run,
    )


def _options(node: DictConfig, name: str | None) -> Tune:
    """The tuning's options; ConfigError for keys that a tuning cannot be combined with."""
    if not name:
        raise ConfigError(f"nothing is tuned; choose tune= from {', '.join(choices('tune'))}")
    if node.experiment:
        raise ConfigError(
            f"experiment={node.experiment} and tune= cannot be combined: tune first, then sweep "
            f"the experiment with the best overrides"
        )
    if node.validation:
        raise ConfigError("validation= is for single runs; use tune.validation for a tuning")
    if node.sweep.retry_failed:
        raise ConfigError(
            "sweep.retry_failed is for sweeps: a failed trial is a result of the tuning; "
            "use a larger tune.trials to add trials"
        )
    if not node.slurm.wait:
        raise ConfigError(
            "slurm.wait=false cannot be combined with tune=: a trial's parameters depend on the "
            "results of the trials before it; set slurm.wait=true"
        )
    try:
        options = OmegaConf.to_object(node.tune)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    assert isinstance(options, Tune)
    require_choice("tune.metric", options.metric, tunable())
    return options


def _validation_override(tune: Tune) -> str:
    """The override that scores a run on the validation split."""
    return f"validation={tune.validation}"


def _check_metric(metric: str, configs: list[Config]) -> None:
    """Check that every run of a tuning has the metric that is optimized."""
    for config in configs:
        scored = component("method", config.method.name).build(config).metrics()
        if metric not in scored:
            raise ConfigError(
                f"tune.metric={metric} is not a score of every run in this space; choose from "
                f"{', '.join(scored)}"
            )


def short(value: Any) -> str:
    """A parameter as short text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
