"""Figures 4, 6 and Task-GAN's: degraded, each method's result, clean; below, the errors of each."""

import numpy as np
import torch
from torch import Tensor

from gradprom import metrics
from gradprom.data.loader import Batch
from gradprom.figures.examples import Trained, detail, examples, foreground, load, picture
from gradprom.figures.grid import Box, Strip, Tile
from gradprom.figures.selection import Choice, Entrant
from gradprom.metrics.registry import METRICS
from gradprom.runs.evaluation import shown_input
from gradprom.runs.records import Study


def compare(
    choices: list[Choice], study: Study, device: torch.device, count: int
) -> tuple[list[Strip], str]:
    """Two strips for each of `count` test images of each panel, and the caption."""
    strips: list[Strip] = []
    captions = []
    for number, choice in enumerate(choices):
        letter = f"({chr(ord('a') + number)}) " if len(choices) > 1 else ""
        if choice.finished:
            panel, caption = _panel(choice, study, device, count, letter)
            strips += panel
            captions.append(letter + caption)
        else:
            strips.append(_empty(choice, letter))
            captions.append(f"{letter}{choice.panel.table}: {choice.problem or 'not run'}.")
    columns = max(len(strip.tiles) for strip in strips)
    return [_padded(strip, columns) for strip in strips], " ".join([*captions, _HOW])


_HOW = (
    "Numbers: PSNR and SSIM of the image shown. Boxes are zoomed; they mark where the clean image "
    "has most detail, within its mask if it has one. Lower rows: |image − clean|, mean over the "
    "channels, one brightness scale per row, set by the results. The images are taken at equal "
    "distances in the test split."
)


def _panel(
    choice: Choice, study: Study, device: torch.device, count: int, letter: str
) -> tuple[list[Strip], str]:
    reference = load(choice.finished[0], study, device)
    batch = examples(reference, count, device)
    results: list[tuple[str, Tensor | str]] = []
    runs = []
    for entrant in choice.entrants:
        outcome = result(entrant, reference, batch, study, device)
        results.append((entrant.title, outcome[0]))
        runs += outcome[1]
    dataset = reference.run.config.dataset.name
    caption = f"{dataset}, {choice.column}; test images {', '.join(batch.ids)}; {'; '.join(runs)}."
    label = f"{letter}{dataset}\n{choice.column}"
    return [s for n in range(len(batch.ids)) for s in _example(batch, results, n, label)], caption


def result(
    entrant: Entrant, reference: Trained, batch: Batch, study: Study, device: torch.device
) -> tuple[Tensor | str, list[str]]:
    """A method's images, or the reason why there are none; and the caption of its run."""
    if entrant.record is None:
        return entrant.reason, []
    same = reference.record.dataset.fingerprint
    if entrant.record.dataset.fingerprint != same:
        return "other data", []
    trained = load(entrant, study, device)
    restored = trained.restored(batch)
    if restored is None:
        return "restores no image", []
    return restored, [trained.caption]


def _example(
    batch: Batch, results: list[tuple[str, Tensor | str]], number: int, label: str
) -> list[Strip]:
    """The images, and their errors below."""
    clean = batch.target[number]
    box = detail(picture(clean), foreground(batch, number))
    shown = [("degraded", shown_input(batch)), *results]
    errors = [_error(image[number], clean) for _, image in shown if isinstance(image, Tensor)]
    # the degraded input's error is so large that it would make the results' errors dark
    top = max(float(np.quantile(error, 0.995)) for error in errors[1:])
    images, below = [], []
    for title, image in shown:
        if isinstance(image, str):
            images.append(Tile(title=title, reason=image))
            below.append(Tile())
        else:
            images.append(scored(image[number], clean, title, box))
            below.append(Tile(_error(image[number], clean), top=top))
    images.append(Tile(picture(clean), "clean", box=box))
    return [Strip(images, label), Strip([*below, Tile()], "error", (top, "|image − clean|"))]


def scored(image: Tensor, clean: Tensor, title: str, box: Box) -> Tile:
    """An image under its title and the usual metrics."""
    measured = metrics.measure(image[None].clamp(0, 1), clean[None])
    numbers = [METRICS[name].text(value.item()) for name, value in measured.items()]
    return Tile(picture(image), f"{title}\n{', '.join(numbers)}", box=box)


def _error(image: Tensor, clean: Tensor) -> np.ndarray:
    """|image − clean| [H, W], mean over the channels."""
    return (image - clean).abs().mean(0).cpu().numpy()


def _empty(choice: Choice, letter: str) -> Strip:
    titles = ["degraded", *(entrant.title for entrant in choice.entrants), "clean"]
    reasons = ["not run", *(entrant.reason for entrant in choice.entrants), "not run"]
    tiles = [Tile(title=t, reason=r) for t, r in zip(titles, reasons, strict=True)]
    return Strip(tiles, f"{letter}{choice.panel.table}")


def _padded(strip: Strip, columns: int) -> Strip:
    """With empty tiles before the last, so that all clean images are in one column."""
    missing = columns - len(strip.tiles)
    return Strip([*strip.tiles[:-1], *[Tile()] * missing, strip.tiles[-1]], strip.label, strip.bar)
