"""What rounding alone changes is measured, told, and not mistaken for another run."""

from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from support import tiny_runs

from gradprom.errors import RunError
from gradprom.methods import recognition
from gradprom.reports import rounding
from gradprom.reports.claims import verdicts
from gradprom.runs.records import Study
from gradprom.runs.restore import read_config, typed
from gradprom.runs.run import Run, plain


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
    assert rounding.stored(study) == floor
    text = verdicts.markdown([], floor.text())
    assert (
        floor.text() in text and f"PSNR {floor.second['psnr'] - floor.first['psnr']:+.6f}" in text
    )


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
    assert rounding.stored(study) is None
    study.folder.mkdir()
    (study.folder / "rounding.json").write_text("[]")
    assert rounding.stored(study) is None
