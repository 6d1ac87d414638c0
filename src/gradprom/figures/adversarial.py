"""Which runs Task-GAN's figures show: those of its three methods that differ in nothing else.

Its comparison is any sweep over `method=pixel,gan,task_gan`, declared or not, so that the runs are
taken from the records and not from a table.
"""

import json
from collections.abc import Sequence

from gradprom.degradations import labels
from gradprom.errors import RunError
from gradprom.figures.selection import Choice, Entrant, MethodRows, Panel
from gradprom.reports.finding.find import select
from gradprom.reports.finding.words import Candidate
from gradprom.reports.tables.filling import dataset_key
from gradprom.runs.record import Record
from gradprom.runs.records import Study

TITLES = {"pixel": "Pixels alone", "gan": "GAN", "task_gan": "Task-GAN"}
"""The methods as figures name them, in the order of their columns."""
PUBLISHED = "joint"
"""The strategy of the paper's Task-GAN; others stand beside it under their name."""
_SHARED = (
    *("degradation", "backbone", "auxiliary.tasks", "auxiliary.backbone"),
    *("auxiliary.epochs", "auxiliary.lr", "trainer.batch_size", "trainer.lr", "trainer.schedule"),
    *("trainer.warmup_epochs", "trainer.coupled_epochs", "trainer.augment"),
    *("evaluation.seed", "seed"),
)
"""What runs have in common that are shown beside each other, apart from their images."""


def choose(records: Sequence[Record], study: Study, words: list[str]) -> Choice:
    """The runs of one comparison: of several, that of most methods, then of the lowest seed.

    A run of each method is taken, and one of Task-GAN with each strategy that has run: that of the
    smallest µ with the fewest other settings. A method that has not run has an empty entrant.

    Parameters
    ----------
    records
        Of the study.
    study
        The study, for messages.
    words
        `key=value` as `gradprom runs` takes them. Those on the strategy are asked of Task-GAN
        alone, the other methods having none.

    Raises
    ------
    RunError
        If no such run has finished; the message names the command that trains them.
    """
    runs = [record for record in records if record.finished and _method(record) in TITLES]
    if not runs:
        raise RunError(
            f"study {study.name} has no finished run of method=pixel, gan or task_gan; "
            f"`python run.py -m method=task_gan,gan,pixel` trains one of each"
        )
    comparisons: dict[str, list[Record]] = {}
    for record in _narrowed(runs, study, words):
        comparisons.setdefault(_shared(record), []).append(record)
    shown = max(comparisons.values(), key=_preference)
    entrants = _entrants(shown)
    methods = tuple(MethodRows(entrant.title, ()) for entrant in entrants)
    return Choice(Panel("", (), methods), labels.label(shown[0].config["degradation"]), entrants)


def _narrowed(runs: list[Record], study: Study, words: list[str]) -> list[Record]:
    candidates = [Candidate(record.id, "", record) for record in runs]
    kept = {run.id for run in select(study, candidates, words)}
    without = [run for run in candidates if _method(run.record) != "task_gan"]
    general = [word for word in words if not _of_strategy(word)]
    if without and len(general) < len(words):
        try:
            kept |= {run.id for run in select(study, without, general)}
        except RunError:
            pass  # they are all of other data or degradations
    return [record for record in runs if record.id in kept]


def _of_strategy(word: str) -> bool:
    return word.partition("=")[0] in ("strategy", "lam") or word.startswith("strategy.")


def _method(record: Record | None) -> str:
    return "" if record is None else str(record.setting("method.name", ""))


def _shared(record: Record) -> str:
    values = {key: record.setting(key) for key in _SHARED}
    images = [dataset_key(record), record.dataset.fingerprint]
    return json.dumps([*images, values], sort_keys=True)


def _preference(runs: list[Record]) -> tuple[int, int, str]:
    return len({_method(run) for run in runs}), -runs[0].seed, max(run.started for run in runs)


def _entrants(runs: list[Record]) -> tuple[Entrant, ...]:
    by_title: dict[str, Record] = {}
    for run in sorted(runs, key=_simplicity):
        by_title.setdefault(_title(run), run)
    extra = sorted(title for title in by_title if title not in TITLES.values())
    return tuple(Entrant(title, by_title.get(title)) for title in (*TITLES.values(), *extra))


def _simplicity(run: Record) -> tuple[float, int, str]:
    return float(run.setting("strategy.lam", 0)), len(run.overrides), run.id


def _title(run: Record) -> str:
    title, strategy = TITLES[_method(run)], run.setting("strategy.name")
    plain = _method(run) != "task_gan" or strategy == PUBLISHED
    return title if plain else f"{title}, {strategy}"
