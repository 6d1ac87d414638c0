"""Records with no more than the command line needs to tell where runs stand."""

import json
from typing import Any

from gradprom.runs.records import Study


def keep_record(study: Study, run_id: str, status: str, **more: Any) -> None:
    folder = study.run(run_id)
    folder.mkdir(parents=True)
    head = {
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
    (folder / "record.json").write_text(json.dumps({**head, **more}))
