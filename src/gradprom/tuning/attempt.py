"""A trial's job: a run that reports intermediate scores to Optuna and may be pruned."""

from omegaconf import DictConfig, OmegaConf

from gradprom.config import Tune
from gradprom.errors import Pruned
from gradprom.runs.execution import Watch, execute
from gradprom.runs.run import Run
from gradprom.training.engine import Progress
from gradprom.tuning import journal


def attempt(run: Run, node: DictConfig) -> None:
    """Train a trial's run; the sweeper reads from its record how it ended.

    Parameters
    ----------
    run
        The trial's run.
    node
        The composed node `tune`.
    """
    tune = OmegaConf.to_object(node)
    assert isinstance(tune, Tune)
    try:
        # a trial of several runs is pruned between them
        execute(run, watch(run, tune) if tune.seeds == 1 else None)
    except Pruned:
        return


def watch(run: Run, tune: Tune) -> Watch:
    """A callback that reports each epoch's validation score to Optuna.

    It raises `Pruned` when the pruner decides to stop the trial.
    """
    before, epochs = enhancer_epochs(run)
    study = journal.load(run.study.folder, journal.pruner(tune, before, epochs))
    trial = journal.trial(study, tune.trial)

    def report_epoch(progress: Progress) -> None:
        value = progress.row.get(f"validation_{tune.metric}")
        if value is None:
            return
        journal.report(trial, before + progress.epoch, value)
        # a trial that has reached its end has a score: pruning it would save nothing
        if progress.step < progress.steps and trial.should_prune():
            raise Pruned(
                f"worse than the median of the other trials after epoch {progress.epoch} of "
                f"{epochs}"
            )

    return report_epoch


def enhancer_epochs(run: Run) -> tuple[int, int]:
    """Epochs on degraded images before the last stage, and those of the last stage."""
    last = run.method.stage()
    return sum(stage.epochs for stage in last.parents if stage.batches.degradation), last.epochs
