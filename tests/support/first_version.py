"""Records as the first version of their schema had them, made of committed ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradprom.runs.records import Study
from gradprom.storage.files import without_checksum

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
YOUNG = {
    *("job", "precision", "deterministic", "title", "setup", "reads", "scores", "evaluate_on"),
    "files",
}
"""Keys that records of schema 1 do not have."""


def first_version(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a record file without what is younger."""
    kept = without_checksum(content) or {}
    old = {key: value for key, value in kept.items() if key not in YOUNG} | {"schema": 1}
    young = ("notes", "range")
    old["dataset"] = {key: v for key, v in old["dataset"].items() if key not in young}
    return old


def copied(folder: Path, wanted: Callable[[dict[str, Any]], bool]) -> Study:
    """A study of the committed records that are wanted, as their first version."""
    study = Study(folder, "old")
    for path in sorted(REFERENCE.glob("runs/*/record.json")):
        content = json.loads(path.read_text())
        if wanted(content):
            shutil.copytree(path.parent, study.run(content["id"]))
            target = study.run(content["id"]) / path.name
            target.write_text(json.dumps(first_version(content)))
    return study


def is_on_phantom(content: dict[str, Any]) -> bool:
    """GradProm and Benchmark-i on the phantom as the profile demo trains them.

    With λ = 1e-4 and 2e-4 where there is one.
    """
    config = content["config"]
    strategy, dataset = config["strategy"], config["dataset"]
    chosen = strategy["name"] in ("gradprom", "mainstream") and strategy.get("gate") != "cosine"
    return (
        chosen
        and content["choices"]["method"] == "task_driven"
        and (dataset["name"], dataset.get("train")) == ("phantom", 480)
        and config["trainer"]["schedule"] == "onecycle"
        and config["degradation"]["sigma"] == 0.1
        and strategy.get("lam", 0.0001) <= 0.0002
    )
