"""What a sweep was asked for: the Cartesian product of its words, or the cells of experiments."""

from dataclasses import dataclass, field
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from gradprom import config
from gradprom.config import composing
from gradprom.config.composing import Composer
from gradprom.errors import DataError, NotServed, first_line
from gradprom.experiments.expansion import (
    Expansion,
    Identify,
    Identity,
    Words,
    expanded,
    key_of,
    values_of,
)
from gradprom.runs.records import Study
from gradprom.runs.run import Run, plain
from gradprom.sweeps import run_ids


@dataclass
class Request:
    """The runs of a sweep, the words of each, and the experiments whose cells they are."""

    runs: list[Run]
    jobs: dict[str, Words]
    """By run id, as Hydra's launcher takes them."""
    expansions: list[Expansion] = field(default_factory=list)
    asked: Words = field(default_factory=list)
    """The words that narrowed the experiments."""


def read(arguments: list[str], composer: Composer) -> Request:
    """Compose and type every run that some words ask for.

    Raises
    ------
    ConfigError
        In one sentence, for what is not allowed.
    """
    overrides = OverridesParser.create().parse_overrides(arguments)
    asked = [o for o in overrides if key_of(o) == "experiment"]
    if asked:
        rest = [word for word, o in zip(arguments, overrides, strict=True) if o not in asked]
        return _of_experiments(values_of(asked[-1]), rest, composer)
    [jobs] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    varied = {key_of(override) for override in overrides if override.is_sweep_override()}
    runs = [
        make_run(
            *composer(job), [word for word in job if word.split("=")[0].lstrip("+~") in varied]
        )
        for job in jobs
    ]
    return Request(runs, {run.id: job for run, job in zip(runs, jobs, strict=True)})


def make_run(node: DictConfig, choices: dict[str, str], overrides: Words) -> Run:
    """A typed run from a composed node, labelled by `overrides`."""
    return Run(
        config.load(node),
        composed=plain(node),
        choices={group: name for group, name in choices.items() if "hydra/" not in group},
        overrides=overrides,
    )


def _of_experiments(names: list[str], words: Words, composer: Composer) -> Request:
    places = [word for word in words if run_ids.is_place(word)]
    asked = [word for word in words if not run_ids.is_place(word)]
    node, _ = composer(places)
    study = Study(Path(node.results), node.study)
    built: dict[str, Run] = {}
    work_out = identify_with(composer, built, places)

    def identify(asked: list[Words]) -> list[Identity]:
        found = work_out(asked)
        run_ids.keep(list(zip(asked, found, strict=True)), study.results)
        return found

    expansions = expanded(names, asked, identify, study)
    _drop_untestable(expansions, built)
    jobs: dict[str, Words] = {}
    for cell in (cell for expansion in expansions for cell in expansion.cells):
        jobs |= {cell.runs[seed]: [*cell.words[seed], *places] for seed in cell.runs}
    return Request([built[run_id] for run_id in jobs], jobs, expansions, asked)


def identify_with(composer: Composer, built: dict[str, Run], places: Words) -> Identify:
    """Identities worked out in this process; the runs are left in `built`, by id."""

    def identify(asked: list[Words]) -> list[Identity]:
        found = []
        common = set.intersection(*map(set, asked)) if len(asked) > 1 else set()
        for words in asked:
            label = [word for word in words if word not in common]
            try:
                run = make_run(*composer([*words, *places]), label)
            except NotServed as error:
                found.append(Identity(problem=str(error)))
                continue
            built.setdefault(run.id, run)
            found.append(Identity(run.id))
        return found

    return identify


def shell_composer() -> Composer:
    """For words that come from outside Hydra's own command line."""
    return Composer(composing.compose)


def _drop_untestable(expansions: list[Expansion], built: dict[str, Run]) -> None:
    """A cell whose further test set is not on disk cannot be served; the others can."""
    for cell in (cell for expansion in expansions for cell in expansion.cells if cell.runs):
        try:
            built[next(iter(cell.runs.values()))].test_sets()
        except DataError as error:
            cell.runs = {}
            cell.problem = f"evaluate_on: {first_line(error)}"
