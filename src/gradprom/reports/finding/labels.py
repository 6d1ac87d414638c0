"""What tells runs apart, in words that select them."""

from gradprom.reports.finding.words import Candidate

NAMING = ("strategy", "method")
"""Groups one of which is part of every label."""
ALWAYS = ("noise", "seed")
"""Further keys of every label, last."""


def labels(runs: list[Candidate], others: list[Candidate] | None = None) -> dict[str, str]:
    """What tells runs apart, by id, in words that select them.

    A label has the strategy or the method, the other choices and keys in which the runs differ,
    then noise and seed.

    Parameters
    ----------
    runs
        Those to be told apart.
    others
        Runs that a single one is told apart from.
    """
    compared = runs if len(runs) > 1 else others or runs
    keys = [key for key in keys_of(compared) if key not in (*NAMING, *ALWAYS)]
    varied = [key for key in keys if varies(compared, key)]
    texts = {run.id: _label(run, varied) for run in runs}
    alike: dict[str, list[Candidate]] = {}
    for run in compared:
        alike.setdefault(texts.get(run.id, ""), []).append(run)
    further = {label: _differing(equals) for label, equals in alike.items() if len(equals) > 1}
    return {run.id: _further(run, texts[run.id], further.get(texts[run.id], [])) for run in runs}


def keys_of(runs: list[Candidate]) -> list[str]:
    """The keys of some runs that have short names, each once."""
    return list(dict.fromkeys(key for run in runs for key in run.named))


def varies(runs: list[Candidate], key: str) -> bool:
    """Whether runs that have a key have different values."""
    return len({run.named[key] for run in runs if key in run.named}) > 1


def _label(run: Candidate, varied: list[str]) -> str:
    if run.record is None:
        return run.label or "defaults"
    naming = [key for key in NAMING if key in run.named][:1]
    if not naming:  # a record of the oldest kind tells no choices
        return " ".join(run.record.overrides) or "defaults"
    keys = [key for key in (*naming, *varied, *ALWAYS) if key in run.named]
    return " ".join(f"{key}={run.named[key]}" for key in keys)


def _differing(runs: list[Candidate]) -> list[str]:
    keys = dict.fromkeys(key for run in runs for key in run.read)
    return [key for key in keys if len({run.read[key] for run in runs if key in run.read}) > 1]


def _further(run: Candidate, label: str, keys: list[str]) -> str:
    return " ".join([label, *(f"{key}={run.read[key]}" for key in keys if key in run.read)])
