"""Find the runs that a person means: by an id, its beginning, or words that select them."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from gradprom.errors import MOST_LINES, RunError, listed
from gradprom.reports.finding.labels import ALWAYS, NAMING, keys_of, labels, varies
from gradprom.reports.finding.words import Candidate, equal
from gradprom.runs.record import Record
from gradprom.runs.records import Study
from gradprom.sweeps.status import STATES, study_status


def resolve(study: Study, words: str) -> Record:
    """The record of the one run with an id, a beginning of it, or words that select it.

    Parameters
    ----------
    study
        The study of the run.
    words
        A text such as `1f3a`, or `strategy=gradprom noise=0.1 seed=0`.

    Raises
    ------
    RunError
        If there is no such run, or several: the message lists at most ten of them with what
        distinguishes them, or the words that are known.
    """
    texts = words.split()
    runs = _by_id(study, words.strip()) if len(texts) <= 1 else []
    runs = runs or select(study, candidates(study, texts), texts)
    if len(runs) > 1:
        raise RunError(_ambiguous(study, words, runs))
    [run] = runs
    if run.record is None:
        label = labels([run])[run.id]
        raise RunError(f"run {run.id} ({label}) has no record: it is {run.state}")
    return run.record


def _by_id(study: Study, prefix: str) -> list[Candidate]:
    """The runs whose id begins with `prefix`; RunError if only unreadable records have such ids."""
    records, problems = study.load(prefix)
    if problems and not records:
        raise RunError(problems[0])
    return [Candidate(record.id, "", record) for record in records]


def candidates(study: Study, words: Iterable[str] = STATES) -> list[Candidate]:
    """The runs of a study, the newest first.

    Parameters
    ----------
    words
        Those that are to select; without a state among them the states are not worked out, and
        runs that have no record are left out.
    """
    records = {record.id: record for record in study.load()[0]}
    if not set(STATES) & set(words):
        runs = [Candidate(record.id, "", record) for record in records.values()]
    else:
        planned = {run.id: run for plan in study.plans() for run in plan.runs}
        states = study_status(study).states
        runs = [Candidate(i, s, records.get(i), planned.get(i)) for i, s in states.items()]
    return sorted(runs, key=lambda run: (run.started, run.id), reverse=True)


def select(study: Study, runs: list[Candidate], words: list[str]) -> list[Candidate]:
    """The runs that all words select, in their order.

    A word is `key=value` (several values separated by commas are alternatives), the value of one
    of the keys that `Candidate.named` or the command line has, a state, or the beginning of an id.

    Raises
    ------
    RunError
        If a word or one of its values selects no run, or no run has them all; the message says
        which words are known.
    """
    kept = runs
    for word in words:
        key, values = _alternatives(word)
        for value in values if runs else ():
            if not _having(runs, key, value):
                raise RunError(_unknown(study, runs, f"{key}={value}"))
        selected = {run.id for run in _with(runs, word)}
        if not selected:
            raise RunError(_unknown(study, runs, word))
        kept = [run for run in kept if run.id in selected]
    if not runs:
        raise RunError(f"study {study.name} has no runs")
    if not kept:
        raise RunError(f"study {study.name} has no run with all of: {' '.join(words)}")
    return kept


def _with(runs: list[Candidate], word: str) -> list[Candidate]:
    key, values = _alternatives(word)
    if values:
        return [run for value in values for run in _having(runs, key, value)]
    having = [run for run in runs if any(equal(own, word) for own in run.words())]
    return having or [run for run in runs if run.id.startswith(word)]


def _alternatives(word: str) -> tuple[str, list[str]]:
    """The key of `key=value,value` and its values; none for another word."""
    key, sign, value = word.lstrip("+").partition("=")
    if not sign:
        return word, []
    return key, [value] if value.startswith(("[", "{")) else value.split(",")


def _having(runs: list[Candidate], key: str, value: str) -> list[Candidate]:
    return [run for run in runs if any(equal(own, value) for own in run.values(key))]


def _ambiguous(study: Study, words: str, runs: list[Candidate]) -> str:
    texts = labels(runs)
    lines = [f"  {run.id}  {texts[run.id]}" for run in runs[:MOST_LINES]]
    lines += [f"  and {len(runs) - MOST_LINES} more"] * (len(runs) > MOST_LINES)
    several = f"{words or 'that'} selects {len(runs)} runs of study {study.name}"
    return "\n".join([f"{several}; give an id, or more words in quotes:", *lines])


def _unknown(study: Study, runs: list[Candidate], word: str) -> str:
    key, sign, _ = word.partition("=")
    missing = f"study {study.name} has no run {word}"
    if not runs:
        return f"{missing}: it has no runs"
    states = ", ".join(sorted({run.state for run in runs} - {""}) or STATES)
    if word in STATES:
        return f"study {study.name} has no run that is {word}: its runs are {states}"
    values = functools.reduce(set.union, (run.values(key) for run in runs), set[str]())
    if sign and values:
        return f"{missing}; {key} is {listed(_sorted(values), MOST_LINES)}"
    keys = [k for k in keys_of(runs) if varies(runs, k)] or [*NAMING, *ALWAYS]
    known = [f"{k}={','.join(_known(runs, k))}" for k in keys[:MOST_LINES] if _known(runs, k)]
    return (
        f"{missing}; known are ids, states ({states}), and {' '.join(known)}; "
        f"`gradprom runs study={study.name}` lists the runs"
    )


def _known(runs: list[Candidate], key: str) -> list[str]:
    values = _sorted({run.named[key] for run in runs if key in run.named})
    return values if len(values) <= MOST_LINES else [*values[:MOST_LINES], "…"]


def _sorted(values: Iterable[str]) -> list[str]:
    """Numbers by size, then texts."""

    def order(value: str) -> tuple[float, str]:
        try:
            return float(value), ""
        except ValueError:
            return float("inf"), value

    return sorted(values, key=order)
