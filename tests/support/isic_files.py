"""ISIC 2018 Task 1 and a person's own folder, made by code, with the traps of the real ones."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

INPUT = "ISIC2018_Task1-2_Training_Input"
TRUTH = "ISIC2018_Task1_Training_GroundTruth"
TRAINING_2017 = "ISIC-2017_Training_Part3_GroundTruth.csv"
VALIDATION_2017 = "ISIC-2017_Validation_Part3_GroundTruth.csv"
TASK3 = "ISIC2018_Task3_Training_GroundTruth"

# number in the id -> melanoma, seborrheic keratosis of ISIC-2017; None: in no table
ISIC = {
    0: (0, 0), 1: (0, 0), 3: (0, 0), 4: (0, 0), 6: (0, 0), 7: (1, 0), 8: (1, 0), 9: (1, 0),
    10: (0, 1), 11: (0, 1), 12: None, 13: None, 14: None, 16: None, 17: None,
}  # fmt: skip
HEADER_2017 = ["image_id", "melanoma", "seborrheic_keratosis"]
HEADER_TASK3 = ["image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]


def isic_id(number: int) -> str:
    return f"ISIC_{number:07}"


def isic_folder(parent: Path) -> Path:
    """`parent`/ISIC2018 in the official layout: 15 images, 10 of them labelled in labels/."""
    root = parent / "ISIC2018"
    for folder in (INPUT, TRUTH):
        (root / folder).mkdir(parents=True)
        for name in ("LICENSE.txt", "ATTRIBUTION.txt"):
            (root / folder / name).write_text("terms\n")
    for number in ISIC:
        size = (40 + number, 30) if number % 2 else (32, 32)
        image, mask = lesion(number, size)
        Image.fromarray(image).save(root / INPUT / f"{isic_id(number)}.jpg", quality=95)
        Image.fromarray(mask).save(root / TRUTH / f"{isic_id(number)}_segmentation.png")
    rows = [[isic_id(n), *map(float, kinds)] for n, kinds in ISIC.items() if kinds]
    elsewhere = [isic_id(9999), 1.0, 0.0]  # the tables name images that Task 1 does not have
    (root / "labels").mkdir()
    write_csv(root / "labels" / TRAINING_2017, [HEADER_2017, *rows[:7], elsewhere])
    write_csv(root / "labels" / VALIDATION_2017, [HEADER_2017, *rows[7:]])
    return root


def task3_table(path: Path, kinds: dict[int, str]) -> None:
    """The one-hot table of Task 3 for numbers and column names."""
    rows = [
        [isic_id(n), *(float(kind == c) for c in HEADER_TASK3[1:])] for n, kind in kinds.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, [HEADER_TASK3, *rows])


def own_folder(parent: Path) -> Path:
    """`parent`/mine: 10 images of several kinds, masks/ of three classes, labels.csv."""
    root = parent / "mine"
    (root / "masks").mkdir(parents=True)
    for number, name in enumerate(OWN):
        image, mask = lesion(number, (36 + number, 28))
        picture = Image.fromarray(image).convert(("RGB", "L", "RGBA", "P")[number % 4])
        picture.save(root / name, format="PNG")  # whatever the suffix says
        values = (mask // 255).astype(np.uint8)
        values[:4, :4] = 2
        Image.fromarray(values).save(root / "masks" / f"{Path(name).stem}.png")
    (root / "notes.txt").write_text("no image\n")
    (root / "._a.png").write_bytes(b"\0\1")
    rows = [
        [name if number % 2 else Path(name).stem, ("benign", "malignant")[number % 3 == 0]]
        for number, name in enumerate(OWN[:8])
    ]
    write_csv(root / "labels.csv", [["id", "label"], *rows, ["i", ""]])  # the last has no line
    return root


def grouped_folder(parent: Path) -> Path:
    """As `own_folder`, and the table says that each two images are of one patient."""
    root = own_folder(parent)
    stems = sorted(Path(name).stem for name in OWN)
    rows = [
        [s, ("benign", "malignant")[n % 4 < 2], f"patient {n // 2}"] for n, s in enumerate(stems)
    ]
    write_csv(root / "labels.csv", [["id", "label", "group"], *rows])
    return root


def identified_folder(parent: Path) -> Path:
    """As `own_folder`, and the table says whom an image shows: three of one, two each of others.

    Of one image it is not known.
    """
    root = own_folder(parent)
    stems = sorted(Path(name).stem for name in OWN)
    whom = ["ann", "bob", "ann", "cy", "bob", "ann", "dee", "dee", "cy", ""]
    rows = [[stem, name] for stem, name in zip(stems, whom, strict=True)]
    write_csv(root / "labels.csv", [["id", "identity"], *rows])
    return root


OWN = (
    "a.png", "b.jpg", "c.PNG", "d%1.png", "e.f.png", "g.tif", "h.bmp", "h2.png", "i.png", "j.png",
)  # fmt: skip


def lesion(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A dark ellipse on skin, uint8 [H,W,3], and its mask of 0 and 255, uint8 [H,W]."""
    width, height = size
    rng = np.random.default_rng(seed)
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    a, b = rng.uniform(0.3, 0.7, 2)
    inside = (x / a) ** 2 + (y / b) ** 2 < 1
    skin, spot = np.array([220, 180, 160]), rng.integers(40, 110, 3)
    image = np.where(inside[..., None], spot, skin)
    return image.astype(np.uint8), np.where(inside, 255, 0).astype(np.uint8)


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
