"""What the store keeps of a stage tells the story of all it builds on, each stage once."""

from typing import Any

import torch

from gradprom.training.artefact import all_rows, histories, joined
from gradprom.training.stage import Stage, Start

CPU = torch.device("cpu")
ROOT = Stage("warmup", 1, 0, {})
LEFT = Stage("branch", 1, 0, {"side": "left"}, (ROOT,))
RIGHT = Stage("branch", 2, 0, {"side": "right"}, (ROOT,))
LAST = Stage("last", 1, 0, {}, (LEFT, RIGHT))


def rows(stage: Stage, count: int = 2) -> list[dict[str, Any]]:
    return [{"stage": stage.name, "step": 5 * (i + 1), "of": stage.id} for i in range(count)]


def trained(stage: Stage, count: int = 2) -> dict[str, Any]:
    told = {"seconds": float(stage.epochs), "interruptions": stage.epochs, "updates": "eager"}
    return {"weights": {"of": stage.id}, "history": rows(stage, count), **told}


def artefacts() -> dict[str, dict[str, Any]]:
    """Of a diamond: two stages of one name, which share an ancestor, and one that takes both."""
    made: dict[str, dict[str, Any]] = {}
    for stage in LAST.lineage():
        parents = [made[parent.id] for parent in stage.parents]
        made[stage.id] = joined(stage, trained(stage), parents)
    return made


def test_a_shared_ancestor_is_told_once_and_namesakes_stay_apart() -> None:
    last = artefacts()[LAST.id]
    order = [ROOT, LEFT, RIGHT, LAST]
    assert [stage.id for stage in LAST.lineage()] == [stage.id for stage in order]
    assert [entry["id"] for entry in last["stages"]] == [stage.id for stage in order]
    assert [entry["name"] for entry in last["stages"]] == ["warmup", "branch", "branch", "last"]
    assert histories(last) == {stage.id: rows(stage) for stage in order}
    assert [row["of"] for row in all_rows(last)] == [s.id for s in order for _ in range(2)]
    assert last["weights"] == {"of": LAST.id}


def test_an_entry_tells_steps_seconds_interruptions_and_how_updates_were_taken() -> None:
    entry = artefacts()[RIGHT.id]["stages"][-1]
    assert entry == {
        "name": "branch",
        "id": RIGHT.id,
        "epochs": 2,
        "steps": 10,
        "seconds": 2.0,
        "interruptions": 2,
        "updates": "eager",
    }
    assert joined(ROOT, trained(ROOT, count=0), [])["stages"][0]["steps"] == 0


def test_parents_are_found_by_id_and_not_by_name() -> None:
    weights = {LEFT.id: {"net": "left"}, RIGHT.id: {"net": "right"}}
    start = Start(weights, 1, CPU)
    assert [start.weights(parent)["net"] for parent in LAST.parents] == ["left", "right"]


def test_what_a_stage_is_fed_and_how_it_begins_is_no_part_of_its_id() -> None:
    other = Stage("warmup", 1, 0, {}, begin=lambda start: start)  # type: ignore[arg-type,return-value]
    assert other.id == ROOT.id and other == ROOT


def old(stages: list[Stage]) -> dict[str, Any]:
    """As it was stored before `histories` existed: one list of rows that tell a stage's name."""
    entries = [{"name": stage.name, "id": stage.id} for stage in stages]
    return {"weights": {}, "stages": entries, "history": [r for s in stages for r in rows(s)]}


def test_artefacts_of_old_are_read_and_built_upon() -> None:
    before = old([ROOT, LEFT])
    assert histories(before) == {ROOT.id: rows(ROOT), LEFT.id: rows(LEFT)}
    assert all_rows(before) == rows(ROOT) + rows(LEFT)
    new = artefacts()[RIGHT.id]
    last = joined(LAST, trained(LAST), [before, new])
    assert list(histories(last)) == [ROOT.id, LEFT.id, RIGHT.id, LAST.id]
    assert histories(last)[LEFT.id] == rows(LEFT) and histories(last)[RIGHT.id] == rows(RIGHT)


def test_a_stage_of_old_without_rows_has_none() -> None:
    """Stages of no epochs leave none."""
    kept = old([ROOT])
    kept["stages"].append({"name": "empty", "id": "e" * 12})
    assert histories(kept) == {ROOT.id: rows(ROOT), "e" * 12: []}
