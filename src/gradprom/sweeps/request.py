"""The runs of a sweep: the Cartesian product of its overrides, or the cells of experiments."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from omegaconf import DictConfig

from gradprom import config
from gradprom.config import composing
from gradprom.config.composing import Composer
from gradprom.config.places import absolute, given
from gradprom.errors import ConfigError, GradpromError, NotOnDisk, NotServed, first_line
from gradprom.experiments import on_the_fly
from gradprom.experiments.expansion import Expansion, Identify, Identity, expanded, require_all_used
from gradprom.experiments.overrides import OverrideList, key_of, parse, values_of
from gradprom.identity import digest
from gradprom.runs import data_checks
from gradprom.runs.record_config import dotted
from gradprom.runs.records import Study
from gradprom.runs.run import Run, plain
from gradprom.sweeps import run_ids


@dataclass
class Request:
    """The runs of a sweep, the overrides of each, and the experiments that they belong to."""

    runs: list[Run]
    jobs: dict[str, OverrideList]
    """The overrides of each run as Hydra's launcher takes them, by run id."""
    expansions: list[Expansion] = field(default_factory=list)
    narrowing: OverrideList = field(default_factory=list)
    """The overrides that narrowed the experiments."""
    swept: Expansion | None = None
    """The product of overrides as an experiment; None if the runs are those of declared ones."""
    classical: list[Run] = field(default_factory=list)
    """Runs of classical filters beside the others (`sweeps.classical_runs`)."""


def read_request(arguments: OverrideList, composer: Composer) -> Request:
    """Compose and check the configuration of every run of a sweep.

    Parameters
    ----------
    arguments
        Overrides of the command line, sweeps among them.
    composer
        Composes the configuration of one run.

    Raises
    ------
    ConfigError
        For the first override or configuration that is not allowed.
    """
    overrides = parse(arguments)
    for override in overrides:
        if override.is_interval_sweep():
            raise ConfigError(
                f"{override.input_line}: only tune= draws from an interval; a sweep takes values, "
                f"such as {override.key_or_group}=0.1,0.2 or range(start,stop,step)"
            )
    keys = [key_of(override) for override in overrides]
    if "experiment" in keys:
        last = overrides[len(keys) - 1 - keys[::-1].index("experiment")]
        rest = [text for text, key in zip(arguments, keys, strict=True) if key != "experiment"]
        return _experiment_request(values_of(last), rest, composer)
    [jobs] = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    varied = {key_of(override) for override in overrides if override.is_sweep_override()}
    runs = [
        make_run(
            *composer(job), [text for text in job if text.split("=")[0].lstrip("+~") in varied]
        )
        for job in jobs
    ]
    # what varies stands first: it tells the sweep from others
    first = sorted(arguments, key=lambda text: text.split("=")[0].lstrip("+~") not in varied)
    caption = " ".join(text for text in first if not run_ids.is_place(text))
    return Request(
        runs,
        {run.id: job for run, job in zip(runs, jobs, strict=True)},
        swept=_swept(runs, caption or "As configured."),
    )


def _swept(runs: list[Run], caption: str) -> Expansion:
    """A sweep as an experiment, which is named after its runs, as the plan is."""
    name = digest(sorted({run.id for run in runs}))
    points = [_point(run) for run in runs]
    return on_the_fly.experiment_of(points, f"sweep-{name}", f"Sweep {name}", caption)


def _point(run: Run) -> on_the_fly.Point:
    """A run with the sweep's choices for it, in the sweep's order."""
    pairs = (text.lstrip("+~").partition("=") for text in run.overrides)
    reads = run.reads
    name = next(group for group in on_the_fly.NAMES if group in reads or group == "method")
    return on_the_fly.Point(
        id=run.id,
        seed=run.config.seed,
        degradation=asdict(run.config)["degradation"],
        choices={key: value for key, _, value in pairs if key != "seed"},
        groups=frozenset(run.choices),
        names={name: run.choices[name]},
        reads=dotted(reads),
        scores=run.method.metrics(),
    )


