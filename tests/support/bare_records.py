"""Records with just the keys that the state of a run depends on."""

import json
from typing import Any

from gradprom.runs.records import Study


def write_bare_record(study: Study, run_id: str, status: str, **changes: Any) -> None:
    folder = study.run(run_id)
    folder.mkdir(parents=True)
    content = {
        "id": run_id,
        "status": status,
        "overrides": ["noise=0.1"],
        "host": "elsewhere",
        "pid": 1,
        "training_id": "t",
        "dataset": {"fingerprint": "f" * 64},
        "config": {},
        "metrics": {},
        "training": {},
    }
    (folder / "record.json").write_text(json.dumps({**content, **changes}))
