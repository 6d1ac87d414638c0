"""The tiny dataset of `support.tiny_source` with its cache and images, and CAMUS in two layouts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import camus_files
from support.tiny_source import Tiny

from gradprom.data.base import Images
from gradprom.data.images import load


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    rng = np.random.default_rng(0)
    for kind, levels in (("image", 256), ("mask", 2)):
        folder = tmp_path / "tiny" / kind
        folder.mkdir(parents=True)
        for i in range(10):
            Image.fromarray(rng.integers(levels, size=(8, 8), dtype=np.uint8)).save(
                folder / f"{i}.png"
            )
    return Tiny(tmp_path / "tiny")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def images(tiny: Tiny, cache: Path) -> Images:
    return load(tiny, cache)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return camus_files.old_layout(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return camus_files.new_layout(tmp_path / "new")
