"""Several studies read as one, for a report; nothing is trained or changed in it."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from gradprom.runs.merging import same_results
from gradprom.runs.plan_note import PlanNote
from gradprom.runs.record import Record
from gradprom.runs.records import Study


@dataclass(frozen=True)
class Joined(Study):
    """Studies of one folder of results; of a run that several have, the first one's is shown.

    Its name, and so the folder of its report, is made of theirs: `local-and-paper`.
    """

    parts: tuple[Study, ...] = ()

    def run(self, run_id: str) -> Path:
        """The folder of a run, in the first study that has its record."""
        return self._owner(run_id).run(run_id)

    def record(self, run_id: str) -> Record | None:
        """The record of a run in the first study that has it."""
        return self._owner(run_id).record(run_id)

    def diff(self, diff_id: str) -> Path:
        """The diff of uncommitted code with that id."""
        paths = [study.diff(diff_id) for study in self.parts]
        return next((path for path in paths if path.exists()), paths[0])

    def load(self, prefix: str = "") -> tuple[list[Record], list[str]]:
        """All records, as `Study.load`; one whose results another study has differently says so."""
        problems = [text for _, found in self._loaded.values() for text in found]
        joined: dict[str, Record] = {}
        for name, (records, _) in self._loaded.items():
            for record in records:
                ours = joined.setdefault(record.id, record)
                if ours is not record and not same_results(ours, record):
                    joined[record.id] = replace(ours, variants=[*ours.variants, name])
        chosen = [joined[run_id] for run_id in sorted(joined) if run_id.startswith(prefix)]
        return chosen, problems

    def plans(self) -> list[PlanNote]:
        """What the sweeps of all the studies expect."""
        return [plan for study in self.parts for plan in study.plans()]

    @cached_property
    def _loaded(self) -> dict[str, tuple[list[Record], list[str]]]:
        return {study.name: study.load() for study in self.parts}

    def _owner(self, run_id: str) -> Study:
        return next((study for study in self.parts if study.has_record(run_id)), self.parts[0])


def joined(results: Path, names: list[str]) -> Study:
    """One study, or several read as one."""
    studies = tuple(Study(results, name) for name in names)
    if len(studies) == 1:
        return studies[0]
    return Joined(results, "-and-".join(name.replace("/", "-") for name in names), studies)
