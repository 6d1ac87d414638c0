"""The scores of degraded inputs: a column has those of its own noise, however it is narrowed."""

import csv
import io
from pathlib import Path

import pytest

from gradprom.errors import ConfigError
from gradprom.sweeps.degraded_inputs import degraded_inputs

SMALL = ["profile=demo", "dataset=phantom", "dataset.train=16", "dataset.test=8", "size=32"]


def psnr(results: Path, *words: str) -> dict[str, float]:
    text = degraded_inputs(["table1"], [*SMALL, f"results={results}", *words])
    rows = csv.DictReader(io.StringIO(text))
    return {row["column"]: float(row["psnr"]) for row in rows}


def test_an_override_selects_columns(tmp_path: Path) -> None:
    whole = psnr(tmp_path)
    assert list(whole) == ["σ = 0.05", "σ = 0.1", "σ = 0.2", "σ = 0.3"]
    assert len(set(whole.values())) == 4
    assert psnr(tmp_path, "noise=0.1,0.3") == {key: whole[key] for key in ("σ = 0.1", "σ = 0.3")}
    with pytest.raises(ConfigError, match="noise=0.15"):
        psnr(tmp_path, "noise=0.1,0.15")
