"""A tuning as Optuna keeps it: a journal file that several processes share.

    results/<study>/tune/<name>-<id>/journal.log   Optuna's study: what was drawn, what came out
                                     runs/<id>/    the trials' records, as those of any study
                                     report/       what `gradprom report tune=<name>` writes

What is drawn for a trial follows from the seed, the trial's number and what the trials before it
have told, so that an interrupted study goes on as if there had been no cut. Nothing here imports
torch.
"""

import math
import warnings
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from gradprom.config import Tune
from gradprom.metrics.registry import metric
from gradprom.randomness import stream
from gradprom.tuning.space import Params, Space

JOURNAL = "journal.log"

optuna.logging.set_verbosity(optuna.logging.ERROR)


def create(folder: Path, told: dict[str, Any]) -> optuna.Study:
    """The study of a folder, made if it is not there; `told` is kept with it.

    Its `metric` says which way is better.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lower = metric(told["metric"]).better == "lower"
    study = optuna.create_study(
        study_name=folder.name,
        storage=_storage(folder),
        direction="minimize" if lower else "maximize",
        load_if_exists=True,
    )
    for key, value in told.items():
        if study.user_attrs.get(key) != value:
            study.set_user_attr(key, value)
    return study


def load(folder: Path, pruner: optuna.pruners.BasePruner | None = None) -> optuna.Study:
    """A study that is there."""
    return optuna.load_study(study_name=folder.name, storage=_storage(folder), pruner=pruner)


def _storage(folder: Path) -> JournalStorage:
    path = str((folder / JOURNAL).resolve())
    # making a file that must not exist yet is atomic on NFS too
    return JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))


def trial(study: optuna.Study, number: int) -> Trial:
    """A trial that has not ended, to report to."""
    return Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)


def left(study: optuna.Study) -> list[int]:
    """Numbers of the trials that were begun and whose end nobody has told."""
    return [t.number for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]


def draw(study: optuna.Study, number: int, space: Space, tune: Tune) -> Params:
    """What a trial tries, drawn the first time that it is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna 4 calls both options that
        study.sampler = optuna.samplers.TPESampler(
            seed=stream(tune.seed, number) % 2**32,
            n_startup_trials=tune.startup,
            multivariate=True,  # λ and a learning rate make up for each other
            constant_liar=True,  # trials at the same time keep away from each other
        )
    begun = trial(study, number)
    return {key: _suggest(begun, key, values) for key, values in space.items()}


def _suggest(begun: Trial, key: str, values: Any) -> Any:
    if isinstance(values, CategoricalDistribution):
        return begun.suggest_categorical(key, values.choices)
    kind: Any = begun.suggest_int if isinstance(values, IntDistribution) else begun.suggest_float
    return kind(key, values.low, values.high, step=values.step, log=values.log)


def pruner(tune: Tune, before: int, epochs: int) -> optuna.pruners.BasePruner:
    """Ends a trial whose best value is worse than the median of the others' at the same epoch.

    Parameters
    ----------
    tune
        When it begins.
    before
        The enhancer's epochs before coupled training; steps are counted with them.
    epochs
        Epochs of coupled training.
    """
    idle = before + math.ceil(tune.prune_after * epochs)
    return optuna.pruners.MedianPruner(n_startup_trials=tune.startup, n_warmup_steps=idle)


def tell(study: optuna.Study, number: int, value: float) -> None:
    """A trial has finished, with the value that it is worth; one that is no number has failed."""
    if math.isfinite(value):
        study.tell(number, value)
    else:
        tell_failed(study, number, f"its score is {value}")


def tell_failed(study: optuna.Study, number: int, reason: str) -> None:
    """A trial has failed; the reason is kept with it."""
    trial(study, number).set_user_attr("reason", reason)
    study.tell(number, state=TrialState.FAIL)


def tell_pruned(study: optuna.Study, number: int) -> None:
    """A trial was pruned."""
    study.tell(number, state=TrialState.PRUNED)


def report(begun: Trial, epoch: int, value: float) -> None:
    """What a trial is worth after an epoch; told once, whatever is trained again after a kill."""
    there = begun.study.get_trials(deepcopy=False)[begun.number].intermediate_values
    if epoch not in there:
        begun.report(value, epoch)


def best(study: optuna.Study) -> FrozenTrial | None:
    """The trial of the best value; None while none has finished."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction == optuna.study.StudyDirection.MINIMIZE else 1
    return max(done, key=lambda t: sign * cast(float, t.value), default=None)
