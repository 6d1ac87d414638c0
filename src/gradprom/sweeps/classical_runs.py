"""The runs of classical filters that a sweep plans beside its own, for rows of its tables."""

from collections.abc import Sequence
from dataclasses import replace

from gradprom import metrics
from gradprom.config.composing import Composer
from gradprom.experiments.overrides import OverrideList
from gradprom.identity import digest
from gradprom.methods import classical
from gradprom.runs.run import Run
from gradprom.sweeps import run_ids
from gradprom.sweeps.request import Request, make_run

_SECTIONS = ("dataset", "degradation", "evaluation")
"""Sections of the configuration that set test conditions."""
_KEYS = (
    *("profile", "noise", "size", "validation", "train_images", "evaluate_on"),
    *("trainer.device", "trainer.devices", "trainer.batch_size"),
)
"""Further keys that set test conditions, and those of the devices that a job has."""


def with_classical(request: Request, filters: Sequence[str], composer: Composer) -> Request:
    """Add a run of each filter for each distinct test condition that it can serve.

    Test conditions are the dataset, noise of a known level, and what evaluation reads. Runs that
    restore no images have none, nor have filters; runs that the sweep has anyway are not added.

    Parameters
    ----------
    request
        The runs that were asked for.
    filters
        Values of `method.filter`.
    composer
        Composes the configuration of one run.

    Raises
    ------
    ConfigError
        If a filter is unknown.
    NotServed
        If a filter is not installed.
    """
    if not filters:
        return request
    asked = {run.id for run in request.runs}
    added: dict[str, Run] = {}
    jobs = dict(request.jobs)
    for run in _distinct(request.runs):
        for name in filters:
            method = ["method=classical", f"method.filter={name}"]
            overrides = [*_conditions(request.jobs[run.id]), *method]
            filter_run = make_run(*composer(overrides), [*_conditions(run.overrides), *method])
            if filter_run.id not in asked:
                added.setdefault(filter_run.id, filter_run)
                jobs.setdefault(filter_run.id, overrides)
    return replace(request, classical=[*added.values()], jobs=jobs)


def _distinct(runs: list[Run]) -> list[Run]:
    """One run for each test condition that classical filters can serve."""
    distinct: dict[str, Run] = {}
    for run in runs:
        c = run.config
        restores = not set(metrics.USUAL).isdisjoint(run.method.metrics())
        noisy = isinstance(c.degradation, classical.SERVED) and c.facts.inputs == c.facts.channels
        if restores and noisy and not isinstance(c.method, classical.Options):
            images = [c.dataset, c.evaluate_on, c.validation, c.train_images]
            distinct.setdefault(digest([*images, c.degradation, c.evaluation]), run)
    return list(distinct.values())


def _conditions(overrides: OverrideList) -> OverrideList:
    """The overrides that say on which images a run is tested, and where it computes and writes."""

    def kept(text: str) -> bool:
        key = text.partition("=")[0].lstrip("+~")
        return key in _KEYS or key.split(".")[0] in _SECTIONS or run_ids.is_place(text)

    return list(filter(kept, overrides))
