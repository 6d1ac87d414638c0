"""The picture of a sweep: images of each row, and what was logged of coupled training."""

from pathlib import Path

import numpy as np
from PIL import Image
from support.hand_made import PARTS, Record, record, strategy, write_run

from gradprom.reports import swept, unplanned
from gradprom.reports.plots import sweep_picture
from gradprom.runs.records import Study

CURVES_AND_ROWS = f"{sweep_picture.CURVES} {sweep_picture.ROWS}"
BLURRED = {"name": "blur", "kernel": 3, "sigma": 2.0}


def drawn(records: list[Record], study: Study, path: Path) -> str | None:
    """Draw the picture of a table of these records; returns its caption."""
    by_id = {record.id: record for record in records}
    table = swept.table_of(unplanned.expansion(records), by_id)
    return sweep_picture.draw(table, by_id, study, path)


def shown(path: Path) -> list[int]:
    """The grey levels of the panel's parts that fill an area of a picture."""
    pixels = np.asarray(Image.open(path).convert("L"))
    return [level for level in PARTS if (pixels == level).mean() > 0.01]


def test_the_picture_shows_degraded_enhanced_and_clean(tmp_path: Path) -> None:
    study, path = Study(tmp_path, "local"), tmp_path / "out" / "picture.png"
    made = [
        record(24.0, training={"gate_a": 0.5, "ratio_a": 1e-4}),
        strategy("joint", 25.0, config__degradation=BLURRED),
        strategy("mainstream", 25.0),
    ]
    for one in made:
        write_run(study, one)
    assert drawn(made, study, path)
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG" and min(picture.size) > 300
    assert shown(path) == PARTS[:3]  # not the error


def test_of_runs_without_panels_there_are_only_curves(tmp_path: Path) -> None:
    study, path = Study(tmp_path, "local"), tmp_path / "picture.png"
    made = [record(24.0), strategy("joint", 25.0, config__degradation=BLURRED)]
    for one in made:
        write_run(study, one)
    with_images = drawn(made, study, path)
    with Image.open(path) as picture:
        height = picture.height
    (study.run(made[0].id) / "panels" / "00.png").unlink()
    one_strip = drawn(made, study, path)
    with Image.open(path) as picture:
        assert picture.height < height
    assert one_strip == with_images == f"{sweep_picture.IMAGES} {CURVES_AND_ROWS}"
    (study.run(made[1].id) / "panels" / "00.png").unlink()
    assert drawn(made, study, path) == CURVES_AND_ROWS
    assert shown(path) == []


def test_nothing_finished_nothing_drawn(tmp_path: Path) -> None:
    assert drawn([record()], Study(tmp_path, "local"), tmp_path / "picture.png") is None
    assert not (tmp_path / "picture.png").exists()


def test_each_test_set_has_its_own_degraded_and_clean_image(tmp_path: Path) -> None:
    """Images of two datasets under one degradation: not one strip that mixes them."""
    study, path = Study(tmp_path, "local"), tmp_path / "picture.png"
    other = {"config__dataset__name": "covid_ct", "choices__dataset": "covid_ct"}
    other |= {"dataset": {"name": "covid_ct", "fingerprint": "c" * 64}}
    one, two = record(24.0), record(25.0, **other)
    write_run(study, one)
    write_run(study, two)
    darker = [level - 20 for level in PARTS]
    parts = [np.full((12, 12, 3), level, np.uint8) for level in darker]
    panel = study.run(two.id) / "panels" / "00.png"
    Image.fromarray(np.concatenate(parts, axis=1)).save(panel)
    assert drawn([one, two], study, path)
    pixels = np.asarray(Image.open(path).convert("L"))
    for level in (*PARTS[:3], *darker[:3]):
        assert (pixels == level).mean() > 0.01
