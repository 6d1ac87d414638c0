"""A tuning as Optuna stores it: a journal file that several processes share.

    results/<study>/tune/<name>-<id>/journal.log   Optuna's study: parameters and results of trials
                                     runs/<id>/    the trials' records, as those of any study
                                     report/       what `gradprom report tune=<name>` writes

A trial's parameters follow from the seed, the trial's number and the results of the trials before
it, so that an interrupted study continues as if it had not been interrupted. Nothing here imports
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
DOUBT = 0.1
"""The p of the paired test below which a trial of several runs counts as worse than the best."""
IMPORTED = "from"
"""The attribute of trials that were taken from records: the study that has them."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


def create(folder: Path, attributes: dict[str, Any]) -> optuna.Study:
    """The study of a folder, created if there is none.

    Parameters
    ----------
    folder
        The folder of the journal.
    attributes
        Stored with the study; `metric` decides whether it is minimized or maximized.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lower = metric(attributes["metric"]).better == "lower"
    study = optuna.create_study(
        study_name=folder.name,
        storage=_storage(folder),
        direction="minimize" if lower else "maximize",
        load_if_exists=True,
    )
    for key, value in attributes.items():
        if study.user_attrs.get(key) != value:
            study.set_user_attr(key, value)
    return study


def load(folder: Path, pruner: optuna.pruners.BasePruner | None = None) -> optuna.Study:
    """An existing study."""
    return optuna.load_study(study_name=folder.name, storage=_storage(folder), pruner=pruner)


def _storage(folder: Path) -> JournalStorage:
    path = str((folder / JOURNAL).resolve())
    # creating a file exclusively is atomic on NFS too
    return JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))


def trial(study: optuna.Study, number: int) -> Trial:
    """A trial that has not ended, for reports."""
    return Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)


def unfinished(study: optuna.Study) -> list[int]:
    """Numbers of the trials that were started and whose end was not reported."""
    return [t.number for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]


def draw(study: optuna.Study, number: int, space: Space, tune: Tune) -> Params:
    """A trial's parameters, sampled at the first call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna 4 calls both options that
        study.sampler = optuna.samplers.TPESampler(
            seed=stream(tune.seed, number) % 2**32,
            n_startup_trials=tune.startup,
            multivariate=True,  # λ and a learning rate compensate for each other
            constant_liar=True,  # keeps parallel trials apart from each other
        )
    open_trial = trial(study, number)
    return {key: _suggest(open_trial, key, values) for key, values in space.items()}


def _suggest(open_trial: Trial, key: str, values: Any) -> Any:
    if isinstance(values, CategoricalDistribution):
        return open_trial.suggest_categorical(key, values.choices)
    kind: Any = (
        open_trial.suggest_int if isinstance(values, IntDistribution) else open_trial.suggest_float
    )
    return kind(key, values.low, values.high, step=values.step, log=values.log)


def pruner(tune: Tune, before: int, epochs: int) -> optuna.pruners.BasePruner:
    """A pruner of trials whose best value is worse than the others' median at the same epoch.

    Parameters
    ----------
    tune
        The tuning's options; `prune_after` says when pruning begins.
    before
        The enhancer's epochs before coupled training, which Optuna's steps include.
    epochs
        Epochs of coupled training.
    """
    idle = before + math.ceil(tune.prune_after * epochs)
    return optuna.pruners.MedianPruner(n_startup_trials=tune.startup, n_warmup_steps=idle)


def paired_pruner() -> optuna.pruners.BasePruner:
    """A pruner of trials that are worse than the best one on the same images.

    It takes the values reported so far, one for each seed and image, and the best trial's of the
    same seeds and images, for pairs of a one-sided Wilcoxon signed-rank test.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.pruners.WilcoxonPruner(p_threshold=DOUBT)


def is_worse(study: optuna.Study, number: int) -> bool:
    """Whether the `paired_pruner` would end a trial now."""
    study.pruner = paired_pruner()
    with warnings.catch_warnings():
        # images without a finite value were not reported, and count in no pair
        warnings.filterwarnings("ignore", message="WilcoxonPruner finds steps existing")
        return trial(study, number).should_prune()


def count(study: optuna.Study, state: TrialState | None = None) -> int:
    """How many trials there are that were not taken from records, of one state or of all."""
    states = None if state is None else (state,)
    trials = study.get_trials(deepcopy=False, states=states)
    return sum(IMPORTED not in trial.user_attrs for trial in trials)


def report_finished(study: optuna.Study, number: int, value: float) -> None:
    """Report a finished trial and its value; a trial whose value is not finite has failed."""
    if math.isfinite(value):
        study.tell(number, value)
    else:
        report_failed(study, number, f"its score is {value}")


def report_failed(study: optuna.Study, number: int, reason: str) -> None:
    """Report a failed trial; the reason is stored with it."""
    trial(study, number).set_user_attr("reason", reason)
    study.tell(number, state=TrialState.FAIL)


def report_pruned(study: optuna.Study, number: int, reason: str = "") -> None:
    """Report a pruned trial, with the reason if its last value does not tell it."""
    if reason:
        trial(study, number).set_user_attr("reason", reason)
    study.tell(number, state=TrialState.PRUNED)


def report(open_trial: Trial, epoch: int, value: float) -> None:
    """Report a trial's score after an epoch, once: a run killed and resumed repeats epochs."""
    reported = open_trial.study.get_trials(deepcopy=False)[open_trial.number].intermediate_values
    if epoch not in reported:
        open_trial.report(value, epoch)


def best(study: optuna.Study) -> FrozenTrial | None:
    """The trial with the best finite value; None if there is none."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction == optuna.study.StudyDirection.MINIMIZE else 1
    # a journal of an earlier version may hold an infinite PSNR
    finite = [t for t in finished if math.isfinite(cast(float, t.value))]
    return max(finite, key=lambda t: sign * cast(float, t.value), default=None)
