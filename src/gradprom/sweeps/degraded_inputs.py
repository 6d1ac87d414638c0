"""What the degraded inputs of the tables score: the floor below which enhancing does harm."""

import csv
import io

import torch

from gradprom import metrics
from gradprom.data.loader import test_batches
from gradprom.degradations import enlarge
from gradprom.experiments import declared
from gradprom.experiments.expansion import Words, word
from gradprom.runs.run import Run
from gradprom.sweeps.request import make_run, shell_composer


def degraded_inputs(names: list[str], words: Words) -> str:
    """The usual measures of the degraded test images of some experiments, as CSV.

    One line for each column, in which the dataset is the experiment's.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["experiment", "column", "dataset", "images", *metrics.USUAL])
    composer = shell_composer()
    for experiment in (one for name in names for one in declared.read(name)):
        for column in experiment.columns:
            overrides = {**experiment.overrides, **column.overrides}
            told = [*map(word, overrides.items()), "auxiliary=none", "strategy=mainstream", *words]
            run = make_run(*composer(told), [])
            scores = _scores(run)
            means = [f"{mean:.4f}" for mean in scores.mean(0).tolist()]
            place = [experiment.name, column.title, run.config.dataset.name]
            writer.writerow([*place, len(scores), *means])
    return buffer.getvalue()


def _scores(run: Run) -> torch.Tensor:
    """The usual measures of each degraded test image, [images, measures]."""
    config, found = run.config, []
    options = config.evaluation
    for batch in test_batches(
        run.images(), "test", options.batch_size, config.degradation, options.seed, "cpu"
    ):
        degraded = enlarge(batch.input, batch.target.shape[-2:])
        scores = metrics.measure(degraded, batch.target).values()
        found.append(torch.stack([*scores], dim=1))
    return torch.cat(found)
