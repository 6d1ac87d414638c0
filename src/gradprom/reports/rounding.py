"""The rounding floor: how far the scores of a run move when only the rounding changes.

A finished run is trained once more with the other memory layout (`trainer.channels_last`), which no
id depends on because it changes results by rounding alone. A difference between two rows that is
not larger than this says nothing.

results/<study>/rounding.json    the measurements, the last one of each run
results/rounding/                the second training, with stages of its own
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from gradprom.errors import RunError
from gradprom.metrics.registry import METRICS, main_metrics
from gradprom.runs.records import Study
from gradprom.storage.files import read_json, write_json

if TYPE_CHECKING:
    from gradprom.reports.tables.table import Table
    from gradprom.runs.record import Record
    from gradprom.runs.run import Run


@dataclass
class Floor:
    """The scores of one run, trained in both memory layouts."""

    run: str
    label: str
    """The run's overrides."""
    first: dict[str, float]
    second: dict[str, float]
    """By metric: of the run, and of its second training."""
    images: int
    predictions: dict[str, int]
    """By column of classes: how many test images are classified otherwise."""

    def text(self) -> str:
        """A sentence with the differences that rounding alone has made."""
        moved = [
            f"{METRICS[name].title} {abs(self.second[name] - value):.2g} {METRICS[name].unit}"
            for name, value in self.first.items()
        ]
        moved += [
            f"{count} of {self.images} {name.replace('_', ' ')}s"
            for name, count in self.predictions.items()
        ]
        return (
            f"Rounding floor: {', '.join(map(str.strip, moved))}, by which run {self.run} "
            f"({self.label}) moves when it is trained again with the other memory layout."
        )


def measure(study: Study, prefix: str) -> Floor:
    """Train a finished run again in the other memory layout, and store how far its scores move.

    Parameters
    ----------
    study
        The study of the run.
    prefix
        The run's id, or a unique beginning of it.

    Raises
    ------
    RunError
        If the run does not exist or has not finished, or this version of the code would train
        another run from its configuration.
    """
    # here, because a report reads what is stored without torch
    from gradprom.reports.compare import image_scores
    from gradprom.runs.execution import execute
    from gradprom.runs.restore import require_finished

    record = study.resolve(prefix)
    require_finished(record)
    again = _again(study, record)
    if again.id != record.id:
        raise RunError(
            f"run {record.id} is of another version of the code, which would train {again.id} now; "
            f"choose a run that `gradprom rerun {record.id} study={study.name}` has trained again"
        )
    execute(again)
    tables = [image_scores(study, record.id), image_scores(again.study, record.id)]
    columns = [{str(name): v.to_numpy() for name, v in table.items()} for table in tables]
    weights = np.ones(len(tables[0]))
    shared = [m for m in main_metrics() if all(map(m.fits, columns))]
    first, second = ({m.name: float(m.score(c, weights)) for m in shared} for c in columns)
    classes = [name for name in columns[0] if name.endswith("prediction")]
    changed = {name: int((columns[0][name] != columns[1][name]).sum()) for name in classes}
    floor = Floor(record.id, " ".join(record.overrides), first, second, len(weights), changed)
    others = [other for other in stored(study) if other.run != floor.run]
    write_json(study.folder / "rounding.json", [asdict(each) for each in (*others, floor)])
    return floor


def stored(study: Study) -> list[Floor]:
    """The measurements in a study, the latest last; none without a file that can be read."""
    content = read_json(study.folder / "rounding.json")
    entries = [content] if isinstance(content, dict) else content  # once it held only the last one
    known = {field.name for field in fields(Floor)}
    readable = entries if isinstance(entries, list) else []
    return [Floor(**each) for each in readable if isinstance(each, dict) and set(each) == known]


def note_below(tables: list[Table], floors: list[Floor]) -> None:
    """Note the floors below the tables that hold the runs on which they were measured."""
    for table in tables:
        runs = {run for row in table.rows for of in row.expected.values() for run in of.values()}
        table.floors = [floor.text() for floor in floors if floor.run in runs]


def _again(study: Study, record: Record) -> Run:
    """The same run, in the other memory layout and with results of its own."""
    from gradprom.runs.restore import load_run, read_config, typed
    from gradprom.runs.run import Run, plain
    from gradprom.training import engine, precision

    method = load_run(study, record.id).method
    options = method.config.trainer
    device = engine.choose_device(options.device)
    networks = (network.to(device) for network in method.build_networks().values())
    last = any(precision.is_channels_last(network, options) for network in networks)
    node = read_config(study.run(record.id) / "config.yaml")
    node.results, node.study = str(study.results / "rounding"), study.name
    node.trainer.channels_last = "false" if last else "true"
    return Run(typed(node), plain(node), record.choices, record.overrides)
