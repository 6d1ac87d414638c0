"""A person's folder of contrasts, made by code: targets of two contrasts from two channels."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

OPTIONS = {
    "channels": "grey",
    "labels": "slices.csv",
    "classes": ["light", "dark"],
    "inputs": ["first", "second"],
    "tell_label": True,
    "volumes": True,
    "test": 0.4,
}


def contrasts_folder(parent: Path, deep: bool = False) -> Path:
    """Five patients of two slices, each as a light and a dark image of the same two channels.

    The second channel has 12 of 16 bits if it is `deep`. A volume is the slices of a patient in
    one contrast.
    """
    root = parent / "contrasts"
    for folder in ("", "first", "second"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(0), [["id", "label", "group", "volume"]]
    for patient in range(5):
        for number in range(2):
            first, second = rng.integers(0, 128, (2, 40, 40), dtype=np.uint8)
            for label, target in (("light", first + second), ("dark", second // 2)):
                name = f"p{patient}-{number}-{label}"
                Image.fromarray(target).save(root / f"{name}.png")
                Image.fromarray(first).save(root / "first" / f"{name}.png")
                stored = second.astype(np.uint16) * 32 if deep else second
                Image.fromarray(stored).save(root / "second" / f"{name}.png")
                rows.append([name, label, f"p{patient}", f"p{patient} {label}"])
    with (root / "slices.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root
