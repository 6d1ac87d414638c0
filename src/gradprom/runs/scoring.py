"""What a trained run scores on its test sets: numbers, tables of images, pictures."""

from collections.abc import Callable
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
    run: Run, weights: Weights, device: torch.device
) -> tuple[dict[str, float], dict[str, FurtherTestSet]]:
    """Evaluate a run on its test split and its further test sets; the scores for its record.

    A run with a validation split is scored on that one instead. Leaves `scores.csv` and `panels/`
    in the run's folder, for a further test set `scores-<name>.csv` and `panels-<name>/`. A further
    set's labels and masks are not of the recognizer's classes: it has the scores of the images
    alone.

    Raises
    ------
    Interrupted
        If the cluster asked for the run's place; the next call goes on after the last batch.
    """
    restore(run.method, weights, device, run.id)
    metrics = _score(run, run.method, run.images(), device, run.split)
    others = {}
    for name, images in run.test_sets().items():
        scores = _score(run, ImageScores(run.method), images, device, "test", f"-{name}")
        others[name] = FurtherTestSet(metrics=scores, **describe(images))
    return metrics, others


def describe(images: Images) -> dict[str, Any]:
    """What a record says of a dataset's content."""
    counts = {split: len(rows) for split, rows in images.splits.items()}
    return {"counts": counts, "fingerprint": images.fingerprint, "notes": images.notes}


class ImageScores:
    """A method seen as an enhancer alone."""

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
    """Scores of one test set; goes on with what an interrupted evaluation has left."""
    import pandas as pd  # late, for it takes a while and training does without

    from gradprom.runs import evaluation

    config, folder = run.config, run.study.run(run.id)
    partial, mark = folder / f"scores{suffix}.partial", images.fingerprint
    rows = partial_scores.read(partial, mark)
    partial_scores.rewrite(partial, mark, rows)
    done = {row["id"] for row in rows}
    numbers = {images.ids[row]: place for place, row in enumerate(images.splits[split])}
    setting = images, config.degradation, config.evaluation, device, split
    for part in evaluation.parts(method, *setting, done=done):
        for id, pixels in part.panels.items():
            _write_panel(folder / f"panels{suffix}", numbers[id], id, pixels)
        fresh = [row for row in part.rows if row["id"] not in done]
        partial_scores.append(partial, mark, fresh)
        rows += fresh
        preemption.raise_if_requested()
    rows.sort(key=lambda row: numbers[row["id"]])
    table = pd.DataFrame(rows)
    write_text(folder / f"scores{suffix}.csv", table.to_csv(index=False))
    partial.unlink()
    return evaluation.summarise(table)


def validator(run: Run, device: torch.device) -> Callable[[Training], dict[str, float]]:
    """What tells the validation scores of a run's networks while they are trained.

    It works on copies of their weights, so that it cannot change the training.
    """
    from gradprom.runs import evaluation

    config, images = run.config, run.images()
    options = replace(config.evaluation, panels=0)
    setting = images, config.degradation, options, device, run.split

    def measure(training: Training) -> dict[str, float]:
        method = component("method", config.method.name).build(config)
        restore(method, training.artefact(), device, run.id)
        table = evaluation.evaluate(method, *setting)
        scores = evaluation.summarise(table)
        return {f"validation_{name}": scores[name] for name in tunable() if name in scores}

    return measure


def restore(method: Method, weights: Weights, device: torch.device, run_id: str) -> None:
    """Fill a method's networks with a run's weights.

    Raises
    ------
    RunError
        If the weights are those of another architecture.
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
