"""Hand-made records of runs on the phantom, for tables without a declared experiment."""

import json
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from gradprom.identity import digest
from gradprom.runs.record import Record
from gradprom.runs.records import Study

CONFIG: dict[str, Any] = {
    "dataset": {"name": "phantom", "size": 64, "split_seed": 0},
    "degradation": {"name": "gaussian", "sigma": 0.1, "clamp": True},
    "backbone": {"name": "srresnet", "channels": 16, "blocks": 4},
    "strategy": {"name": "gradprom", "lam": 1e-4, "gate": "hard"},
    "method": {"name": "task_driven"},
    "auxiliary": {"tasks": ["diagnosis"], "backbone": "small", "lr": 0.003},
    "trainer": {"lr": 0.003, "batch_size": 8, "threads": 1, "device": "cpu", "log_every": 10},
    "evaluation": {"seed": 0, "batch_size": 16, "panels": 4},
    "supervision": "supervised",
    "seed": 0,
    "study": "local",
    "results": "results",
    "logger": "csv",
    "facts": {"channels": 3},
}
CHOICES = {
    "method": "task_driven",
    "dataset": "phantom",
    "degradation": "gaussian",
    "backbone": "srresnet_small",
    "auxiliary": "diagnosis",
    "strategy": "gradprom",
    "profile": "demo",
}


def record(psnr: float | None = None, ssim: float = 0.5, **changes: Any) -> Record:
    """A record that differs from the others in `changes`: dotted keys with `__` for the dot.

    Without a PSNR it has not finished.
    """
    content: dict[str, Any] = {
        "status": "failed" if psnr is None else "finished",
        "overrides": [],
        "choices": dict(CHOICES),
        "config": deepcopy(CONFIG),
        "dataset": {"name": "phantom", "fingerprint": "f" * 64},
        "git": {"revision": "r1", "dirty": False},
        "setup": {"dataset": "phantom, 64×64"},
        "started": "2026-03-02T10:15:00+0000",
    }
    if psnr is not None:
        scores = {"psnr": psnr, "ssim": ssim, "degraded_psnr": 20.0, "degraded_ssim": 0.25}
        content |= {"metrics": scores, "training": {}}
    for key, value in {"config__seed": 0, **changes}.items():
        *path, last = key.split("__")
        section = content
        for name in path:
            section = section[name]
        section[last] = value
    content |= {"id": digest([repr(content)]), "seed": content["config"]["seed"]}
    return Record.from_json(content)


def strategy(name: str, psnr: float | None = None, **changes: Any) -> Record:
    options = {"name": name} | ({} if name == "mainstream" else {"lam": 1e-4})
    return record(psnr, choices__strategy=name, config__strategy=options, **changes)


PARTS = [30, 90, 150, 210]
"""Grey levels that stand for degraded, enhanced, clean, error."""


def write_run(study: Study, record: Record, panel: bool = True) -> None:
    """What a run leaves, small: a panel of 12 pixels in each part, two stages of history."""
    folder = study.run(record.id)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(record.to_json()))
    if not record.finished:
        return
    rows = [{"stage": "warmup", "epoch": 1, "step": s, "psnr": 10.0 + s} for s in range(3)]
    rows += [
        {
            "stage": "coupled",
            "epoch": 1,
            "step": s,
            "psnr": 20.0 + s,
            "gate_a": 0.5,
            "ratio_a": 1e-4,
        }
        for s in range(4)
    ]
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    if panel:
        (folder / "panels").mkdir()
        parts = [np.full((12, 12, 3), level, np.uint8) for level in PARTS]
        Image.fromarray(np.concatenate(parts, axis=1)).save(folder / "panels" / "00.png")
