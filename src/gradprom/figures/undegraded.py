"""Figure 7: images as they were acquired, with their own noise."""

import torch
from torch import Tensor

from gradprom.figures.comparison import result
from gradprom.figures.examples import detail, examples, foreground, load, picture
from gradprom.figures.grid import Box, Strip, Tile
from gradprom.figures.selection import Choice
from gradprom.runs.records import Study

EXAMPLES = 3


def undegraded(
    choices: list[Choice], study: Study, device: torch.device
) -> tuple[list[Strip], str]:
    """The images without any degradation, and each method's result."""
    [choice] = choices
    reference = load(choice.finished[0], study, device)
    batch = examples(reference, EXAMPLES, device, clean=True)
    dataset = reference.run.config.dataset.name
    title = "acquired (speckle)" if dataset == "camus" else "undegraded"
    columns: list[tuple[str, Tensor | str]] = [(title, batch.input)]
    runs: list[str] = []
    for entrant in choice.entrants:
        images, texts = result(entrant, reference, batch, study, device)
        columns.append((entrant.title, images))
        runs += texts
    strips = []
    for number in range(len(batch.ids)):
        box = detail(picture(batch.target[number]), foreground(batch, number))
        strips.append(Strip([_tile(t, c, number, box) for t, c in columns]))
    kind = "frames with their own speckle" if dataset == "camus" else "undegraded images"
    return strips, (
        f"{dataset}: {kind} given to enhancers that were trained at {choice.column}; test images "
        f"{', '.join(batch.ids)}; {'; '.join(runs)}. There is no cleaner image to compare with. "
        f"The images are taken at equal distances in the test split, the boxes lie where they "
        f"have most detail, within the mask of an image that has one."
    )


def _tile(title: str, images: Tensor | str, number: int, box: Box) -> Tile:
    if isinstance(images, str):
        return Tile(title=title, reason=images)
    return Tile(picture(images[number]), title, box=box)
