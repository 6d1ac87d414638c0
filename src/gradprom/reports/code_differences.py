"""How the code of two runs differs, as `gradprom compare` shows it."""

from gradprom.errors import RunError
from gradprom.runs import code
from gradprom.runs.provenance import CLONE
from gradprom.runs.record import Record
from gradprom.runs.records import Study

MOST_LINES = 60
"""Most lines of a diff that are shown."""


def text(study: Study, first: Record, second: Record) -> str:
    """Lines for a terminal: the commit of each run, and a diff from the first to the second.

    Parameters
    ----------
    study
        The study of both runs.
    first, second
        Their records.
    """
    names = [record.git.text(digits=7) for record in (first, second)]
    lines = [f"code {names[0]}" if names[0] == names[1] else f"code {names[0]}, then {names[1]}"]
    try:
        codes = [(record.git, code.diff_of(study, record)) for record in (first, second)]
        if names[0] != names[1]:
            lines += _shortened(code.between(CLONE, *codes).splitlines())
    except RunError as unknown:
        lines.append(f"  {unknown}")
    return "\n".join(lines)


def _shortened(diff: list[str]) -> list[str]:
    """The lines of a diff; of a long one the names of its files."""
    if not diff:
        return ["  no difference"]
    if len(diff) <= MOST_LINES:
        return [f"  {line}" for line in diff]
    files = [line.rpartition(" b/")[2] for line in diff if line.startswith("diff --git ")]
    more = [f"  and {len(files) - MOST_LINES} more"] * (len(files) > MOST_LINES)
    changed = f"  {len(diff)} lines of difference, in {len(files)} files:"
    return [changed, *(f"    {name}" for name in files[:MOST_LINES]), *more]
