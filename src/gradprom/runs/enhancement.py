"""The images of files, enhanced by a run's network, in files of their kind (`gradprom enhance`)."""

from collections.abc import Iterator
from pathlib import Path

import torch

from gradprom.data import formats, image_files
from gradprom.data.formats.contents import Contents, Picture
from gradprom.data.image_files import Work
from gradprom.data.names import shown
from gradprom.data.value_range import ValueRange, is_deep, text
from gradprom.methods.base import Method
from gradprom.runs import inference
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.runs.restore import load_run, restored_method
from gradprom.training.engine import choose_device


class Enhancer:
    """A run's method with its weights, applied to files.

    Raises
    ------
    RunError
        If the run cannot be used for that.
    """

    def __init__(self, study: Study, record: Record, tile: int, device: str) -> None:
        run = load_run(study, record.id)
        inference.require_pictures(run.config.facts, record.id)
        torch.set_num_threads(run.config.trainer.threads)
        self.device, self.tile = choose_device(device), tile
        self.method: Method = restored_method(run, record, self.device)


def enhanced(
    method: Method, contents: Contents, values: ValueRange, tile: int, device: torch.device | str
) -> Contents:
    """All images of a file, read in a range of values, and enhanced by a method."""
    channels, scale = method.config.facts.channels, method.config.degradation.scale
    pages = []
    for page in contents.pages:
        width, height = page.size
        result = page.empty(scale * height, scale * width)
        bands = inference.bands(
            method.enhance,
            _cutter(page, values),
            (height, width),
            channels,
            tile,
            device,
            scale,
        )
        for rows, planes in bands:
            result.show(rows, planes[0], values)
        pages.append(result)
    return contents.enlarged(pages)


def _cutter(page: Picture, values: ValueRange) -> inference.Cut:
    return lambda *at: page.cut(*at).planes(values)[None]


def trained_range(record: Record) -> ValueRange | None:
    """The values of black and white in the files that a run was trained on; None for 8 bits."""
    values = record.dataset.value_range
    return (values[0], values[1]) if len(values) == 2 else None


def enhance_all(enhancer: Enhancer, work: Work, values: ValueRange) -> Iterator[str]:
    """Enhance file after file; yields a line on each."""
    for source, target in work.targets.items():
        yield _enhance_file(enhancer, source, target, values)


def _enhance_file(enhancer: Enhancer, source: Path, target: Path, values: ValueRange) -> str:
    contents = formats.read(source)
    used = image_files.range_of(contents, values)
    result = enhanced(enhancer.method, contents, used, enhancer.tile, enhancer.device)
    replaced = "  (replaced)" if target.exists() else ""
    formats.write(target, result)
    range_text = f", values {text(used)}" if is_deep(contents.pages[0].pixels) else ""
    return f"{shown(target)}  {result.kind()}{range_text}{replaced}"
