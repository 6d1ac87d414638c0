"""The data check reports every problem at once, and without torch."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import datasets, isic_files
from support.tiny_source import Tiny

from gradprom.data.check import check
from gradprom.data.images import load
from gradprom.data.sources import covid_ct, isic2018


def test_check_finds_nothing_wrong_where_nothing_is(tiny: Tiny, cache: Path) -> None:
    report = check(tiny, cache)
    assert report.problems == [] and report.notes == []
    assert report.counts["all"] == {"a": 4, "b": 3, "not labelled": 3}
    assert report.counts["test"] == {"not labelled": 1, "a": 1}
    assert report.sizes == {"width": (8, 8), "height": (8, 8)}
    masks = load(tiny, cache).mask
    assert masks is not None
    assert report.mask_share["yes"] == pytest.approx(masks.float().mean().item())
    assert report.text().splitlines()[-1] == "no problems"


def test_check_lists_every_problem(tiny: Tiny, cache: Path) -> None:
    image, mask = tiny.root / "image", tiny.root / "mask"
    (image / "0.png").write_bytes(b"")
    os.truncate(image / "1.png", 60)
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(mask / "2.png")
    shutil.copyfile(image / "3.png", image / "9.png")  # 3 is for training, 9 for testing
    tiny.splits = lambda entries: {  # type: ignore[method-assign]
        "train": ["0", "1", "2", "3", "4", "5"],
        "test": ["5", "7", "9"],
    }
    report = check(tiny, cache)
    text = report.text()
    for problem in (
        "0.png: empty file",
        "1.png: ",
        "2: mask values [255], expected 0..1",
        "1 images are in both train and test: 5",
        "1 images are under two names in both train and test: 3 = 9",
        "groups (patients) are in both train and test: g2",
    ):
        assert any(problem in found for found in report.problems), problem
        assert problem in text
    assert report.notes == ["2 images are in no split: 6, 8", "files of the same content: 3, 9"]
    assert text.splitlines()[-1] == f"{len(report.problems)} problems"


def test_check_reports_instead_of_raising(tmp_path: Path, cache: Path) -> None:
    options = covid_ct.Options(root=str(tmp_path), split="official")
    report = check(covid_ct.build(options), cache)
    assert len(report.problems) == 1 and "COVID-CT was not found" in report.problems[0]
    root = datasets.covid_ct_folder(tmp_path)
    (root / "Data-split" / "COVID" / "testCT_COVID.txt").write_text("gone.png\n")
    report = check(covid_ct.build(options), cache)
    assert len(report.problems) == 1 and "CT_COVID/gone.png does not exist" in report.problems[0]


def test_check_needs_no_torch() -> None:
    code = (
        "import sys, gradprom.data.check, gradprom.data.sources.covid_ct; "
        "print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert result.stdout == "False\n"


def test_labels_of_no_image_and_masks_of_one_class_are_problems(tmp_path: Path) -> None:
    root = isic_files.isic_folder(tmp_path)
    source = isic2018.build(isic2018.Options(root=str(root), size=16))
    assert check(source, tmp_path / "cache").problems == []  # though one row is of no image here
    for table in (root / "labels").iterdir():
        table.write_text(table.read_text().replace("ISIC_", "isic_"))
    for id in source.splits(source.index())["test"]:
        path = root / isic_files.TRUTH / f"{id}_segmentation.png"
        with Image.open(path) as mask:
            Image.new("L", mask.size).save(path)
    *tables, masks = check(source, tmp_path / "cache").problems
    assert len(tables) == 2 and all("rows is of an image here" in table for table in tables)
    assert "isic_0000000" in tables[0] and "images are ISIC_0000000" in tables[0]
    assert masks == "all mask pixels of split=test are background"
