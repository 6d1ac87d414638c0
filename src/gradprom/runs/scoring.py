"""Scores of a trained run on its test sets: means, tables of images, pictures."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradprom import metrics
from gradprom.config import component
from gradprom.data.base import Images
from gradprom.data.image_noise import ImageNoise
from gradprom.data.loader import Batch
from gradprom.errors import RunError
from gradprom.methods.base import Method
from gradprom.metrics.registry import tunable
from gradprom.runs import partial_scores
from gradprom.runs.record import FurtherTestSet
from gradprom.runs.run import Run
from gradprom.storage import preemption
from gradprom.storage.files import replacing, write_text
from gradprom.training.stage import Training, Weights


def score(
    run: Run, weights: Weights, device: torch.device, references: Mapping[str, Weights]
) -> tuple[dict[str, float], dict[str, FurtherTestSet]]:
    """Evaluate a run on its test split and its further test sets.

    A run with a validation split is scored on that split instead. Writes `scores.csv` and `panels/`
    to the run's folder, for a further test set `scores-<name>.csv` and `panels-<name>/`. Labels and
    masks of a further test set are not of the recognizer's classes, so only its images are scored.

    Parameters
    ----------
    run
        The run.
    weights
        Those of its last stage.
    device
        Where it is scored.
    references
        Weights of the method's `reference_stages`, by the network's name.

    Returns
    -------
    tuple
        The scores by name, and the further test sets with theirs.

    Raises
    ------
    Interrupted
        After a preemption signal; the next call resumes after the last batch.
    """
    restore(run.method, weights, device, run.id)
    run.method.restore_references(references, device)
    metrics = _score(run, run.method, run.images(), device, run.split)
    further = {}
    for name, images in run.test_sets().items():
        scores = _score(run, ImageScores(run.method), images, device, "test", f"-{name}")
        further[name] = FurtherTestSet(metrics=scores, **describe(images))
    return metrics, further


def describe(images: Images) -> dict[str, Any]:
    """Counts, fingerprint, notes and range of values of a dataset, as in records."""
    counts = {split: len(rows) for split, rows in images.splits.items()}
    return {
        "counts": counts,
        "fingerprint": images.fingerprint,
        "notes": images.notes,
        "value_range": list(images.value_range or ()),
    }


class ImageScores:
    """A method of which only the restored images are scored."""

    def __init__(self, method: Method):
        self.method = method

    def restore_images(self, batch: Batch, noise: ImageNoise) -> Tensor | None:
        """As the method does."""
        return self.method.restore_images(batch, noise)

    def evaluate(self, batch: Batch, restored: Tensor | None) -> dict[str, Tensor]:
        """The usual measures of the restored images."""
        return {} if restored is None else metrics.measure(restored, batch.target)


def _score(
    run: Run, method: Any, images: Images, device: torch.device, split: str, suffix: str = ""
) -> dict[str, float]:
    """Scores of one test set; resumes an interrupted evaluation."""
    import pandas as pd  # late: slow to import, and not needed for training

    from gradprom.runs import evaluation

    config, folder = run.config, run.study.run(run.id)
    partial, fingerprint = folder / f"scores{suffix}.partial", images.fingerprint
    rows = partial_scores.read(partial, fingerprint)
    partial_scores.rewrite(partial, fingerprint, rows)
    done = {row["id"] for row in rows}
    positions = {images.ids[row]: position for position, row in enumerate(images.splits[split])}
    conditions = images, config.degradation, config.evaluation, device, split
    for batch in evaluation.scored_batches(method, *conditions, done=done):
        for id, pixels in batch.panels.items():
            _write_panel(folder / f"panels{suffix}", positions[id], id, pixels)
        new_rows = [row for row in batch.rows if row["id"] not in done]
        partial_scores.append(partial, fingerprint, new_rows)
        rows += new_rows
        preemption.raise_if_requested()
    rows.sort(key=lambda row: positions[row["id"]])
    table = pd.DataFrame(rows)
    write_text(folder / f"scores{suffix}.csv", table.to_csv(index=False))
    partial.unlink()
    return evaluation.summarise(table)


def validator(run: Run, device: torch.device) -> Callable[[Training], dict[str, float]]:
    """A function that computes validation scores, by name, of a run in training.

    It works on copies of the weights, so that it cannot change the training.
    """
    from gradprom.runs import evaluation

    config, images = run.config, run.images()
    options = replace(config.evaluation, panels=0)
    conditions = images, config.degradation, options, device, run.split

    def measure(training: Training) -> dict[str, float]:
        method = component("method", config.method.name).build(config)
        restore(method, training.artefact(), device, run.id)
        table = evaluation.evaluate(method, *conditions)
        scores = evaluation.summarise(table)
        return {f"validation_{name}": scores[name] for name in tunable() if name in scores}

    return measure


def restore(method: Method, weights: Weights, device: torch.device, run_id: str) -> None:
    """Load a run's weights into its method's networks.

    Raises
    ------
    RunError
        If the weights do not fit the networks.
    """
    try:
        method.restore(weights, device)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, KeyError) as error:
        raise RunError(
            f"the weights of run {run_id} are those of another architecture than its "
            f"configuration names: {str(error).splitlines()[-1].strip()}"
        ) from error


def _write_panel(folder: Path, number: int, image_id: str, pixels: Any) -> None:
    from PIL import Image

    # ids come from file names, so the number alone names the file
    picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    picture.info["id"] = image_id
    with replacing(folder / f"{number:02d}.png") as stream:
        picture.save(stream, format="PNG")
