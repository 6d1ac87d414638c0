"""What finished runs tell a tuning: their scores by epoch and image, and trials that they are.

`tune.records` names studies whose runs are taken as finished trials. Such a run was trained with
the same images held out and scored on them; it is a trial if one with its parameters would have
its id, so that nothing but the parameters can differ. Its record is copied to the tuning's own.
"""

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from gradprom.disk.usage import studies
from gradprom.errors import ConfigError, GradpromError
from gradprom.experiments.overrides import parse
from gradprom.metrics.registry import metric as metric_of
from gradprom.reports.compare import image_scores
from gradprom.runs import history, merging
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.runs.run import Run
from gradprom.tuning import journal
from gradprom.tuning.attempt import enhancer_epochs
from gradprom.tuning.space import Params
from gradprom.tuning.tuning import Tuning

ALL = "all"


def bring(tuning: Tuning, study: optuna.Study) -> Iterator[str]:
    """Add the runs of `tune.records` as trials, each once; yields a line for each study.

    Raises
    ------
    ConfigError
        If there is no study of a name.
    """
    taken = {trial.user_attrs.get("run") for trial in study.get_trials(deepcopy=False)}
    for source in _sources(tuning):
        records = [record for record in source.records() if _may_be(tuning, record)]
        by_params: dict[tuple[Any, ...], dict[int, Record]] = {}
        for record in records:
            if (params := _params(tuning, source, record)) is not None:
                by_params.setdefault(tuple(params.items()), {})[record.seed] = record
        added = 0
        for items, runs in by_params.items():
            first = runs.get(tuning.seeds[0])
            if first is None or len(runs) < len(tuning.seeds) or first.id in taken:
                continue
            try:
                study.add_trial(_trial(tuning, source, dict(items), runs))
            except ValueError:  # a value between the steps of a range
                continue
            for record in runs.values():
                merging.bring_run(tuning.study, source, record)
            taken.add(first.id)
            added += 1
        yield f"study {source.name}: {added} trial{'s' * (added != 1)} taken from its records"


def curve(study: Study, run: Run, metric: str) -> dict[int, float]:
    """Validation scores of a run by the enhancer's epoch, from its history in a study."""
    logged = history.read(study.run(run.id))
    scores = logged.values(f"validation_{metric}")
    measured = np.flatnonzero(np.isfinite(scores))
    if not measured.size:
        return {}
    before, epochs = enhancer_epochs(run)[0], logged.cells("epoch")
    return {before + int(epochs[row]): float(scores[row]) for row in measured}


def image_values(study: Study, run_id: str, metric: str, seed: int) -> dict[int, float]:
    """A finished run's score on each image alone, by a number for the image and the seed.

    Images on which there is nothing to score, or whose score is infinite, are left out.

    Parameters
    ----------
    study, run_id
        The run.
    metric
        Its name.
    seed
        The place of the run's seed among the trial's.
    """
    table = image_scores(study, run_id).sort_index()
    columns = {str(name): table[name].to_numpy() for name in table.columns}
    values = metric_of(metric).score(columns, np.eye(len(table)))
    first = seed * len(table)
    return {first + place: float(v) for place, v in enumerate(values) if np.isfinite(v)}


def _sources(tuning: Tuning) -> list[Study]:
    """The studies of `tune.records`, but for the tuning's own."""
    results, names = tuning.study.results, tuning.options.records
    others = [study for study in studies(results) if study.name != tuning.study.name]
    unknown = set(names) - {ALL, *(study.name for study in others)}
    if unknown:
        known = ", ".join(study.name for study in others) or "none"
        raise ConfigError(
            f"tune.records: there is no study {', '.join(sorted(unknown))} in {results}; choose "
            f"from {known}, or {ALL}"
        )
    return [study for study in others if ALL in names or study.name in names]


def _may_be(tuning: Tuning, record: Record) -> bool:
    """Whether a record is that of a run scored on the tuning's validation split."""
    same_data = record.dataset.fingerprint == tuning.corners[0].images().fingerprint
    held_out = record.setting("validation") == tuning.options.validation
    return record.finished and same_data and held_out and record.seed in tuning.seeds


def _params(tuning: Tuning, source: Study, record: Record) -> Params | None:
    """The parameters with which a trial would be this run; None if there are none."""
    node = OmegaConf.load(source.run(record.id) / "config.yaml")
    params: Params = {}
    for key, values in tuning.space.items():
        plain = key.lstrip("+~")
        recorded = record.choices.get(plain, OmegaConf.select(node, plain))
        if (value := _value(key, values, recorded)) is None:
            return None
        params[key] = value
    try:
        run = tuning.run(-1, params, record.seed)
    except GradpromError:
        return None
    return params if run.id == record.id else None


def _value(key: str, values: Any, recorded: Any) -> Any:
    """A recorded value as Optuna has it; None if it is none of the space's."""
    if isinstance(values, CategoricalDistribution):
        parsed = {choice: parse([f"{key}={choice}"])[0].value() for choice in values.choices}
        return next((choice for choice, value in parsed.items() if value == recorded), None)
    if isinstance(recorded, bool) or not isinstance(recorded, int | float):
        return None
    whole = isinstance(values, IntDistribution)
    value = int(recorded) if whole else float(recorded)
    return value if value == recorded and values.low <= value <= values.high else None


def _trial(tuning: Tuning, source: Study, params: Params, runs: dict[int, Record]) -> FrozenTrial:
    metric, seeds = tuning.options.metric, tuning.seeds
    values = [runs[seed].metrics[metric] for seed in seeds]
    attributes = {
        "run": runs[seeds[0]].id,
        journal.IMPORTED: source.name,
        "reason": f"from study {source.name}",
    }
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE,
        value=statistics.fmean(values),
        params=params,
        distributions=tuning.space,
        user_attrs=attributes,
        intermediate_values=_reported(tuning, source, params, runs),
    )


def _reported(
    tuning: Tuning, source: Study, params: Params, runs: dict[int, Record]
) -> dict[int, float]:
    """What the trial would have reported."""
    metric, seeds = tuning.options.metric, tuning.seeds
    if len(seeds) == 1:
        return curve(source, tuning.run(-1, params), metric)
    values: dict[int, float] = {}
    for place, seed in enumerate(seeds):
        values |= image_values(source, runs[seed].id, metric, place)
    return values
