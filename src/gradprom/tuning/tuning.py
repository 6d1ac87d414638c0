"""What `-m tune=…` asks for: a base configuration, a space around it, and where they are kept."""

import functools
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from gradprom.config import Config, Tune, component
from gradprom.config.checks import require_choice
from gradprom.config.composing import Composer
from gradprom.config.folders import choices
from gradprom.errors import ConfigError
from gradprom.experiments.overrides import OverrideList, key_of
from gradprom.identity import digest
from gradprom.launch.submission import Manner
from gradprom.metrics.registry import tunable
from gradprom.runs.records import Study
from gradprom.runs.run import Run
from gradprom.sweeps.request import make_run
from gradprom.tuning import space as spaces
from gradprom.tuning import top
from gradprom.tuning.space import Params, Space


@dataclass
class Tuning:
    """A search, composed and typed at the corners of its space."""

    name: str
    """The file of the group `tune`."""
    options: Tune
    space: Space
    fixed: OverrideList
    """What was typed, without the searched keys."""
    corners: list[Run]
    """The runs at the corners of the space."""
    composer: Composer
    launcher: str
    manner: Manner
    dry_run: bool

    @functools.cached_property
    def study(self) -> Study:
        """Its own study inside the one that was asked for: equal searches have one place."""
        o, outer = self.options, self.corners[0].study
        found = digest(
            {
                "corners": [run.id for run in self.corners],
                "data": self.corners[0].images().fingerprint,
                "space": spaces.canonical(self.space),
                "options": [o.metric, o.seed, o.startup, o.prune_after],
            }
        )
        return Study(outer.results, f"{outer.name}/tune/{self.name}-{found}")

    @property
    def words(self) -> OverrideList:
        """The base configuration as one would train it."""
        return [word for word in self.fixed if top(word) != "tune"]

    def job(self, number: int, params: Params) -> OverrideList:
        """A trial's run as it would be typed."""
        places = [f"study={self.study.name}", f"tune.trial={number}"]
        return [*self.fixed, _held_out(self.options), *spaces.words(params), *places]

    def run(self, number: int, params: Params) -> Run:
        """A trial's run; ConfigError if its parameters do not go together."""
        label = [f"trial {number}:", *(f"{key}={short(v)}" for key, v in params.items())]
        return make_run(*self.composer(self.job(number, params)), label)


def read(arguments: OverrideList, composer: Composer) -> Tuning:
    """Compose and type a tuning at the corners of its space, and look at its data.

    A word with several values is searched as well; one with a single value is searched no more.

    Raises
    ------
    ConfigError
        In one sentence, for what is not allowed.
    DataError
        If the dataset is not as it should be, or nothing can be held out of it.
    """
    overrides = OverridesParser.create().parse_overrides(arguments)
    typed = [
        (key_of(o), word, o.is_sweep_override())
        for o, word in zip(overrides, arguments, strict=True)
    ]
    swept = {key: word.split("=", 1)[1] for key, word, several in typed if several}
    if "tune" in swept:
        raise ConfigError(f"tune={swept['tune']}: one tuning at a time")
    fixed = [word for _, word, several in typed if not several and top(word) != "sweep"]
    node, choices = composer([word for _, word, several in typed if not several])
    options = _options(node, choices.get("tune"))
    free = {key: text for key, text in options.space.items() if key not in {t[0] for t in typed}}
    space = spaces.read(free | swept)
    corners = []
    for params in spaces.corners(space):
        told = spaces.words(params)
        corners.append(make_run(*composer([*fixed, _held_out(options), *told]), told))
    _check_metric(options.metric, [run.config for run in corners])
    corners[0].images()
    launcher = choices["hydra/launcher"]
    return Tuning(
        choices["tune"],
        options,
        space,
        fixed,
        corners,
        composer,
        launcher,
        Manner.of(node),
        node.sweep.dry_run,
    )


def _options(node: DictConfig, name: str | None) -> Tune:
    """The tuning's options, and what a tuning cannot be asked for with."""
    if not name:
        raise ConfigError(f"nothing is tuned; choose tune= from {', '.join(choices('tune'))}")
    if node.experiment:
        raise ConfigError(
            f"experiment={node.experiment} and tune= are two things: tune first, and sweep the "
            f"experiment with the words that came out best"
        )
    if node.validation:
        raise ConfigError("validation= is for single runs; a tuning has tune.validation")
    if node.sweep.retry_failed:
        raise ConfigError(
            "sweep.retry_failed is for sweeps: what has failed tells a tuning something; "
            "a larger tune.trials adds trials"
        )
    if not node.slurm.wait:
        raise ConfigError(
            "slurm.wait=false does not go with tune=: what a trial tries depends on the results "
            "of those before it; set slurm.wait=true"
        )
    try:
        options = OmegaConf.to_object(node.tune)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    assert isinstance(options, Tune)
    require_choice("tune.metric", options.metric, tunable())
    return options


def _held_out(tune: Tune) -> str:
    """The word that has a run scored on the validation split."""
    return f"validation={tune.validation}"


def _check_metric(metric: str, configs: list[Config]) -> None:
    """Whether every run of a tuning has a score to be judged by."""
    for config in configs:
        scored = component("method", config.method.name).build(config).metrics()
        if metric not in scored:
            raise ConfigError(
                f"tune.metric={metric} is no score of every run in this space; choose from "
                f"{', '.join(scored)}"
            )


def short(value: Any) -> str:
    """A parameter as a person reads it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
