"""Records of runs that were never trained: a declared table, filled in milliseconds.

Scores are the published numbers with a little noise of the run's own; all else is made up. The
files are those of a real run, weights apart.
"""

import functools
import io
import json
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from gradprom.experiments.declared import Experiment, read
from gradprom.experiments.expansion import Cell, Expansion, Identify, Identity, expanded
from gradprom.experiments.overrides import OverrideList
from gradprom.identity import digest
from gradprom.reports.tables.filling import fill
from gradprom.reports.tables.published import published
from gradprom.reports.tables.table import Table
from gradprom.runs.record import SCHEMA, DatasetInfo, ErrorInfo, FurtherTestSet, Record, Revision
from gradprom.runs.records import Study
from gradprom.storage.files import with_checksum, write_checked

TYPICAL = {"psnr": 27.0, "ssim": 0.83, "accuracy": 0.78, "miou": 0.71}
SPREAD = {"psnr": 0.08, "ssim": 0.003, "accuracy": 0.006, "miou": 0.005}
DEGRADED = {"psnr": 19.7, "ssim": 0.41}
CHOICES = {
    "profile": "paper",
    "method": "task_driven",
    "strategy": "gradprom",
    "auxiliary": "diagnosis",
    "backbone": "resnet50",
    "degradation": "gaussian",
    "dataset": "isic2018",
}
REVISION = "0407e8adab0c7a5a3dda501a6b0be33ff03316ba"


def identify(runs: list[OverrideList]) -> list[Identity]:
    """An id for any overrides, equal for equal ones in any order."""
    return [Identity(digest(sorted(overrides))) for overrides in runs]


@dataclass
class Made:
    """A study of fabricated records, and the experiments that they belong to."""

    study: Study
    names: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    identify: Identify = identify
    records: dict[str, Record] = field(default_factory=dict)
    """By run id; put others in their places at will before `tables`."""

    def expansions(self) -> list[Expansion]:
        return expanded(list(self.names), list(self.overrides), self.identify, self.study)

    def tables(self) -> list[Table]:
        """The tables of the records as they are now."""
        return [
            fill(expansion, self.records, list(self.overrides), read(expansion.experiment.name)[0])
            for expansion in self.expansions()
        ]

    def change(self, record: Record, **changes: Any) -> Record:
        """Put a record in its place that differs in `changes`, which is returned."""
        self.records[record.id] = replace(record, **changes)
        return self.records[record.id]

    def rewrite(self, record: Record) -> None:
        """Write a record that was changed."""
        write_checked(self.study.run(record.id) / "record.json", record.to_json())


def record(run_id: str = "0123456789ab", status: str = "finished", **fields: Any) -> Record:
    """A record that has hardly more than `fields`."""
    return Record(
        **{"id": run_id, "status": status, "config": {}, "dataset": DatasetInfo(), **fields}
    )


def make(
    results: Path,
    names: list[str],
    *overrides: str,
    rows: int = 24,
    panels: int = 0,
    name: str = "made",
    identify: Identify = identify,
) -> Made:
    """Write a record for each run that some experiments, narrowed by overrides, are made of.

    Parameters
    ----------
    rows
        Rows of each run's history.
    panels
        Pictures of each run.
    identify
        Where the ids come from, if they are to be those of real runs.
    """
    fabricated = Made(Study(results, name), tuple(names), overrides, identify)
    # rows that take a result of other rows have runs only once those have finished
    for _ in range(2):
        for expansion in fabricated.expansions():
            for cell in expansion.cells:
                _fill(fabricated, expansion.experiment, cell, rows, panels)
    return fabricated


