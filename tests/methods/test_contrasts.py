"""Contrast synthesis by Task-GAN's methods: several channels to one, decisions on volumes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import contrast_files, tiny_runs

from gradprom.data.sources import folder
from gradprom.errors import DataError

SMALL = ("size=32", "noise=0.02", "auxiliary=diagnosis", "backbone=unet_small")
SMALL += tiny_runs.SMALL[1:]
GAN = ("method.network.channels=4", "method.network.layers=3", "method.network.matching=2")
BRAIN = ("dataset=brain", "dataset.train=2", "dataset.test=1", "dataset.slices=2", *SMALL)


def by_hand(table: pd.DataFrame) -> tuple[float, float]:
    """Error rate and mean error of volumes."""
    columns = [column for column in table if column.startswith("probability_")]
    wrong, errors = [], []
    for _, volume in table.groupby("volume"):
        mean, label = volume[columns].mean().to_numpy(), int(volume["label"].iloc[0])
        wrong.append(mean.argmax() != label)
        errors.append(1 - mean[label])
    return float(np.mean(wrong)), float(np.mean(errors))


@pytest.mark.parametrize("method", ["pixel", "task_gan"])
def test_contrasts_are_synthesized_and_volumes_decided(method: str, tmp_path: Path) -> None:
    own = (*GAN, "auxiliary.backbone=patch", "method.label_epochs=1") if method != "pixel" else ()
    record = tiny_runs.train(tmp_path, f"method={method}", *BRAIN, *own)
    assert {"psnr", "label_changed"} <= record.metrics.keys()
    assert "degraded_psnr" not in record.metrics  # the input is no image of the contrast
    table = pd.read_csv(tiny_runs.local(tmp_path).run(record.id) / "scores.csv")
    assert len(table) == 12 and table["volume"].nunique() == 6
    rate, error = by_hand(table)
    assert record.metrics["volume_error_rate"] == pytest.approx(rate)
    assert record.metrics["volume_task_error"] == pytest.approx(error)
    assert {"volume_error_rate", "volume_task_error"} <= set(record.scores)


def test_a_folder_of_contrasts(tmp_path: Path) -> None:
    root = contrast_files.contrasts_folder(tmp_path)
    own = [f"dataset.{key}={text(value)}" for key, value in contrast_files.OPTIONS.items()]
    words = ["dataset=folder", f"data_root={root}", *own, "method=pixel", *SMALL]
    record = tiny_runs.train(tmp_path / "results", *words)
    table = pd.read_csv(tiny_runs.local(tmp_path / "results").run(record.id) / "scores.csv")
    assert table["volume"].nunique() == len(table) / 2 == 4
    assert record.metrics["volume_error_rate"] == pytest.approx(by_hand(table)[0])


def text(value: object) -> str:
    return f"[{','.join(value)}]" if isinstance(value, list) else str(value).lower()


def test_the_channels_of_a_folder_are_its_files_and_the_class(tmp_path: Path) -> None:
    root = contrast_files.contrasts_folder(tmp_path, deep=True)
    options = folder.Options(root=str(root), size=40, **contrast_files.OPTIONS)
    source = folder.build(options)
    entry = next(e for e in source.index() if e.id == "p1-0-dark")
    sample = source.decode(entry)
    target, (first, second, light, dark) = sample["target"][0], sample["input"]
    # the second channel holds 12 bits in 16: 32 times its levels, of 4095
    np.testing.assert_allclose(second / 255 * 4095 / 32 // 2, target, atol=2)
    assert first.max() < 128 and not light.any() and (dark == 255).all()


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    root = contrast_files.contrasts_folder(tmp_path)

    def index(**changes: object) -> None:
        options = {"root": str(root), "size": 32, **contrast_files.OPTIONS, **changes}
        folder.build(folder.Options(**options)).index()

    with pytest.raises(DataError, match="dataset.inputs: no folder .*third.*first, second"):
        index(inputs=["first", "third"])
    (root / "first" / "p0-0-dark.png").unlink()
    with pytest.raises(DataError, match="p0-0-dark.png: no input in .*first"):
        index()
    csv = root / "slices.csv"
    csv.write_text(csv.read_text().replace("p1 dark", "p1 light"))
    with pytest.raises(DataError, match="the volume p1 light has several labels, dark, light"):
        index(inputs=["second"])
    with pytest.raises(ValueError, match="dataset.tell_label: needs dataset.inputs"):
        index(inputs=[])
