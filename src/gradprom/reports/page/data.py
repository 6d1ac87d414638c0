"""The JSON that the report's page holds of its runs, small enough for thousands of them.

Configurations are stored as differences from the most common values, curves as at most `POINTS`
means of neighbouring rows.
"""

import json
import math
import os
from collections import Counter
from itertools import compress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from gradprom.metrics.registry import METRICS, main_metrics, with_baselines
from gradprom.runs import history
from gradprom.runs.record import Record
from gradprom.runs.record_config import flatten
from gradprom.runs.records import Study

POINTS = 60
"""Most points of a curve in one stage."""
Grids = dict[tuple[int, ...], int]
"""Steps of a curve → index of the grid; curves of many runs share their steps."""
_RECORD_KEYS = (
    *("seed", "status", "metrics", "training", "device", "host", "started", "interruptions"),
    *("duration", "peak_memory", "error", "variants"),
)
"""Keys of a record that the page shows unchanged."""


def page_data(records: dict[str, Record], study: Study, page: Path) -> dict[str, Any]:
    """Collect the data that the page's script works on.

    Parameters
    ----------
    records
        By run id.
    study
        The study that holds the runs' folders.
    page
        The page's file, to which links are relative.

    Returns
    -------
    dict[str, Any]
        `common`: the most common value of each key of the configurations; `grids`: the steps of
        curves; `metrics`: title, unit and digits by name; `runs`: by id.
    """
    grids: Grids = {}
    configs = {run_id: _flat(record) for run_id, record in records.items()}
    common = _common(list(configs.values()))
    runs = {
        run_id: {
            **_record_entries(record),
            "diff": _diff_link(record, study, page),
            **_difference(configs[run_id], common),
            **_files(study.run(run_id), page, grids),
        }
        for run_id, record in records.items()
    }
    metrics = {
        m.name: {"title": m.title, "unit": m.unit, "digits": m.digits}
        for m in with_baselines(main_metrics())
    }
    return {"common": common, "grids": list(grids), "metrics": metrics, "runs": runs}


def as_json(value: Any) -> str:
    """JSON that is safe inside a script element, whatever its strings contain."""
    try:
        text = _compact_json(value)
    except ValueError:
        text = _compact_json(_finite(value))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _compact_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def relative_link(path: Path, page: Path) -> str:
    """A link to a file relative to the page, so that both can be moved together."""
    return quote(os.path.relpath(path, page.parent).replace(os.sep, "/"))


def _finite(value: Any) -> Any:
    """The value with NaN and infinities as text, because JSON has no such numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def _record_entries(record: Record) -> dict[str, Any]:
    """What the page shows of a record, but for its configuration."""
    dataset, content = record.dataset, record.to_json()
    return {
        **{key: content[key] for key in _RECORD_KEYS if key in content},
        "evaluate_on": {name: test_set.metrics for name, test_set in record.evaluate_on.items()},
        "revision": record.git.text(),
        "short_revision": record.git.text(digits=7),
        "dataset": dataset.name,
        "counts": dataset.counts,
        "fingerprint": dataset.fingerprint,
        "overrides": record.overrides,
    }


def _diff_link(record: Record, study: Study, page: Path) -> str:
    """A link to what was not committed of a run's code; empty where there is nothing."""
    return relative_link(study.diff(record.git.diff), page) if record.git.diff else ""


def _flat(record: Record) -> dict[str, Any]:
    """The configuration as dotted keys, without `facts`, which follow from the dataset."""
    return {k: v for k, v in flatten(record.config).items() if not k.startswith("facts.")}


def _common(configs: list[dict[str, Any]]) -> dict[str, Any]:
    """The most common value of each key; keys in the order of their first appearance."""
    counts: dict[str, Counter[str]] = {}
    for config in configs:
        for key, value in config.items():
            counts.setdefault(key, Counter())[json.dumps(value)] += 1
    return {key: json.loads(count.most_common(1)[0][0]) for key, count in counts.items()}


def _difference(config: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    """Values other than the most common ones, and the keys that the configuration lacks."""
    differing = {k: v for k, v in config.items() if v != common[k]}
    return {"differing": differing, "without": [k for k in common if k not in config]}


def _files(folder: Path, page: Path, grids: Grids) -> dict[str, Any]:
    panels = sorted(folder.glob("panels*/*.png"))
    return {
        "folder": relative_link(folder, page),
        "panels": [relative_link(path, page) for path in panels],
        "curves": _curves(folder, grids),
    }


def _curves(folder: Path, grids: Grids) -> list[list[Any]]:
    """[stage, name, index of its grid, values] for each curve, in the order of training."""
    log = history.read(folder)
    names, curves = [name for name in log.columns if _has_curve(name)], []
    for stage, rows in log.stages().items():
        steps = rows.cells("step")
        for name in names:
            cells = rows.cells(name)
            if any(cells):
                logged_steps, texts = list(compress(steps, cells)), list(filter(None, cells))
                grid, values = _binned(logged_steps, texts)
                curves.append([stage, name, grids.setdefault(grid, len(grids)), values])
    return curves


def _has_curve(column: str) -> bool:
    """Whether a column of a history gets a curve: losses, and metrics logged in training."""
    logged = (metric for metric in METRICS.values() if metric.logged)
    return column.startswith("loss_") or any(metric.logs(column) for metric in logged)


def _binned(steps: list[str], texts: list[str]) -> tuple[tuple[int, ...], list[float]]:
    """Last steps and means of at most `POINTS` bins; four digits are enough for a drawing."""
    parts = min(POINTS, len(texts))
    edges = np.arange(parts + 1) * len(texts) // parts
    sums = np.add.reduceat(np.fromiter(map(float, texts), float), edges[:-1])
    means = sums / np.diff(edges)
    return tuple(int(float(steps[i - 1])) for i in edges[1:]), [float(f"{m:.4g}") for m in means]
