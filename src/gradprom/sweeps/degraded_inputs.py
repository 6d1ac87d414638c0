"""What the degraded inputs of the tables score: the floor below which enhancing does harm."""

import csv
import io

import torch

from gradprom import metrics
from gradprom.data.loader import test_batches
from gradprom.degradations import enlarge
from gradprom.experiments.declared import Column, Experiment
from gradprom.experiments.expansion import narrowed, require_all_used
from gradprom.experiments.overrides import OverrideList, override_text
from gradprom.experiments.settings import Settings
from gradprom.runs.run import Run
from gradprom.sweeps import run_ids
from gradprom.sweeps.request import make_run, shell_composer


def degraded_inputs(names: list[str], overrides: OverrideList) -> str:
    """The usual measures of the degraded test images of some experiments, as CSV.

    One line for each column, in which the dataset is that of the experiment or the column, else
    the one that all rows set. Where rows set several, the column has no line.

    Parameters
    ----------
    names
        The experiments.
    overrides
        Folders, and overrides that narrow the experiments as in a sweep of them.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["experiment", "column", "dataset", "images", *metrics.USUAL])
    composer = shell_composer()
    places = [text for text in overrides if run_ids.is_place(text)]
    narrowing = [text for text in overrides if not run_ids.is_place(text)]
    require_all_used(names, narrowing)
    for experiment in narrowed(names, narrowing):
        for column in experiment.columns:
            if (settings := _settings(experiment, column)) is None:
                continue
            texts = [override_text(key, value) for key, value in settings.items()]
            plain = ["auxiliary=none", "strategy=mainstream"]
            run = make_run(*composer([*texts, *plain, *places]), [])
            scores = _scores(run)
            means = [f"{mean:.4f}" for mean in scores.mean(0).tolist()]
            place = [experiment.name, column.title, run.config.dataset.name]
            writer.writerow([*place, len(scores), *means])
    return buffer.getvalue()


def _settings(experiment: Experiment, column: Column) -> Settings | None:
    """What a column sets, with its dataset; None where its rows are of several."""
    settings = {**experiment.overrides, **column.overrides}
    datasets = {row.overrides["dataset"] for row in experiment.rows if "dataset" in row.overrides}
    if "dataset" in settings or not datasets:
        return settings
    return {**settings, "dataset": datasets.pop()} if len(datasets) == 1 else None


def _scores(run: Run) -> torch.Tensor:
    """The usual measures of each degraded test image, [images, measures]."""
    config, batches = run.config, []
    options = config.evaluation
    for batch in test_batches(
        run.images(), "test", options.batch_size, config.degradation, options.seed, "cpu"
    ):
        degraded = enlarge(batch.input, batch.target.shape[-2:])
        scores = metrics.measure(degraded, batch.target).values()
        batches.append(torch.stack([*scores], dim=1))
    return torch.cat(batches)
