"""What the report's page holds of its runs, small enough for thousands of them.

Configurations are told as differences from the commonest values, curves as at most `POINTS` means
of neighbouring rows.
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

from gradprom.metrics.registry import METRICS, main_metrics
from gradprom.runs import history
from gradprom.runs.record import Record
from gradprom.runs.record_config import flatten
from gradprom.runs.records import Study

POINTS = 60
"""Most points of a curve in one stage."""
Grids = dict[tuple[int, ...], int]
"""Steps of a curve → their number; curves of many runs are given at the same steps."""
_KEPT = (
    *("seed", "status", "metrics", "training", "device", "host", "started", "interruptions"),
    *("duration", "peak_memory", "error"),
)


def embedded(records: dict[str, Record], study: Study, page: Path) -> dict[str, Any]:
    """What the page's script works on.

    `common`: the commonest value of each key; `grids`: the steps that curves are given at;
    `metrics`: title, unit and digits by name; `runs`: by id.
    """
    grids: Grids = {}
    configs = {run_id: _flat(record) for run_id, record in records.items()}
    common = _common(list(configs.values()))
    runs = {
        run_id: {
            **_told(record),
            **_against(configs[run_id], common),
            **_files(study.run(run_id), page, grids),
        }
        for run_id, record in records.items()
    }
    metrics = {
        m.name: {"title": m.title, "unit": m.unit, "digits": m.digits} for m in main_metrics()
    }
    return {"common": common, "grids": list(grids), "metrics": metrics, "runs": runs}


def as_json(value: Any) -> str:
    """JSON that may stand inside a script element, whatever its texts hold."""
    try:
        text = _dumped(value)
    except ValueError:
        text = _dumped(_finite(value))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def address(path: Path, page: Path) -> str:
    """A relative link from the page to a file, so that both can be moved together."""
    return quote(os.path.relpath(path, page.parent).replace(os.sep, "/"))


def _finite(value: Any) -> Any:
    """NaN and infinities as text, which JSON has no numbers for."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def _told(record: Record) -> dict[str, Any]:
    data, content = record.dataset, record.to_json()
    return {
        **{key: content[key] for key in _KEPT if key in content},
        "evaluate_on": {name: x.metrics for name, x in record.evaluate_on.items()},
        "revision": record.git.revision,
        "dirty": record.git.dirty,
        "dataset": data.name,
        "counts": data.counts,
        "fingerprint": data.fingerprint,
        "overrides": record.overrides,
    }


def _flat(record: Record) -> dict[str, Any]:
    """The configuration as dotted keys, without what follows from the dataset."""
    return {k: v for k, v in flatten(record.config).items() if not k.startswith("facts.")}


def _common(configs: list[dict[str, Any]]) -> dict[str, Any]:
    """Each key's commonest value, keys in the order in which they first come."""
    counted: dict[str, Counter[str]] = {}
    for config in configs:
        for key, value in config.items():
            counted.setdefault(key, Counter())[json.dumps(value)] += 1
    return {key: json.loads(count.most_common(1)[0][0]) for key, count in counted.items()}


def _against(config: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    differing = {k: v for k, v in config.items() if v != common[k]}
    return {"differing": differing, "without": [k for k in common if k not in config]}


def _files(folder: Path, page: Path, grids: Grids) -> dict[str, Any]:
    panels = sorted(folder.glob("panels*/*.png"))
    return {
        "folder": address(folder, page),
        "panels": [address(path, page) for path in panels],
        "curves": _curves(folder, grids),
    }


def _curves(folder: Path, grids: Grids) -> list[list[Any]]:
    """[stage, name, number of its grid, values] for each curve of each stage, as trained."""
    logged = history.read(folder)
    drawn, curves = [name for name in logged.columns if _is_drawn(name)], []
    for stage, rows in logged.stages().items():
        steps = rows.cells("step")
        for name in drawn:
            cells = rows.cells(name)
            if any(cells):
                logged_at, texts = list(compress(steps, cells)), list(filter(None, cells))
                grid, values = _thinned(logged_at, texts)
                curves.append([stage, name, grids.setdefault(grid, len(grids)), values])
    return curves


def _is_drawn(column: str) -> bool:
    """Whether a column of a history is drawn: losses, and what training logs of metrics."""
    logged = (metric for metric in METRICS.values() if metric.logged)
    return column.startswith("loss_") or any(metric.logs(column) for metric in logged)


def _thinned(steps: list[str], texts: list[str]) -> tuple[tuple[int, ...], list[float]]:
    """Last step and mean of at most `POINTS` runs of neighbours; four digits are enough to draw."""
    parts = min(POINTS, len(texts))
    edges = np.arange(parts + 1) * len(texts) // parts
    sums = np.add.reduceat(np.fromiter(map(float, texts), float), edges[:-1])
    means = sums / np.diff(edges)
    return tuple(int(float(steps[i - 1])) for i in edges[1:]), [float(f"{m:.4g}") for m in means]
