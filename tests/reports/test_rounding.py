"""What rounding alone changes is measured, told, and not mistaken for another run."""

from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from support import tiny_runs

from gradprom.errors import RunError
from gradprom.methods import recognition
from gradprom.reports import rounding, swept, unplanned
from gradprom.reports.claims import verdicts
from gradprom.reports.page import page_table
from gradprom.reports.tables import text
from gradprom.runs.records import Study
from gradprom.runs.restore import read_config, typed
from gradprom.runs.run import Run, plain
from gradprom.storage.files import write_json


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    tiny_runs.train(results, *tiny_runs.PHANTOM)
    return results


def test_a_run_trained_twice(trained: Path) -> None:
    study = tiny_runs.local(trained)
    [record] = study.records()
    floor = rounding.measure(study, record.id[:6])
    [again] = Study(trained / "rounding", "local").records()
    assert again.id == record.id and again.setting("trainer.channels_last") == "false"
    assert list((trained / "rounding" / "stages").glob("*/artefact.pt"))  # trained anew
    for name, value in floor.first.items():
        assert value == pytest.approx(record.metrics[name], abs=1e-6)
        assert floor.second[name] == pytest.approx(again.metrics[name], abs=1e-6)
    tables = [
        pd.read_csv(s.run(record.id) / "scores.csv")
        for s in (study, Study(trained / "rounding", "local"))
    ]
    assert floor.images == len(tables[0])
    differing = (tables[0]["prediction"] != tables[1]["prediction"]).sum()
    assert floor.predictions["prediction"] == differing
    assert rounding.stored(study) == [floor]
    moved = abs(floor.second["psnr"] - floor.first["psnr"])
    assert f"PSNR {moved:.2g} dB, " in floor.text()
    assert floor.text() in verdicts.markdown([], [floor.text()])


def test_the_floor_stands_below_the_tables_that_hold_the_run(trained: Path) -> None:
    study = tiny_runs.local(trained)
    [record] = study.records()
    floors = [rounding.Floor(record.id, "noise=0.1", {"psnr": 30.0}, {"psnr": 29.9993}, 8, {})]
    tables = [
        swept.table_of(unplanned.expansion([one]), {one.id: one})
        for one in (record, replace(record, id="another"))
    ]
    rounding.note_below(tables, floors)
    assert tables[1].floors == []
    assert tables[0].floors == [
        f"Rounding floor: PSNR 0.0007 dB, by which run {record.id} (noise=0.1) moves when it is "
        f"trained again with the other memory layout."
    ]
    assert "Rounding floor: PSNR 0.0007 dB" in text.markdown(tables[0])
    assert "Rounding floor: PSNR 0.0007 dB" in page_table.table_view(tables[0]).legend


def test_a_file_with_a_single_measurement_is_read(tmp_path: Path) -> None:
    """As it was stored when only the last one was kept."""
    study, one = Study(tmp_path, "local"), {"psnr": 30.0}
    study.folder.mkdir()
    first = rounding.Floor("a", "", one, one, 8, {})
    write_json(study.folder / "rounding.json", asdict(first))
    assert rounding.stored(study) == [first]


def test_a_run_of_another_version_is_not_trained_again(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tiny_runs.local(trained)
    [record] = study.records()
    monkeypatch.setattr(recognition, "stage_version", lambda config: 9)
    with pytest.raises(RunError, match=f"run {record.id} is of another version of the code"):
        rounding.measure(study, record.id)


def test_an_old_configuration_means_what_it_meant(trained: Path, tmp_path: Path) -> None:
    """Without the keys that are younger: coupled training as it was then."""
    study = tiny_runs.local(trained)
    [record] = study.records()
    stored = OmegaConf.load(study.run(record.id) / "config.yaml")
    for key in ("batchnorm", "target", "clamp"):
        del stored.auxiliary[key]
    OmegaConf.save(stored, tmp_path / "config.yaml")
    node = read_config(tmp_path / "config.yaml")
    old = Run(typed(node), plain(node), {}, [])
    a = old.config.auxiliary
    assert (a.batchnorm, a.target, a.clamp) == ("train", "follows", False)
    as_then = ("auxiliary.batchnorm=train", "auxiliary.target=follows", "auxiliary.clamp=false")
    assert old.id == tiny_runs.make(trained, *tiny_runs.PHANTOM, *as_then).id != record.id


def test_without_a_measurement_nothing_is_told(tmp_path: Path) -> None:
    study = Study(tmp_path, "local")
    assert rounding.stored(study) == []
    study.folder.mkdir()
    (study.folder / "rounding.json").write_text("[]")
    assert rounding.stored(study) == []
