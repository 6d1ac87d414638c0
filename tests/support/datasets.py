"""Datasets made by code in their official layouts, with the traps of the real ones."""

import csv
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image


def real_data(folder: str) -> Path:
    """A folder of the real data, or a skip that says why.

    Looked for under $GRADPROM_TEST_DATA, else under shared/data beside the repository.
    """
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("GRADPROM_TEST_DATA", beside)) / folder
    if not path.is_dir():
        pytest.skip(f"no real data in {path}; set GRADPROM_TEST_DATA")
    return path


class Slice(NamedTuple):
    name: str
    patient: str
    part: str
    mode: str = "RGB"
    format: str = "PNG"
    size: tuple[int, int] = (40, 30)
    """Width and height in pixels."""


COVID = (
    Slice("2020.01.24.919183-p27-132.png", "Patient 1", "train", "RGBA"),
    Slice("2020.01.24.919183-p27-133.png", "Patient 1", "train", "RGBA", size=(115, 61)),
    Slice("2020.02.10.20021584-p6-52%0.png", "Patient 2", "train"),
    Slice("2020.02.10.20021584-p6-52%1.png", "Patient 2", "train", "L"),
    Slice("2020.03.12.20034686-p17-91-1.png", "Patient 3", "train", format="JPEG"),
    Slice("2020.03.13.20035212-p23-154.png", "Patient 4", "val", format="JPEG"),
    Slice("2020.03.13.20035212-p23-155.png", "Patient 4", "val", size=(33, 47)),
    Slice("2020.03.22.20040782-p25-1542.png", "Patient 180 ", "test", "RGBA"),
    Slice("kjr-21-e24-p1-5%1.png", "Patient 180", "test", "L"),
)
NON_COVID = (
    Slice("0.jpg", "crawled_patient_0", "train", format="JPEG"),
    Slice("1%0.jpg", "crawled_patient_1", "train", format="JPEG"),
    Slice("1%1.jpg", "crawled_patient_1", "train", "L", "JPEG"),
    Slice("1%2.jpg", "crawled_patient_1", "train", format="JPEG", size=(61, 59)),
    Slice("10%0.jpg", "crawled_patient_10", "train", format="JPEG"),
    Slice("14.png", "medpix_patient_1", "train"),
    Slice("15.png", "medpix_patient_1", "val"),
    Slice("23.png", "medpix_patient_2", "val", "L"),
    Slice("112.png", "medpix_patient_3", "test", size=(25, 90)),
    Slice("166.png", "medpix_patient_4", "test", format="JPEG"),
    Slice("167.png", "medpix_patient_4", "test"),
)

COVID_CSV = "COVID-CT-MetaInfo.csv"
NON_COVID_CSV = "NonCOVID-CT-MetaInfo.csv"


def covid_ct_folder(parent: Path) -> Path:
    """`parent`/COVID-CT in the official layout: 9 COVID and 11 non-COVID slices."""
    root = parent / "COVID-CT"
    for name, slices in (("COVID", COVID), ("NonCOVID", NON_COVID)):
        images, lists = root / "Images-processed" / f"CT_{name}", root / "Data-split" / name
        images.mkdir(parents=True)
        lists.mkdir(parents=True)
        for number, slice in enumerate(slices):
            write_slice(images / slice.name, slice, seed=number + 100 * (name == "COVID"))
        for part in ("train", "val", "test"):
            names = [slice.name for slice in slices if slice.part == part]
            (lists / f"{part}CT_{name}.txt").write_text("".join(f"{name}\n" for name in names))
    _write_covid_csv(root / COVID_CSV)
    _write_non_covid_csv(root / NON_COVID_CSV)
    return root


def write_slice(path: Path, slice: Slice, seed: int) -> None:
    """A smooth grey image with two dark ellipses ("lungs"), different for each seed."""
    width, height = slice.size
    rng = np.random.default_rng(seed)
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    image = 150 + 60 * x * y
    for side in (-0.5, 0.5):
        a, b = rng.uniform(0.2, 0.4), rng.uniform(0.4, 0.8)
        image = np.where(((x - side) / a) ** 2 + (y / b) ** 2 < 1, rng.uniform(20, 60), image)
    picture = Image.fromarray(image.astype(np.uint8)).convert(slice.mode)
    picture.save(path, format=slice.format)


def _write_covid_csv(path: Path) -> None:
    header = ["File name", "Patient ID", "Age", "Location", "Captions", "", ""]
    rows = [
        [slice.name, slice.patient, 41, "Wuhan, China", "['Figure 1,\na “quoted” caption']", "", ""]
        for slice in COVID
    ]
    _write_csv(path, [header, *rows])


def _write_non_covid_csv(path: Path) -> None:
    rows = [[number, slice.name, slice.patient] for number, slice in enumerate(NON_COVID)]
    _write_csv(path, [["", "image name", "patient id"], *rows])


def _write_csv(path: Path, rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def natural_folder(folder: Path) -> Path:
    """Two training images that are no multiples of a tile, one smaller than it, two test images."""
    rng = np.random.default_rng(0)
    sizes = {
        "train/a.png": (70, 40),
        "train/b.jpg": (32, 64),
        "train/small.png": (31, 80),
        "test/woman.png": (61, 38),
        "test/head.png": (50, 50),
    }
    for name, (height, width) in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder
