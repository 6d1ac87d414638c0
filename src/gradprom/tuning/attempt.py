"""A trial's own job: a run that tells Optuna how it comes along, and stops when it falls behind."""

from omegaconf import DictConfig, OmegaConf

from gradprom.config import Tune
from gradprom.errors import Pruned
from gradprom.runs.execution import Watch, execute
from gradprom.runs.run import Run
from gradprom.training.engine import Progress
from gradprom.tuning import study as studies


def attempt(run: Run, node: DictConfig) -> None:
    """Train a trial's run; how it ended stands in its record, which the sweeper reads.

    `node` is the composed node `tune`.
    """
    tune = OmegaConf.to_object(node)
    assert isinstance(tune, Tune)
    try:
        execute(run, watch(run, tune))
    except Pruned:
        return


def watch(run: Run, tune: Tune) -> Watch:
    """What reports each epoch's validation score, and raises Pruned when the pruner says so."""
    before, epochs = enhancer_epochs(run)
    study = studies.load(run.study.folder, studies.pruner(tune, before, epochs))
    begun = studies.trial(study, tune.trial)

    def told(progress: Progress) -> None:
        value = progress.row.get(f"validation_{tune.metric}")
        if value is None:
            return
        studies.report(begun, before + progress.epoch, value)
        # who has come to the end has a score: nothing would be saved
        if progress.step < progress.steps and begun.should_prune():
            raise Pruned(
                f"worse than the median of the other trials after epoch {progress.epoch} of "
                f"{epochs}"
            )

    return told


def enhancer_epochs(run: Run) -> tuple[int, int]:
    """Epochs on degraded images before the last stage, and those of the last stage."""
    last = run.method.stage()
    return sum(stage.epochs for stage in last.parents if stage.batches.degradation), last.epochs
