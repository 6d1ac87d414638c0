"""The record of a run: what `record.json` says of it, with typed fields.

Records are of schema 1 or 2. Keys that are younger than a record have the value that its docstring
names; unknown keys, of later versions, are preserved when a record is written again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradprom.storage.files import CHECKSUM, file_digest, is_plain, read_json, without_checksum
from gradprom.storage.json_object import JsonObject, field, part, parts, parts_by_name

SCHEMA = 2
"""Of a record; raised when a key changes its meaning. From 2 on it has a checksum."""
READABLE = (1, 2)
STARTED = ("id", "status", "config", "dataset")
"""Keys that every record has."""
FINISHED = ("metrics", "training")
"""Further keys that the record of a finished run has."""
_END = {
    "finished": (*FINISHED, "stages", "interruptions", "duration", "peak_memory", "files"),
    "pruned": ("reason",),
    "failed": ("error",),
}
"""By status: the keys that describe how a run ended."""
_OTHERS = (
    "metrics",
    "evaluate_on",
    "variants",
    *_END["finished"],
    *_END["pruned"],
    *_END["failed"],
)


@dataclass(frozen=True, kw_only=True)
class DatasetInfo(JsonObject):
    """The dataset that a run was trained and tested on."""

    name: str = ""
    """The component of `dataset`, such as `phantom`."""
    split: str = ""
    """The file or rule that splits it; `its own` where the dataset does."""
    counts: dict[str, int] = field(default_factory=dict)
    """Images of each split."""
    fingerprint: str = ""
    """SHA-256 (hex) of its content and of its split."""
    notes: list[str] = field(default_factory=list)
    """Remarks on it, such as that only some patients are on disk; none in records of schema 1."""
    value_range: list[float] = field(default_factory=list)
    """The values of black and of white in files of more than 8 bits; empty where there are none,
    and in older records."""


@dataclass(frozen=True, kw_only=True)
class FurtherTestSet(JsonObject):
    """A further test set of `evaluate_on`, and what the run scored on it."""

    metrics: dict[str, float] = field(default_factory=dict)
    """By name, those of the images alone."""
    counts: dict[str, int] = field(default_factory=dict)
    """Images of each split."""
    fingerprint: str = ""
    """SHA-256 (hex) of its content and of its split."""
    notes: list[str] = field(default_factory=list)
    """As `DatasetInfo.notes`."""
    value_range: list[float] = field(default_factory=list)
    """As `DatasetInfo.value_range`."""


@dataclass(frozen=True, kw_only=True)
class Revision(JsonObject):
    """The code of a run."""

    revision: str | None = None
    """The commit (40 hex digits); None where there was no git."""
    dirty: bool | None = None
    """Whether the tree differed from the commit; None where there was no git."""
    diff: str | None = None
    """The id of the diff between the commit and the code, which is the file `code/<diff>.diff` of
    the study; empty where they are equal, None where it was not kept, and in older records."""
    not_kept: str = ""
    """Why a diff was not kept."""
    snapshot: str = ""
    """The folder of `results/snapshots` that the run ran from; empty where it ran from the working
    tree, and in older records."""

    def text(self, digits: int = 40) -> str:
        """Such as `0407e8a with uncommitted changes 1f3a`; `no git` where none is known.

        Parameters
        ----------
        digits
            Of the commit that are shown.
        """
        if self.revision is None:
            return "no git"
        # other files than those of the code may have changed
        changed = self.dirty and self.diff != ""
        which = f" {self.diff}" if self.diff else ""
        return self.revision[:digits] + (f" with uncommitted changes{which}" if changed else "")


@dataclass(frozen=True, kw_only=True)
class StageInfo(JsonObject):
    """A stage that a run is made of."""

    name: str = ""
    """Such as `coupled`."""
    id: str = ""
    """The first 12 hex digits of what identifies it in the stage store."""
    epochs: int = 0
    steps: int = 0
    """Updates, in all epochs."""
    seconds: float = 0.0
    """Duration of its training, by whichever run trained it."""
    interruptions: int = 0
    """How often its training was resumed from a checkpoint."""
    updates: str = "eager"
    """How they were taken: `eager`; `graph`, replayed as CUDA graphs; `static`, in a graph's
    buffers on a CPU."""


@dataclass(frozen=True, kw_only=True)
class ErrorInfo(JsonObject):
    """What stopped a run."""

    type: str = ""
    """The class of the exception, such as `NonFinite`."""
    message: str = ""
    where: str = ""
    """Such as `engine.py:118 in train`."""
    traceback: str = ""
    """Empty where the process could not write one."""


@dataclass(frozen=True, kw_only=True)
class Record(JsonObject):
    """What a run leaves behind; the fields are the keys of `record.json`, in its order."""

    schema: int = 1
    """Version of the format: 1 where the record does not say."""
    id: str
    """The run's id, 12 hex digits: what was trained, how and on what it was evaluated."""
    training_id: str = ""
    """The id of the last stage, and so of all that was trained."""
    seed: int = 0
    """Of the training."""
    choices: dict[str, str] = field(default_factory=dict)
    """Which file each group of the configuration was taken from, by group."""
    overrides: list[str] = field(default_factory=list)
    """Of the command line, as they were typed."""
    config: dict[str, Any]
    """The typed configuration as plain data, with the keys of the version that trained the run."""
    dataset: DatasetInfo = part(DatasetInfo)
    git: Revision = part(Revision, default_factory=Revision)
    packages: dict[str, str] = field(default_factory=dict)
    """Versions of Python and of the packages that matter, by name."""
    host: str = ""
    """The machine that trained it, or is training it."""
    pid: int = 0
    """The process on that machine."""
    job: str | None = None
    """The Slurm job, as `squeue` names it; None outside of one, and in older records."""
    device: str = ""
    """Its type and its name, such as `cuda: NVIDIA H100`."""
    precision: str = "float32"
    """Of the training: `trainer.precision`, which older records do not say."""
    deterministic: bool = False
    """Whether training and evaluation were held to equal bits each time: `trainer.deterministic`;
    false in older records, whose runs on a CPU had equal bits nevertheless."""
    title: str = ""
    """The method as shown to people; empty in older records."""
    setup: dict[str, str] = field(default_factory=dict)
    """What the plan lists of the run, such as dataset and networks, by title; empty in records
    of schema 1."""
    reads: dict[str, Any] = field(default_factory=dict)
    """What the method reads of the configuration, nested by key; empty in records of schema 1."""
    scores: list[str] = field(default_factory=list)
    """Names of the metrics that the method has; empty in records of schema 1."""
    started: str = ""
    """When, in ISO 8601 with the offset of the time zone."""
    status: str
    """`started`, `finished`, `failed` or `pruned`."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Scores on the test split, or on the validation split where there is one, by name; empty
    unless the run has finished, as are the next six."""
    evaluate_on: dict[str, FurtherTestSet] = parts_by_name(FurtherTestSet)
    """Further test sets, by name."""
    training: dict[str, float] = field(default_factory=dict)
    """What the strategy logged: means over the last stage, such as `gate_<task>`."""
    stages: list[StageInfo] = parts(StageInfo)
    """All stages of the lineage, ancestors first."""
    interruptions: int = 0
    """Sum over the stages."""
    duration: float | None = None
    """Seconds from the run's beginning to its end in the process that finished it."""
    peak_memory: int = 0
    """Bytes on the device."""
    reason: str = ""
    """Why the tuning stopped a pruned run."""
    error: ErrorInfo | None = part(ErrorInfo, default=None)
    """What stopped a failed run."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 (hex) of the other files of a finished run, by name; since schema 2."""
    variants: list[str] = field(default_factory=list)
    """Names of other results that the same run had elsewhere (`runs.merging`)."""

    def expected(self) -> list[str]:
        """The keys that a record of its status has."""
        head = [name for name in _FIELDS if name not in _OTHERS]
        return [*head, *_END.get(self.status, ())]

    @property
    def finished(self) -> bool:
        """Whether the run has finished, and has scores."""
        return self.status == "finished"

    def setting(self, key: str, default: Any = None) -> Any:
        """The configuration's value of a dotted key, such as `trainer.lr`.

        Parameters
        ----------
        default
            What is returned where the configuration does not have the key.
        """
        value: Any = self.config
        for name in key.split("."):
            if not isinstance(value, Mapping) or name not in value:
                return default
            value = value[name]
        return value

    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of the run's own dataset, by "", and of its further test sets, by name."""
        further = {name: test_set.fingerprint for name, test_set in self.evaluate_on.items()}
        return {"": self.dataset.fingerprint, **further}


