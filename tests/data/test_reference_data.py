"""The committed records are of the data that their datasets have today.

Otherwise a report would take them for runs on other data as soon as somebody trains one run more.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from support import datasets

from gradprom.data.base import Source
from gradprom.data.images import load
from gradprom.data.sources import covid_ct, phantom

RECORDS = Path(__file__).parents[2] / "results" / "reference" / "runs"


def recorded(dataset: str) -> list[tuple[dict[str, Any], str]]:
    """A dataset's options, and its fingerprint, in committed records on all its images."""
    records = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*/record.json"))]
    found = {
        (json.dumps(record["config"]["dataset"]), record["dataset"]["fingerprint"])
        for record in records
        if record["dataset"]["name"] == dataset and not record["config"].get("train_images")
    }
    assert found
    return [(json.loads(options), fingerprint) for options, fingerprint in sorted(found)]


def test_of_drawn_images(tmp_path: Path) -> None:
    for options, fingerprint in recorded("phantom"):
        source: Source = phantom.build(phantom.Options(**options))
        assert load(source, tmp_path).fingerprint == fingerprint


@pytest.mark.realdata
def test_of_ct_slices(tmp_path: Path) -> None:
    root = str(datasets.real_data("COVID-CT"))
    for options, fingerprint in recorded("covid_ct"):
        source: Source = covid_ct.build(covid_ct.Options(**{**options, "root": root}))
        assert load(source, tmp_path).fingerprint == fingerprint