def make_run(node: DictConfig, choices: dict[str, str], overrides: OverrideList) -> Run:
    """A run from a composed configuration.

    Parameters
    ----------
    node
        The configuration that Hydra composed.
    choices
        The file chosen for each group.
    overrides
        The overrides that label it.
    """
    return Run(
        config.load(node),
        composed=plain(node),
        choices={group: name for group, name in choices.items() if "hydra/" not in group},
        # which may be a secret, and a record is shown to others
        overrides=[text for text in overrides if not text.lstrip("+").startswith("notify=")],
    )


def _experiment_request(names: list[str], overrides: OverrideList, composer: Composer) -> Request:
    places = [text for text in overrides if run_ids.is_place(text)]
    narrowing = [text for text in overrides if not run_ids.is_place(text)]
    require_all_used(names, narrowing)
    node, _ = composer(places)
    narrowing += _title(composer, places, narrowing)
    study = Study(Path(absolute(given(node.results))), node.study)
    built: dict[str, Run] = {}
    identify_here = identify_with(composer, built, places)

    def identify(runs: list[OverrideList]) -> list[Identity]:
        identities = identify_here(runs)
        run_ids.save(list(zip(runs, identities, strict=True)), study.results)
        return identities

    expansions = expanded(names, narrowing, identify, study)
    jobs: dict[str, OverrideList] = {}
    for cell in (cell for expansion in expansions for cell in expansion.cells):
        jobs |= {cell.runs[seed]: [*cell.overrides[seed], *places] for seed in cell.runs}
    return Request([built[run_id] for run_id in jobs], jobs, expansions, narrowing)


def _title(composer: Composer, places: OverrideList, narrowing: OverrideList) -> OverrideList:
    """What a folder of the command line is called, as an override, if it is not among them.

    It follows from `data_root` and the dataset's folders, which no id depends on otherwise and
    reports do not know.
    """
    datasets = [text for text in narrowing if text.startswith("dataset=") and "," not in text]
    if not datasets or any(text.startswith("dataset.title=") for text in narrowing):
        return []
    # its folders are among the options that do not vary
    fixed = [text for text in narrowing if text.startswith("dataset.") and "," not in text]
    title = composer([*places, *datasets, *fixed])[0].dataset.get("title")
    if not title:
        return []
    plain = title if title.isascii() and title.isidentifier() else repr(title)
    return [f"dataset.title={plain}"]


def identify_with(composer: Composer, built: dict[str, Run], places: OverrideList) -> Identify:
    """A function that computes identities in this process.

    Parameters
    ----------
    composer
        Composes the configuration of one run.
    built
        The runs are added to it, by id.
    places
        Overrides of folders and the like, which have no effect on ids.
    """

    def identify(runs: list[OverrideList]) -> list[Identity]:
        identities = []
        common = set.intersection(*map(set, runs)) if len(runs) > 1 else set()
        for overrides in runs:
            label = [text for text in overrides if text not in common]
            try:
                run = make_run(*composer([*overrides, *places]), label)
            except NotServed as error:
                identities.append(Identity(problem=str(error)))
                continue
            built.setdefault(run.id, run)
            identities.append(Identity(run.id))
        return identities

    return identify


def shell_composer() -> Composer:
    """A composer for overrides that do not come from Hydra's own command line."""
    return Composer(composing.compose)


def served(request: Request) -> Request:
    """The request without the cells whose datasets are not on disk, or lack what runs need.

    It reads the datasets. Cells say why they are left out; a sweep without a declared experiment
    is left as it is, for each of its runs was asked for.

    Raises
    ------
    GradpromError
        If no cell is left, or a dataset is there and wrong.
    """
    runs = {run.id: run for run in request.runs}
    refused: GradpromError | None = None
    for cell in (cell for expansion in request.expansions for cell in expansion.cells):
        try:
            for run_id in list(cell.runs.values())[:1]:
                data_checks.require_served(runs[run_id])
        except (NotOnDisk, NotServed) as error:
            cell.runs, refused = {}, refused or error
            # the first sentence: how to get a dataset is told where nothing else is left to run
            cell.problem = first_line(error).partition(". ")[0].rstrip(":")
    left = {run_id for expansion in request.expansions for run_id in expansion.runs}
    if refused is None:
        return request
    if not left:
        raise refused
    jobs = {run_id: job for run_id, job in request.jobs.items() if run_id in left}
    return replace(request, runs=[runs[run_id] for run_id in jobs], jobs=jobs)
