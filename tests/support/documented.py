"""The examples of `docs/` as code, so that tests run what a person reads."""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

DOCS = Path(__file__).resolve().parents[2] / "docs"


def block(page: str, language: str) -> str:
    """The one block of a language on a page."""
    [text] = re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    return text


def module(page: str, name: str) -> ModuleType:
    """The Python block of a page, as a module."""
    made = ModuleType(name)
    sys.modules[name] = made  # dataclasses look their module up
    exec(compile(block(page, "python"), DOCS / page, "exec"), made.__dict__)
    return made


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
