"""`keep=`: which trained weights a finished sweep leaves on the disk."""

from collections.abc import Iterable

from gradprom.disk.clean import WEIGHTS, Item, remove
from gradprom.disk.needs import Needs, needs_of
from gradprom.disk.usage import size_of, size_text
from gradprom.identity import digest
from gradprom.metrics.registry import METRICS
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.storage.stage_names import stage_name


def keep_only(study: Study, records: Iterable[Record], keep: str) -> str:
    """Remove stages of a sweep whose runs have all finished.

    Stages that an unfinished run of any study needs stay, and so do last weights that are also
    those of a run outside of the sweep.

    Parameters
    ----------
    study
        The study of the sweep.
    records
        The records of its runs; not read for `all`.
    keep
        `all`; `final`: the last stage of each run; `best`: that of the best run on each test set;
        `none`.

    Returns
    -------
    str
        A line for a terminal; empty for `all`.
    """
    if keep == "all":
        return ""
    records = list(records)
    needs = needs_of(study.results)
    if needs.unknown:
        return f"keep     all, because not every need is known: {needs.unknown[0]}"
    gone = {"final": [], "best": _all_but_best(records), "none": records}[keep]
    owners = {(study.name, record.id) for record in gone}
    names = {name for record in records for name in _stages(record)}
    paths = [study.stages / name for name in sorted(names) if _goes(name, needs, owners)]
    items = [Item(path, WEIGHTS, keep, size_of(path)) for path in paths if path.is_dir()]
    freed, problems = remove(items)
    return "\n".join([f"keep     {keep}: {size_text(freed)} freed", *problems])


def _stages(record: Record) -> Iterable[str]:
    ids = [record.training_id, *(stage.id for stage in record.stages)]
    return {stage_name(stage_id, record.dataset.fingerprint) for stage_id in ids}


def _goes(name: str, needs: Needs, owners: set[tuple[str, str]]) -> bool:
    """Whether a stage of the sweep can go; `owners` are the runs whose last weights can."""
    is_needed = name.rpartition("-")[0] in needs.unfinished
    return not is_needed and owners.issuperset(needs.last.get(name, []))


def _all_but_best(records: list[Record]) -> list[Record]:
    """Those that are not the best on their test set, by the first score that they have."""
    best: dict[str, Record] = {}
    for record in records:
        tested_on = digest(
            [record.dataset.fingerprint, record.setting("degradation"), record.scores[:1]]
        )
        if tested_on not in best or _rank(record) > _rank(best[tested_on]):
            best[tested_on] = record
    kept = {record.id for record in best.values()}
    return [record for record in records if record.id not in kept]


def _rank(record: Record) -> float:
    """The first score of a run, such as PSNR; larger is better."""
    name = record.scores[0]
    return METRICS[name].sign * record.metrics.get(name, float("-inf"))
