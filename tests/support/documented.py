"""The example files of a page of the documentation."""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
from omegaconf import flag_override
from PIL import Image

from gradprom import config
from gradprom.config.composing import compose

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


def block(page: str, language: str) -> str:
    """The one block of a language on a page."""
    [text] = re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    return text


def module(page: str, name: str) -> ModuleType:
    """The Python block of a page, as a module."""
    loaded = ModuleType(name)
    sys.modules[name] = loaded  # dataclasses look their module up
    exec(compile(block(page, "python"), DOCS / page, "exec"), loaded.__dict__)
    return loaded


def contrasts_folder(folder: Path) -> Path:
    """Files as the example of `datasets.md` expects them: slices of a size of each patient's."""
    rng = np.random.default_rng(0)
    for patient in range(6):
        size = (24 + 4 * patient, 32)
        (folder / f"patient{patient}").mkdir(parents=True)
        for number in range(2):
            for contrast in ("t1", "t2", "flair", "pd"):
                pixels = rng.integers(256, size=size, dtype=np.uint8)
                path = folder / f"patient{patient}" / f"{number}_{contrast}.png"
                Image.fromarray(pixels).save(path)
    return folder