def _fill(fabricated: Made, experiment: Experiment, cell: Cell, rows: int, panels: int) -> None:
    missing = {
        seed: run_id for seed, run_id in cell.runs.items() if run_id not in fabricated.records
    }
    middle = _middle(experiment, cell) if missing else {}
    for seed, run_id in missing.items():
        chance = random.Random(run_id)
        scores = {f"degraded_{metric}": value for metric, value in DEGRADED.items()}
        scores |= {m: value + chance.gauss(0, SPREAD[m]) for m, value in middle.items()}
        record = finished(fabricated.study, run_id, cell.overrides[seed], scores, cell.row.test_set)
        fabricated.records[run_id] = record
        _write(fabricated.study.run(run_id), record, rows, panels)


def _middle(experiment: Experiment, cell: Cell) -> dict[str, float]:
    means = {}
    for metric in experiment.metrics_of(cell.row):
        if metric in TYPICAL:
            printed = published(experiment, cell.row, cell.column, metric)
            means[metric] = printed.mean if printed else TYPICAL[metric]
    return means


def finished(
    study: Study, run_id: str, overrides: OverrideList, scores: dict[str, float], test_set: str = ""
) -> Record:
    """The record of a run that finished."""
    chance = random.Random(run_id)
    config = configuration(study, overrides)
    data: dict[str, Any] = {
        "counts": {"train": 2594, "test": 1000},
        "fingerprint": digest(config["dataset"]) * 5,
    }
    others = {test_set: FurtherTestSet(metrics={**scores}, **data)} if test_set else {}
    decisions = {"gate_diagnosis": chance.random(), "ratio_diagnosis": chance.random() / 100}
    strategy = config["strategy"]["name"]
    if strategy not in ("gradprom", "random_gate"):
        del decisions["gate_diagnosis"]
    return Record(
        schema=SCHEMA,
        id=run_id,
        training_id=digest([run_id, "training"]),
        seed=config["seed"],
        choices={
            **CHOICES,
            **{k: v for k, v in _parsed_overrides(overrides).items() if k in CHOICES},
        },
        overrides=overrides,
        config=config,
        dataset=DatasetInfo(name=config["dataset"]["name"], split="its own", **data),
        git=Revision(revision=REVISION, dirty=False),
        packages={"python": "3.11.7", "torch": "2.6.0"},
        host="node-17",
        pid=4711,
        device="cuda: NVIDIA A100-SXM4-40GB",
        started="2026-03-02T10:15:00+0000",
        status="finished",
        metrics={**scores},
        evaluate_on=others,
        training={} if strategy == "mainstream" else decisions,
        duration=chance.uniform(3000, 4000),
        peak_memory=9_000_000_000,
    )


def failed(record: Record, message: str) -> Record:
    """The same run as one that failed."""
    error = ErrorInfo(
        type="NonFinite",
        message=message,
        where="engine.py:118 in _read",
        traceback=f"Traceback (most recent call last):\n  …\nNonFinite: {message}\n",
    )
    cleared: dict[str, Any] = {"metrics": {}, "evaluate_on": {}, "training": {}, "duration": None}
    return replace(record, status="failed", error=error, peak_memory=0, **cleared)


def configuration(study: Study, overrides: OverrideList) -> dict[str, Any]:
    """A configuration as records have it, roughly as Hydra would compose it."""
    settings = _parsed_overrides(overrides)
    auxiliary = settings.get("auxiliary", "diagnosis")
    tasks = {"multitask": ["diagnosis", "segmentation"], "none": []}.get(auxiliary, [auxiliary])
    config: dict[str, Any] = {
        "dataset": {"name": settings.get("dataset", "isic2018"), "size": 256, "split_seed": 0},
        "degradation": _degradation(settings),
        "backbone": {
            "name": "resnet",
            "encoder": "resnet101" if settings.get("backbone") == "larger" else "resnet50",
        },
        "strategy": {
            "name": settings.get("strategy", "gradprom"),
            "lam": settings.get("lam", 0.0001),
        },
        "method": {"name": settings.get("method", "task_driven")},
        "auxiliary": {"tasks": tasks, "backbone": "resnet101", "pretrained": True, "epochs": 30},
        "trainer": {"batch_size": 8, "lr": 0.0001, "warmup_epochs": 30, "coupled_epochs": 70},
        "evaluation": {"seed": 0, "batch_size": 16, "panels": 4},
        "supervision": settings.get("supervision", "supervised"),
        "seed": settings["seed"],
        "study": study.name,
        "results": str(study.results),
        "evaluate_on": settings.get("evaluate_on", []),
    }
    for key, value in settings.items():
        if "." in key:
            group, leaf = key.split(".")
            config[group][leaf] = value
    return config