_FIELDS = tuple(Record.__annotations__)


def read_record(path: Path) -> tuple[Record | None, str]:
    """A record, or the reason why it cannot be used.

    Parameters
    ----------
    path
        `record.json` in the folder of the run, whose id is the folder's name.

    Returns
    -------
    tuple
        The record and an empty text, or None and the reason.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        return None, "truncated or not JSON"
    if CHECKSUM in content or content.get("schema", 1) == SCHEMA:
        content = without_checksum(content)
    problem = _problem(content, path.parent.name) if content else "does not fit its checksum"
    if problem or content is None:
        return None, problem
    try:
        return Record.from_json(content), ""
    except (TypeError, ValueError) as error:
        return None, f"is no record: {error}"


def _problem(content: Mapping[str, Any], run_id: str) -> str:
    """Why the content of a record cannot be used; empty where it can."""
    if content.get("schema", 1) not in READABLE:
        readable = " and ".join(map(str, READABLE))
        return f"written as schema {content['schema']}, and this version reads {readable}"
    finished = FINISHED if content.get("status") == "finished" else ()
    missing = [key for key in (*STARTED, *finished) if key not in content]
    if missing:
        return f"lacks {', '.join(missing)}"
    return "" if content["id"] == run_id else f"is that of run {content['id']}"


def damage(folder: Path, record: Record) -> str:
    """What is wrong with the first of a run's files that is not as recorded; empty if none is."""
    for name, digest in record.files.items():
        try:
            intact = is_plain(name) and file_digest(folder / name) == digest
        except OSError:
            return f"its {name} is gone"
        if not intact:
            return f"its {name} is damaged"
    return ""


def value_of(record: Record | None, metric: str, test_set: str = "") -> float | None:
    """One number of a finished run: a score, or what training logged, its mean over tasks.

    Parameters
    ----------
    record
        None where the run has no record.
    metric
        Such as `psnr`, or `gate` for the values `gate_<task>` of coupled training.
    test_set
        One of `evaluate_on`, whose scores are meant; empty: the test split of the dataset.
    """
    from gradprom.metrics.registry import METRICS  # late, because NumPy is slow to import

    if record is None or not record.finished:
        return None
    if metric in METRICS and METRICS[metric].source == "training":
        return METRICS[metric].of_training(record.training)
    if not test_set:
        return record.metrics.get(metric)
    further = record.evaluate_on.get(test_set)
    return None if further is None else further.metrics.get(metric)
