"""The example files of a page of the documentation."""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from omegaconf import flag_override

from gradprom import config
from gradprom.config.components import PACKAGES, PLUGIN_PACKAGES
from gradprom.config.composing import compose
from gradprom.config.folders import PLUGINS

DOCS = Path(__file__).resolve().parents[2] / "docs"
_FILE = re.compile(r"^```\w+\n# ([\w/]+\.(?:py|yaml))\n(.*?)^```", re.M | re.S)


def files(page: str) -> dict[str, str]:
    """Contents by path, in the order of the page."""
    return dict(_FILE.findall((DOCS / page).read_text()))


@contextmanager
def component(page: str, package: ModuleType, folder: Path) -> Iterator[tuple[ModuleType, str]]:
    """The page's one file and one YAML in `folder`, found as if they were part of the package.

    Yields the module, and the override with which Hydra finds the YAML.
    """
    (code, yaml), before = files(page), package.__path__
    assert Path(code).parent == Path("src", *package.__name__.split("."))
    for name, content in files(page).items():
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
    module = f"{package.__name__}.{Path(code).stem}"
    package.__path__ = [*before, str((folder / code).parent)]
    try:
        yield importlib.import_module(module), f"hydra.searchpath=[file://{folder / 'conf'}]"
    finally:
        package.__path__ = before
        sys.modules.pop(module, None)
        vars(package).pop(Path(code).stem, None)
    assert Path(yaml).stem == Path(code).stem


def configuration(*overrides: str) -> config.Config:
    """The configuration of some overrides, typed and checked."""
    node = compose([*overrides])
    with flag_override(node, ["struct", "readonly"], False):
        del node["hydra"]
    return config.load(node)


def plugin(folder: Path) -> list[str]:
    """Write the example files of all pages and of the README as one plug-in, below `folder`.

    Returns the names of its components.
    """
    places = {
        package.replace(".", "/"): f"{PLUGINS}/{PLUGIN_PACKAGES[group]}"
        for group, package in PACKAGES.items()
    }
    places["conf"] = f"{PLUGINS}/conf"
    names = []
    for page in [*sorted(DOCS.glob("*.md")), DOCS.parent / "README.md"]:
        for name, content in _FILE.findall(page.read_text(encoding="utf-8")):
            place = name.removeprefix("src/")
            for ours, theirs in places.items():
                place = re.sub(f"^{ours}/", f"{theirs}/", place)
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:  # several pages have contract cases
                file.write(content)
            if path.suffix == ".py" and path.name != "contract_cases.py":
                names.append(path.stem)
    return names