def _parsed_overrides(overrides: OverrideList) -> dict[str, Any]:
    return {
        key: _parsed(value) for key, value in (override.split("=", 1) for override in overrides)
    }


@functools.cache
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def _degradation(settings: dict[str, Any]) -> dict[str, Any]:
    if settings.get("degradation") == "downsample":
        return {"name": "downsample", "scale": settings["scale"]}
    if settings.get("degradation") == "mix":
        parts = {"blur": {"name": "blur", "kernel": 3, "sigma": 2.0}}
        parts["gaussian"] = {"name": "gaussian", "sigma": settings.get("noise", 0.1)}
        return {"name": "mix", "order": [*parts], **parts}
    return {"name": settings.get("degradation", "gaussian"), "sigma": settings.get("noise", 0.1)}


def _write(folder: Path, record: Record, rows: int, panels: int) -> None:
    """Plain writes: the syncs of real ones would take minutes for thousands."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(json.dumps(record.config))
    (folder / "history.csv").write_text(history(record.id, rows))
    (folder / "scores.csv").write_text(_images(record.metrics))
    (folder / "record.json").write_text(json.dumps(with_checksum(record.to_json()), indent=1))
    for number in range(panels):
        (folder / "panels").mkdir(exist_ok=True)
        (folder / "panels" / f"{number:02d}.png").write_bytes(_picture(number))


def _images(metrics: dict[str, float]) -> str:
    """Scores of eight images, whose means are the record's."""
    names = [name for name in metrics if name.endswith(("psnr", "ssim"))]
    lines = [",".join(["id", "group", *names])]
    for number in range(8):
        values = [str(metrics[name] * (1 + (number - 3.5) / 100)) for name in names]
        lines.append(",".join([f"image-{number}", f"patient-{number // 2}", *values]))
    return "\n".join(lines) + "\n"


def history(run_id: str, rows: int) -> str:
    """Warm-up, recognizer and coupled training, a third of the rows each, as CSV."""
    chance = random.Random(run_id)
    lines = ["stage,epoch,step,loss_main,psnr,loss_diagnosis,gate_diagnosis,ratio_diagnosis"]
    for stage in ("warmup", "recognizer.diagnosis", "coupled"):
        for i in range(1, rows // 3 + 1):
            main = 0.02 / i**0.5 * chance.uniform(0.9, 1.1) * (0.5 if stage == "coupled" else 1)
            psnr, auxiliary = 20 + 3 * i**0.3 + chance.gauss(0, 0.1), 1.1 / i**0.3
            values = {
                "warmup": f"{main},{psnr},,,",
                "recognizer.diagnosis": f",,{auxiliary},,",
                "coupled": f"{main},,{auxiliary},{chance.random()},{chance.random() / 100}",
            }
            lines.append(f"{stage},{i},{10 * i},{values[stage]}")
    return "\n".join(lines) + "\n"


@functools.cache
def _picture(number: int) -> bytes:
    stream = io.BytesIO()
    size = 64
    base = Image.radial_gradient("L").resize((size, size))
    strip = Image.new("L", (4 * size, size))
    for place in range(4):
        strip.paste(
            base.rotate(90 * number).point(lambda v, p=place: v // (p + 1)), (place * size, 0)
        )
    strip.save(stream, "PNG")
    return stream.getvalue()
