"""Figures 2 and 5: which parts of an image the trained networks use."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from gradprom import metrics
from gradprom.data.loader import Batch
from gradprom.degradations import enlarge
from gradprom.figures import guided_backprop
from gradprom.figures.class_activation import class_activation, evidence, share_inside
from gradprom.figures.examples import Trained, examples, foreground, load, picture
from gradprom.figures.grid import Strip, Tile
from gradprom.figures.selection import Choice, Entrant
from gradprom.metrics.registry import METRICS
from gradprom.runs.records import Study

EXAMPLES = 3
SAMPLE = 32
"""Test images over which the share of a map inside the mask is averaged."""

Score = Callable[[Tensor], Tensor]
_NETWORKS: dict[str, tuple[str, Score]] = {
    "Denoising": ("enhancer", guided_backprop.enhanced),
    "Segmentation": ("segmentation", guided_backprop.segmented),
    "Diagnosis": ("diagnosis", guided_backprop.predicted),
}
"""The network and the explained output, by a method's title in figures.yaml."""


def guided_maps(
    choices: list[Choice], study: Study, device: torch.device
) -> tuple[list[Strip], str]:
    """Figure 2: the image, then the guided gradients of a denoiser, a U-Net and a classifier.

    The networks were trained each for itself, and all see the same degraded images.
    """
    ordered = [_first_run(title, choices) for title in _NETWORKS]
    first = next(entrant for entrant, _ in ordered if entrant.record)
    reference = load(first, study, device)
    batch = examples(reference, EXAMPLES, device)
    results = [_guided(entrant, reference, batch, study, device) for entrant, _ in ordered]
    strips = [
        Strip(
            [
                _degraded(batch, number),
                *(
                    _map(r, e.title, batch, number)
                    for (e, _), (r, _) in zip(ordered, results, strict=True)
                ),
            ]
        )
        for number in range(len(batch.ids))
    ]
    columns = dict.fromkeys(choice.column for _, choice in ordered if choice.column)
    runs = [text for _, texts in results for text in texts]
    shares = " Shares: how much of it lies in the mask." if _masked(batch) else ""
    return strips, (
        f"Guided backpropagation on {reference.run.config.dataset.name}, {', '.join(columns)}; "
        f"test images {', '.join(batch.ids)}; networks trained each for its task alone: "
        f"{'; '.join(runs)}. Gradients to the degraded image; denoising: of the sum of the output, "
        f"segmentation: of the foreground's logits where they win, diagnosis: of the winning "
        f"logit. Magnitude, mean over the channels; each map's brightness is its own.{shares}"
    )


def _first_run(title: str, choices: list[Choice]) -> tuple[Entrant, Choice]:
    """The first panel's method of a title that has a run; the first of all if none has."""
    pairs = [(e, choice) for choice in choices for e in choice.entrants if e.title == title]
    return next((pair for pair in pairs if pair[0].record), pairs[0])


def _masked(batch: Batch) -> bool:
    """Whether any of the images has a mask that is not empty."""
    return any(foreground(batch, number) is not None for number in range(len(batch.ids)))


def _guided(
    entrant: Entrant, reference: Trained, batch: Batch, study: Study, device: torch.device
) -> tuple[np.ndarray | str, list[str]]:
    """Magnitudes [B, H, W], or the reason why there are none; and the caption of the run."""
    if entrant.record is None:
        return entrant.reason, []
    if entrant.record.dataset.fingerprint != reference.record.dataset.fingerprint:
        return "other data", []
    trained = load(entrant, study, device)
    name, score = _NETWORKS[entrant.title]
    network, images = _network(trained, name), batch.input
    if network is None:
        return "no such network", []
    if name != "enhancer":  # recognizers see small inputs enlarged, as in their training
        images = enlarge(images, batch.target.shape[-2:])
    gradient = guided_backprop.guided_gradient(network, images, score)
    return gradient.abs().mean(1).cpu().numpy(), [f"{trained.caption}, {trained.network}"]


def _network(trained: Trained, name: str) -> nn.Module | None:
    return trained.method.networks.get(name)


def _degraded(batch: Batch, number: int) -> Tile:
    share = foreground(batch, number)
    area = "" if share is None else f"\nmask {share.mean():.0%} of the image"
    image = enlarge(batch.input, batch.target.shape[-2:])[number]  # as the mask
    return Tile(picture(image), f"degraded{area}", outline=share)


def _map(maps: np.ndarray | str, title: str, batch: Batch, number: int) -> Tile:
    if isinstance(maps, str):
        return Tile(title=title, reason=maps)
    saliency, mask = maps[number], foreground(batch, number)
    if mask is not None and mask.shape == saliency.shape:
        title += (
            f"\n{share_inside(torch.from_numpy(saliency), torch.from_numpy(mask)):.0%} in the mask"
        )
    return Tile(saliency, title, top=float(np.quantile(saliency, 0.995)) or 1.0)


def activation_maps(
    choices: list[Choice], study: Study, device: torch.device
) -> tuple[list[Strip], str]:
    """Figure 5: the degraded image, then each strategy's result under its class activation map."""
    [choice] = choices
    reference = load(choice.finished[0], study, device)
    batch, sample = (examples(reference, count, device) for count in (EXAMPLES, SAMPLE))
    columns: list[list[Tile]] = []
    runs = []
    for entrant in choice.entrants:
        tiles, texts = _activation(entrant, reference, batch, sample, study, device)
        columns.append(tiles)
        runs += texts
    strips = [
        Strip([_degraded(batch, number), *(tiles[number] for tiles in columns)])
        for number in range(len(batch.ids))
    ]
    return strips, (
        f"Class activation maps on {reference.run.config.dataset.name}, {choice.column}; test "
        f"images {', '.join(batch.ids)}; {'; '.join(runs)}. The map's positive part, over the "
        f"enhanced image in grey, is of the class named first, {_whose_class(batch)}; the "
        f"percentage beside a class is its probability." + _OF_MASKS * _masked(batch)
    )


_OF_MASKS = (
    " The line is the border of the mask; the share of the map inside is given, if it is not empty."
)


def _whose_class(batch: Batch) -> str:
    """Which class the maps of some images are of."""
    labelled = [] if batch.label is None else (batch.label >= 0).tolist()
    if labelled and all(labelled):
        return "the image's own"
    if any(labelled):
        return "the image's own, or the predicted one where it has no label"
    return "the predicted one"


def _activation(
    entrant: Entrant,
    reference: Trained,
    batch: Batch,
    sample: Batch,
    study: Study,
    device: torch.device,
) -> tuple[list[Tile], list[str]]:
    """A tile for each image, and the caption of the run."""
    reason = entrant.reason
    if entrant.record is not None:
        trained = load(entrant, study, device)
        recognizer = _network(trained, "diagnosis")
        same = trained.record.dataset.fingerprint == reference.record.dataset.fingerprint
        if recognizer is not None and same:
            shares = _shares(trained, recognizer, sample)
            mean = (
                f", {np.mean(shares):.0%} in the mask over {len(shares)} images" if shares else ""
            )
            tiles = _overlaid(trained, recognizer, batch)
            return tiles, [trained.caption + mean]
        reason = "no classifier" if same else "other data"
    return [Tile(title=entrant.title, reason=reason) for _ in batch.ids], []


def _maps(
    trained: Trained, recognizer: nn.Module, batch: Batch
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Enhanced images, maps [B, H, W], the class [B] of each map, probabilities [B, classes]."""
    images = trained.method.enhance(batch.input)
    maps, logits = class_activation(recognizer, images)
    chosen = logits.argmax(1)
    if batch.label is not None:
        chosen = torch.where(batch.label >= 0, batch.label, chosen)
    class_maps = maps[torch.arange(len(maps), device=maps.device), chosen]
    return images, evidence(class_maps, tuple(images.shape[-2:])), chosen, logits.softmax(1)


def _shares(trained: Trained, recognizer: nn.Module, sample: Batch) -> list[float]:
    """The share of each image's map inside its mask; maps that are 0 are left out."""
    _, maps, *_ = _maps(trained, recognizer, sample)
    masks = [foreground(sample, number) for number in range(len(maps))]
    return [
        share_inside(activation.cpu(), torch.from_numpy(mask))
        for activation, mask in zip(maps, masks, strict=True)
        if mask is not None and activation.any()
    ]


def _overlaid(trained: Trained, recognizer: nn.Module, batch: Batch) -> list[Tile]:
    images, maps, chosen, probabilities = _maps(trained, recognizer, batch)
    measure, *_ = metrics.USUAL
    scores = metrics.measure(images, batch.target, [measure])[measure]
    names = trained.run.config.facts.classes
    tiles = []
    for number, activation in enumerate(maps.cpu()):
        score = METRICS[measure].text(float(scores[number]))
        lines = [f"{trained.title}, {score}"]
        lines += _classes(names, int(chosen[number]), probabilities[number].tolist())
        mask = foreground(batch, number)
        if mask is not None and activation.any():
            share = share_inside(activation, torch.from_numpy(mask))
            lines.append(f"{share:.0%} of the map in the mask")
        over = (activation / activation.max().clamp(min=1e-12)).numpy()
        # in grey, so that all colour is the map's
        grey = picture(images[number].mean(0, keepdim=True))
        tiles.append(Tile(grey, "\n".join(lines), over=over, outline=mask))
    return tiles


def _classes(names: Sequence[str], chosen: int, probabilities: list[float]) -> list[str]:
    """The class of a map, and the predicted one if that is another, with their probabilities."""
    best = probabilities.index(max(probabilities))
    lines = [f"{names[chosen]} {probabilities[chosen]:.0%}"]
    return lines + [f"predicted: {names[best]} {probabilities[best]:.0%}"] * (best != chosen)
