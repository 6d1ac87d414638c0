"""Lizard made by code in its official layout, with the traps of the real one."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.io import savemat


class Picture(NamedTuple):
    name: str
    fold: int
    folder: int
    size: tuple[int, int]
    """Width and height in pixels."""
    nuclei: int = 40
    mode: str = "RGB"
    format: str = "PNG"


PICTURES = (
    Picture("consep_1", 3, 1, (64, 64)),
    Picture("crag_1", 1, 1, (100, 80)),
    Picture("crag_2", 2, 1, (90, 75), mode="RGBA"),
    Picture("crag_10", 3, 1, (70, 70), nuclei=0),
    Picture("dpath_1", 3, 2, (96, 64), format="JPEG"),
    Picture("dpath_2", 1, 2, (64, 96), mode="P"),
    Picture("dpath_3", 2, 2, (65, 33)),
    Picture("glas_1", 1, 1, (80, 64), nuclei=1),
    Picture("glas_2", 3, 1, (31, 90)),  # narrower than a tile of 32 pixels
    Picture("pannuke_1", 3, 2, (64, 64)),
)
ABSENT = (("dpath_9", 1), ("pannuke_9", 3))
"""In the table, but without images."""


def lizard_folder(parent: Path) -> Path:
    """`parent`/Lizard with ten of the twelve images of its table."""
    root = parent / "Lizard"
    labels = root / "lizard_labels" / "Lizard_Labels"
    (labels / "Labels").mkdir(parents=True)
    for seed, picture in enumerate(PICTURES):
        part = picture.folder
        folder = root / f"lizard_images{part}" / f"Lizard_Images{part}"
        folder.mkdir(parents=True, exist_ok=True)
        write_image(folder / f"{picture.name}.png", picture, seed)
        write_labels(labels / "Labels" / f"{picture.name}.mat", nuclei_of(picture, seed))
    rows = [(p.name, "None" if "pannuke" in p.name else "train_22", p.fold) for p in PICTURES]
    rows += [(name, "test_1", fold) for name, fold in ABSENT]
    with (labels / "info.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Filename", "Source", "Split"), *rows])
    return root


def write_image(path: Path, picture: Picture, seed: int) -> None:
    """Smooth colours that differ from pixel to pixel, channel to channel and image to image."""
    width, height = picture.size
    x, y = np.arange(width), np.arange(height)[:, None]
    red, green = np.broadcast_to(2 * x, (height, width)), np.broadcast_to(2 * y, (height, width))
    image = np.stack([red, green, np.full_like(red, 20 * seed)], -1).astype(np.uint8)
    Image.fromarray(image).convert(picture.mode).save(path, format=picture.format)


class Nuclei(NamedTuple):
    inst_map: np.ndarray
    classes: dict[int, int]
    """Class 1..6 by the instance's id."""
    centroids: dict[int, tuple[float, float]]
    """x, y by the instance's id."""


def nuclei_of(picture: Picture, seed: int) -> Nuclei:
    """Rectangles; some ids are not in use, as after nuclei were removed."""
    width, height = picture.size
    rng = np.random.default_rng(seed)
    inst_map = np.zeros((height, width), np.int32)
    for id in rng.permutation(2 * picture.nuclei)[: picture.nuclei] + 1:
        top, left = rng.integers(0, height - 5), rng.integers(0, width - 5)
        inst_map[top : top + rng.integers(2, 6), left : left + rng.integers(2, 6)] = id
    centroids = {}
    for id in np.unique(inst_map[inst_map > 0]):
        rows, columns = np.nonzero(inst_map == id)
        centroids[int(id)] = (columns.mean(), rows.mean())
    return Nuclei(inst_map, {id: int(rng.integers(1, 7)) for id in centroids}, centroids)


def write_labels(path: Path, nuclei: Nuclei, **changes: object) -> None:
    """The published keys, with rows in no order of the ids."""
    ids = np.random.default_rng(0).permutation(list(nuclei.classes)).astype(int)
    boxes = np.zeros((len(ids), 4))
    for row, id in enumerate(ids):
        rows, columns = np.nonzero(nuclei.inst_map == id)
        boxes[row] = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    contents: dict[str, object] = {
        "inst_map": nuclei.inst_map,
        "id": ids[:, None],
        "class": np.array([nuclei.classes[id] for id in ids], int)[:, None],
        "bbox": boxes,
        "centroid": np.array([nuclei.centroids[id] for id in ids]),
        **changes,
    }
    present = {key: value for key, value in contents.items() if value is not None}
    savemat(path, present, do_compression=True)
