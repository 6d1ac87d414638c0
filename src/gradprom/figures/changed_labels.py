"""Test images whose label a restoration has changed: the paper's "twisting", as pictures.

The label is that of a judge, a recognizer that took part in no training of the method.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gradprom.data.loader import Batch
from gradprom.errors import RunError
from gradprom.figures.examples import Trained, load, picture, tested
from gradprom.figures.grid import Strip, Tile
from gradprom.figures.selection import Choice, Entrant
from gradprom.methods import recognition
from gradprom.methods.pixel import JUDGE
from gradprom.reports.compare import image_scores
from gradprom.runs.evaluation import shown_input
from gradprom.runs.records import Study

WORST = 6
"""Examples in all, at least one of each method."""
LETTERS = 14
"""Of a class's name, so that titles of neighbours do not overlap."""


@dataclass
class Changed:
    """A test image in which the judge sees another class once it is restored."""

    id: str
    images: dict[str, Tensor]
    """Degraded, restored and clean, [C, H, W] each."""
    probabilities: dict[str, Tensor]
    """The judge's, [classes], of the same; of degraded ones where it can see them."""

    @property
    def lost(self) -> float:
        """By how much the probability of the class that the clean image shows has fallen."""
        before, after = self.probabilities["clean"], self.probabilities["restored"]
        return float((before - after)[before.argmax()])


def worst(choice: Choice, study: Study, device: torch.device) -> tuple[list[Strip], str]:
    """A strip for each of the worst images of each method: degraded, restored, clean, error.

    Raises
    ------
    RunError
        If the runs have no judge, which is there for tasks of whole images alone.
    """
    strips, counts, dataset = [], [], ""
    each = max(1, WORST // len(choice.finished))
    for entrant in choice.finished:
        assert entrant.record is not None
        dataset = entrant.record.config["dataset"]["name"]
        ids, total = changed_ids(study, entrant)
        counts.append(
            f"{entrant.title} {len(ids)} of {total} (run {entrant.record.id}, "
            f"seed {entrant.record.seed})"
        )
        strips += _strips(entrant, ids, study, device)[:each]
    return strips, (
        f"Labels changed by restoration on {dataset}, {choice.column}: the test images in which a "
        f"recognizer that was trained on clean images alone sees another class than in the clean "
        f"image, {'; '.join(counts)}. Shown are those of each method that have lost most of the "
        f"probability of the clean image's class, with the probabilities that this recognizer "
        f"gives; last |restored − clean|, mean over the channels, on one scale per row."
    )


def changed_ids(study: Study, entrant: Entrant) -> tuple[list[str], int]:
    """The ids of the test images whose label a run has changed, and how many images there are.

    Raises
    ------
    RunError
        If the run has no judge, or no table of test images.
    """
    assert entrant.record is not None
    table = image_scores(study, entrant.record.id)
    if "judged" not in table:
        raise RunError(
            "task_gan/labels needs runs with a judge, which there is with labels of whole images "
            f"(auxiliary=diagnosis), and run {entrant.record.id} has none"
        )
    changed = table["judged"] != table["judged_clean"]
    return list(table.index[changed]), len(changed)


def _strips(entrant: Entrant, ids: list[str], study: Study, device: torch.device) -> list[Strip]:
    if not ids:
        empty = [Tile(title=title) for title in ("degraded", "restored", "clean", "error")]
        empty[1] = Tile(title="restored", reason="no label changed")
        return [Strip(empty, _label(entrant))]
    trained = load(entrant, study, device)
    changed = [one for batch in tested(trained, device, ids) for one in _judged(trained, batch)]
    changed.sort(key=lambda one: one.lost, reverse=True)
    names = [_short(name) for name in trained.run.config.facts.classes]
    return [_strip(one, names, _label(entrant)) for one in changed[:WORST]]


@torch.no_grad()
def _judged(trained: Trained, batch: Batch) -> list[Changed]:
    restored, judge = trained.restored(batch), trained.method.networks[JUDGE]
    assert restored is not None
    seen = {"restored": restored, "clean": batch.target}
    if batch.input.shape[1] == batch.target.shape[1]:
        seen["degraded"] = recognition.recognizer_input(batch)
    probabilities = {name: judge(images).softmax(1) for name, images in seen.items()}
    images = {**seen, "degraded": shown_input(batch)}
    return [
        Changed(
            id,
            {name: values[number] for name, values in images.items()},
            {name: values[number].cpu() for name, values in probabilities.items()},
        )
        for number, id in enumerate(batch.ids)
    ]


def _label(entrant: Entrant) -> str:
    return entrant.title.replace(", ", ",\n")


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _strip(one: Changed, names: list[str], method: str) -> Strip:
    before = int(one.probabilities["clean"].argmax())
    after = int(one.probabilities["restored"].argmax())
    tiles = []
    for name in ("degraded", "restored", "clean"):
        seen = one.probabilities.get(name)
        lines = [name] + [f"{names[c]} {seen[c]:.0%}" for c in (before, after) if seen is not None]
        tiles.append(Tile(picture(one.images[name]), "\n".join(lines)))
    error = (one.images["restored"] - one.images["clean"]).abs().mean(0).cpu().numpy()
    top = float(np.quantile(error, 0.995))
    tiles.append(Tile(error, f"error\n{one.id}", top=top))
    return Strip(tiles, method)
