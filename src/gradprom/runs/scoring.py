"""What a trained run scores on its test sets: numbers, tables of images, pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradprom import metrics
from gradprom.config import component
from gradprom.data.base import Images
from gradprom.data.loader import Batch
from gradprom.errors import RunError
from gradprom.metrics.registry import tunable
from gradprom.runs.run import Run
from gradprom.storage.files import replacing, write_text
from gradprom.training.stage import Method, Training


def score(run: Run, weights: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Evaluate a run on its test split and its further test sets; the parts of its record.

    A run with a validation split is scored on that one instead. Leaves `scores.csv` and `panels/`
    in the run's folder, for a further test set `scores-<name>.csv` and `panels-<name>/`. A further
    set's labels and masks are not of the recognizer's classes: it has the scores of the images
    alone.
    """
    restore(run.method, weights, device, run.id)
    found: dict[str, Any] = {"metrics": _score(run, run.method, run.images(), device, run.split)}
    for name, images in run.test_sets().items():
        scores = _score(run, ImageScores(run.method), images, device, "test", f"-{name}")
        found.setdefault("evaluate_on", {})[name] = {"metrics": scores, **describe(images)}
    return found


def describe(images: Images) -> dict[str, Any]:
    """What a record says of a dataset's content."""
    counts = {split: len(rows) for split, rows in images.splits.items()}
    return {"counts": counts, "fingerprint": images.fingerprint, "notes": images.notes}


class ImageScores:
    """A method seen as an enhancer alone."""

    def __init__(self, method: Method):
        self.enhance = method.enhance

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """The usual measures of the enhanced images."""
        return metrics.measure(self.enhance(batch.input), batch.target)


def _score(
    run: Run, method: Any, images: Images, device: torch.device, split: str, suffix: str = ""
) -> dict[str, float]:
    from gradprom.runs import evaluation  # with pandas, which takes a while to import

    config, folder = run.config, run.study.run(run.id)
    setting = images, config.degradation, config.evaluation, device, split
    scores = evaluation.evaluate(method, *setting)
    write_text(folder / f"scores{suffix}.csv", scores.to_csv(index=False))
    if any(name in scores for name in metrics.USUAL):  # there is an enhancer
        _write_panels(folder / f"panels{suffix}", evaluation.panels(method, *setting))
    return evaluation.summarise(scores)


def validator(run: Run, device: torch.device) -> Callable[[Training], dict[str, float]]:
    """What tells the validation scores of a run's networks while they are trained.

    It works on copies of their weights, so that it cannot change the training.
    """
    from gradprom.runs import evaluation

    config, images = run.config, run.images()
    setting = images, config.degradation, config.evaluation, device, run.split

    def measure(training: Training) -> dict[str, float]:
        method = component("method", config.method.name).build(config)
        restore(method, training.artefact(), device, run.id)
        table = evaluation.evaluate(method, *setting)
        scores = evaluation.summarise(table)
        return {f"validation_{name}": scores[name] for name in tunable() if name in scores}

    return measure


def restore(method: Method, weights: dict[str, Any], device: torch.device, run_id: str) -> None:
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


def _write_panels(folder: Path, pictures: dict[str, Any]) -> None:
    from PIL import Image

    for number, (image_id, pixels) in enumerate(pictures.items()):
        # ids come from file names, so the number alone names the file
        picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
        picture.info["id"] = image_id
        with replacing(folder / f"{number:02d}.png") as stream:
            picture.save(stream, format="PNG")
