"""What tells runs apart, in words that select them."""

from collections.abc import Sequence

from gradprom.reports.finding.words import GROUPS, SHORT, Candidate

NAMING = ("strategy", "method")
"""Groups one of which is part of every label."""
ALWAYS = ("noise", "seed")
"""Further keys of every label, last."""


def labels(runs: list[Candidate], others: list[Candidate] | None = None) -> dict[str, str]:
    """What tells runs apart, by id, in words that select them.

    A label has the strategy or the method, the other choices and keys in which the runs differ,
    noise and seed, then the settings that none of these imply.

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
    settings = _settings(compared)
    texts = {run.id: _further(run, _label(run, varied), settings) for run in runs}
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
    naming = [key for key in NAMING if key in run.named][:1]
    if not naming and run.record is not None:  # one of the oldest kind tells no choices
        return " ".join(run.record.overrides) or "defaults"
    keys = [key for key in (*naming, *varied, *ALWAYS) if key in run.named]
    words = [f"{key}={run.named[key]}" for key in keys]
    if run.record is None and run.planned is not None:
        words += [word for word in run.planned.label.split() if word not in words]
    return " ".join(words) or "defaults"


def _settings(runs: list[Candidate]) -> list[str]:
    """Keys in which runs with the same files of all groups differ, but for those of short names."""
    keys = dict.fromkeys(key for run in runs for key in run.read)
    return [
        key
        for key in keys
        if not _implied(runs, key) and not any(_stands_for(runs, name, key) for name in SHORT)
    ]


def _implied(runs: list[Candidate], key: str) -> bool:
    """Whether the files of the groups determine a key's value."""
    values: dict[tuple[str | None, ...], str] = {}
    return all(
        values.setdefault(tuple(map(run.named.get, GROUPS)), run.read[key]) == run.read[key]
        for run in runs
        if key in run.read
    )


def _stands_for(runs: list[Candidate], name: str, key: str) -> bool:
    """Whether a short name and a key determine each other, as `noise` and `degradation.sigma`."""
    having = [run for run in runs if name in run.named and key in run.read]
    pairs = {(run.named[name], run.read[key]) for run in having}
    short, values = {short for short, _ in pairs}, {value for _, value in pairs}
    return bool(pairs) and len(short) == len(pairs) == len(values)


def _differing(runs: list[Candidate]) -> list[str]:
    keys = dict.fromkeys(key for run in runs for key in run.read)
    return [key for key in keys if len({run.read[key] for run in runs if key in run.read}) > 1]


def _further(run: Candidate, label: str, keys: Sequence[str]) -> str:
    return " ".join([label, *(f"{key}={run.read[key]}" for key in keys if key in run.read)])
