"""The MNI152 template in several MR contrasts, each to be synthesized from one acquisition.

The mean anatomy of 152 people, whose tissue maps come with nilearn, in the contrasts and with the
inputs of `dataset=brain`: signals of white matter, grey matter and fluid, mixed in each pixel by
their shares. It is one anatomy, cut into blocks of axial slices; some blocks are trained on, others
tested on, and slices between blocks are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gradprom.data.dataset_card import About
from gradprom.data.drawing import Array
from gradprom.data.mr_signals import TISSUES, Sequence, Slice
from gradprom.data.mr_source import MRSource
from gradprom.errors import NotOnDisk

GAP = 8
"""Slices of 1 mm left out between blocks. Over 9 mm white matter has a correlation of 0.57."""
_ACROSS, _ALONG, _UP = slice(2, 194), slice(21, 213), slice(14, 142)
"""The voxels of 1 mm that are used: 192 × 192 mm around the brain, and 128 slices."""
_SLICES = _UP.stop - _UP.start

ABOUT = About(
    title="mni152",
    get="The template comes with nilearn: pip install 'gradprom[mni152]'.",
    licence="that of the ICBM 152 template (McConnell Brain Imaging Centre); nilearn's is BSD",
    traps=(
        "Training and test images are of one anatomy: scores say how well other slices of it are "
        "synthesized, and nothing of other people.",
        "The maps are means over 152 people, smoother than anybody's anatomy, without skull, scalp "
        "and lesions.",
        "Contrasts follow from the equations of the signal, so that they can be synthesized almost "
        "without error; those of patients cannot.",
    ),
)


@dataclass
class Options:
    """The options of the dataset."""

    name: str = "mni152"
    """Which dataset this is."""
    size: int = 64
    """Height and width of the images in pixels, at least 32; they show 192 × 192 mm."""
    train: int = 4
    """Number of blocks of slices to train on, at least 1."""
    test: int = 2
    """Number of other blocks to test on, at least 1; both together at most 15."""
    split_seed: int = 0
    """Chooses the blocks to test on; the images themselves do not depend on it."""

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"mni152: size={self.size}, allowed: 32 and more")
        for key in ("train", "test"):
            if getattr(self, key) < 1:
                raise ValueError(f"mni152: {key}={getattr(self, key)}, allowed: 1 and more")
        blocks, most = self.train + self.test, (_SLICES + GAP) // (GAP + 1)
        if blocks > most:
            raise ValueError(f"mni152: train + test = {blocks} blocks, allowed: up to {most}")


class MNI152(MRSource):
    """Blocks of axial slices, 1 mm apart, in each contrast; the group is the block."""

    @property
    def slices(self) -> int:
        """As many as leave a gap between blocks."""
        return self._step - GAP

    def name_of(self, number: int) -> str:
        """Of a block, the lowest having the number 0."""
        return f"block-{number:02d}"

    def files(self) -> tuple[Path, ...]:
        """The template and its tissue maps, in nilearn's package.

        Raises
        ------
        NotOnDisk
            If nilearn is not installed.
        """
        package = _nilearn()
        maps = package.MNI152_FILE_PATH, package.GM_MNI152_FILE_PATH, package.WM_MNI152_FILE_PATH
        return tuple(map(Path, maps))

    def slice_of(self, group: str, number: int) -> Slice:
        """A slice of the template."""
        block = int(group.removeprefix("block-"))
        shares = self._shares[:, block * self._step + number]
        return mixed(np.stack([_resized(share, self.options.size) for share in shares]))

    @property
    def _step(self) -> int:
        """Slices from block to block."""
        return (_SLICES + GAP) // (self.options.train + self.options.test)

    @cached_property
    def _shares(self) -> np.ndarray:
        """Of fluid, grey and white matter in each voxel, float32 [3,slices,192,192], from below.

        Rows go from the front to the back, columns from the left to the right.
        """
        package = _nilearn()
        brain = _axial(package.load_mni152_brain_mask)
        grey = _axial(package.load_mni152_gm_template)
        white = _axial(package.load_mni152_wm_template)
        return np.stack([(brain - grey - white).clip(0), grey, white])


def mixed(shares: Array) -> Slice:
    """A slice from the shares of fluid, grey and white matter in its pixels, [3,H,W].

    Tissues in one pixel add up with their signs, before the magnitude is taken.
    """
    tissues = [TISSUES[name] for name in ("fluid", "grey matter", "white matter")]
    density, t1, t2 = np.array(tissues).T

    def signal(sequence: Sequence) -> Array:
        return np.abs(np.tensordot(sequence.magnetization(density, t1, t2), shares, 1))

    return signal


def _axial(load: Callable[..., Any]) -> np.ndarray:
    """A map in slices, from below, their rows from the front: float32 [slices,192,192]."""
    voxels = np.asarray(load(resolution=1).dataobj, np.float32)[_ACROSS, _ALONG, _UP]
    return voxels.transpose(2, 1, 0)[:, ::-1]


def _resized(share: np.ndarray, size: int) -> Array:
    """A map [192,192] at another size; shares stay within [0, 1] and sum to what they did."""
    picture = Image.fromarray(share).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float64)


def _nilearn() -> Any:
    """nilearn's datasets, which take seconds to import."""
    try:
        from nilearn import datasets
    except ImportError:
        raise NotOnDisk(f"dataset=mni152: nilearn is not installed. {ABOUT.get}") from None
    return datasets


build, facts = MNI152, MNI152.facts_of
