"""The card of an exported run: what it is, on what data, how well, and how to load it."""

import math
import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from gradprom.methods.base import Description
from gradprom.metrics.registry import DEGRADED, LEFT_OUT, METRICS, NO_NUMBER
from gradprom.runs.record import Record

_FOLDER = re.compile(r"(?:file:/|(?<![\w.}/-]))(?:~|/|[A-Za-z]:[\\/])[^\s,;'\"\[\](){}]+")
"""An absolute path within a text."""


def without_folders(text: str) -> str:
    """A text in which absolute paths are only their last part, as folders are private.

    A text that begins with such a path is one as a whole, spaces included.
    """
    if _FOLDER.match(text):
        return _last_part(text)
    return _FOLDER.sub(lambda found: _last_part(found.group()), text)


def _last_part(path: str) -> str:
    kind = PureWindowsPath if "\\" in path else PurePosixPath
    return kind(path).name


def card(record: Record, description: Description, hidden: tuple[str, ...]) -> str:
    """The model card of a finished run, in Markdown.

    Parameters
    ----------
    record
        The run's record.
    description
        Its method's description of itself.
    hidden
        Keys whose overrides are left out of the command.
    """
    sections = {
        "Data": _data(record),
        f"Scores on the {_split(record)} split": _scores(record.metrics),
        "Protocol": _protocol(record),
        "Training": _training(record, hidden),
        "How to load it": _snippet(record, description),
    }
    text = "\n\n".join(f"## {title}\n\n{body}" for title, body in sections.items())
    return f"# {_title(record, description.title)}\n\n{text}\n"


def _title(record: Record, title: str) -> str:
    return f"{title}, run {record.id}"


def _data(record: Record) -> str:
    data, config = record.dataset, record.config
    counts = ", ".join(f"{split} {count} images" for split, count in data.counts.items())
    size, channels = config["dataset"].get("size"), config["facts"]["channels"]
    pixels = f"{size}×{size} pixels" if size else "images of their own size"
    inputs = config["facts"].get("inputs", channels)
    channel_text = f"{channels} channel(s)" + f" from inputs of {inputs}" * (inputs != channels)
    return "\n".join(
        [
            f"- dataset: {data.name}, {pixels}, {channel_text}",
            f"- split: {without_folders(data.split)} ({counts})",
            f"- degradation: {_degradation_text(config['degradation'])}",
            f"- fingerprint of the content and the split: `{data.fingerprint}`",
        ]
    )


def _split(record: Record) -> str:
    """The split that the run was scored on."""
    return "validation" if record.setting("validation") else "test"


def _scores(scores: dict[str, float]) -> str:
    lines = ["| | degraded input | this run |", "|---|---:|---:|"]
    for name, metric in METRICS.items():
        if name in scores:
            digits = metric.digits + 1  # tables show means of several runs, the card one run
            values = (scores.get(DEGRADED + name), scores[name])
            finite = [value is not None and math.isfinite(value) for value in values]
            cells = [
                f"{value:.{digits}f}" if known else NO_NUMBER
                for value, known in zip(values, finite, strict=True)
            ]
            lines.append(f"| {metric.axis} | {' | '.join(cells)} |")
    for prefix, whose in ((DEGRADED, "The degraded input's"), ("", "The run's")):
        for name, metric in METRICS.items():
            if left_out := scores.get(f"{prefix}{name}{LEFT_OUT}"):
                where = f"{left_out:g} images in which it is infinite"
                lines += ["", f"{whose} {metric.title} leaves out {where}."]
    return "\n".join(lines)


def _protocol(record: Record) -> str:
    present = [metric for name, metric in METRICS.items() if name in record.metrics]
    seed = record.setting("evaluation.seed")
    weights = "The weights are those of the last epoch: the test split selected nothing."
    if not any(stage.steps for stage in record.stages):
        weights = "Nothing was trained."
    return "\n".join(
        [
            f"Scores are of the {_split(record)} split, computed in float32.",
            *(metric.protocol for metric in present if metric.protocol),
            f"Each image is degraded once, by a draw that its id and evaluation seed {seed} "
            f"fix. {weights}",
        ]
    )


def _training(record: Record, hidden: tuple[str, ...]) -> str:
    stages = (f"{s.name} {s.epochs} epochs ({s.steps} steps)" for s in record.stages)
    packages = ", ".join(f"{name} {version}" for name, version in record.packages.items())
    pairs = [o.partition("=") for o in record.overrides]
    shown = [f"{key}{sign}{without_folders(v)}" for key, sign, v in pairs if key not in hidden]
    return "\n".join(
        [
            f"- command: `python run.py {' '.join(shown)}`",
            f"- stages: {', '.join(stages)}",
            f"- seed: {record.seed}",
            f"- precision: trained in {record.precision}, scored in float32",
            f"- revision: {record.git.text()}",
            f"- trained {record.started[:10]} on {record.device}, with {packages}",
        ]
    )


def _degradation_text(options: dict[str, Any]) -> str:
    if "order" in options:  # a mix
        return " + ".join(_degradation_text(options[part]) for part in options["order"])
    rest = (f"{key} {value}" for key, value in options.items() if key != "name")
    return f"{options['name']} ({', '.join(rest)})"


def _snippet(record: Record, description: Description) -> str:
    # older records do not tell the two apart
    inputs = record.setting("facts.inputs", record.setting("facts.channels"))
    tensor = f"float32 tensor [B, {inputs}, H, W] in [0, 1]"
    if description.network:
        call = ", ".join(["degraded", *description.inputs])
        use = [
            f'output = model.networks["{description.network}"]({call})  # {tensor}',
            *(f"# {name}: {meaning}" for name, meaning in description.inputs.items()),
        ]
    else:
        use = [
            "enhanced = model(degraded)  # an array, a tensor or the path of a picture; any size",
            "# of the same kind: uint8, uint16, or floats in [0, 1]; [H, W], [H, W, C], [C, H, W]",
        ]
    restorer = description.restorer and f'`model.networks["{description.restorer}"]` restores '
    further = restorer and [f"{restorer}images: {tensor}, not clamped."]
    return "\n".join(
        [
            "With `gradprom` installed, in this folder (or with its path):",
            "",
            "```python",
            "import gradprom",
            "",
            'model = gradprom.load(".")',
            *use,
            "```",
            *(["", *further] if further else []),
        ]
    )
