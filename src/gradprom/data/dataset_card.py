"""The card of a dataset: how to get it, its layout, splits and pitfalls."""

import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

_WIDTH = 96
_LABEL = 10  # columns before a section's text
_CONFIRM = " (as its pages or files state it: confirm there)"


@dataclass(frozen=True)
class About:
    """What a module's docstring, `Options` and `Facts` do not say."""

    title: str
    """Its name in messages."""
    get: str
    """How to get it: sentences, with the address."""
    licence: str
    """As its pages or files state it."""
    folders: tuple[str, ...] = ()
    """Possible names of its folder in `data_root`, which can also be its folder itself."""
    layout: str = ""
    """The files that are read, as a tree."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """The values of `dataset.split`, with their meaning."""
    traps: tuple[str, ...] = ()
    """Pitfalls of the published files, and how they are handled."""


def describe(module: ModuleType, options: Any) -> str:
    """A dataset in plain lines: its module's docstring, `ABOUT`, `Options` and `Facts`."""
    about, facts = module.ABOUT, module.facts(options)
    kind = "grey" if facts.channels == 1 else "RGB"
    size = getattr(options, "size", 0)
    pixels = f"{size}×{size} pixels once decoded" if size else "each of its own size"
    made_of = "" if facts.inputs == facts.channels else f", from inputs of {facts.inputs} channels"
    none = "none, so auxiliary={} is not allowed"
    chosen = getattr(options, "split", "")
    splits = [
        f"{name}{' (chosen)' if name == chosen else ''}: {text}"
        for name, text in about.splits.items()
    ]
    sections = {
        "get": [about.get],
        "licence": [about.licence + (_CONFIRM if about.folders else "")],
        "images": [f"{kind}, {pixels}{made_of}"],
        "classes": [", ".join(facts.classes) or none.format("diagnosis")],
        "masks": [", ".join(facts.mask_classes) or none.format("segmentation")],
        "further": [
            f"{name}: {', '.join(values) or 'numbers'}" for name, values in facts.further.items()
        ],
        "layout": [_places(about)] if about.layout else [],
        "splits": splits or ["train, test: seeded"],
        "traps": list(about.traps),
        "options": [_options(options)],
    }
    lines = [f"dataset={options.name}", "", inspect.cleandoc(module.__doc__ or ""), ""]
    for name, items in sections.items():
        lines += _section(name, items)
        if name == "layout" and items:
            lines.append(textwrap.indent(textwrap.dedent(about.layout).strip("\n"), " " * 12))
    return "\n".join(lines)


def _places(about: About) -> str:
    return " or ".join(["in data_root", *(f"data_root/{name}" for name in about.folders)])


def _options(options: Any) -> str:
    """All but `name`, as overrides."""
    values = {key: value for key, value in dataclasses.asdict(options).items() if key != "name"}
    return " ".join(
        f"dataset.{key}={'[' + ','.join(v) + ']' if isinstance(v, list) else v}"
        for key, v in values.items()
    )


def _section(name: str, items: list[str]) -> list[str]:
    """Wrapped items, the first one beside the section's name."""
    lines: list[str] = []
    for number, item in enumerate(items):
        bullet = "- " if len(items) > 1 else ""
        lines += textwrap.wrap(
            bullet + item,
            _WIDTH,
            initial_indent=f"{'' if number else name:<{_LABEL}}",
            subsequent_indent=" " * (_LABEL + len(bullet)),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines
