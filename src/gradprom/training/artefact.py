"""The artefact of a finished stage: its weights, and the histories of its lineage."""

from typing import Any

from gradprom.training.stage import Stage

Artefact = dict[str, Any]
"""`weights`; `stages`, an entry for each stage of the lineage; `histories`, their rows by id."""
Rows = list[dict[str, Any]]


def joined(stage: Stage, trained: dict[str, Any], parents: list[Artefact]) -> Artefact:
    """A stage's artefact; it includes its parents' histories, as the parents may be deleted.

    Parameters
    ----------
    stage
        The stage that was trained.
    trained
        What `engine.train` returned.
    parents
        The artefacts that it started from.

    Returns
    -------
    dict
        The artefact to be stored.
    """
    entry = {
        "name": stage.name,
        "id": stage.id,
        "epochs": stage.epochs,
        "steps": trained["history"][-1]["step"] if trained["history"] else 0,
        "seconds": trained["seconds"],
        "interruptions": trained["interruptions"],
        "updates": trained["updates"],
    }
    ancestors = {a["id"]: a for parent in parents for a in parent["stages"]}
    earlier_histories = {id: rows for parent in parents for id, rows in histories(parent).items()}
    return {
        "weights": trained["weights"],
        "stages": [*ancestors.values(), entry],
        "histories": {**earlier_histories, stage.id: trained["history"]},
    }


def histories(artefact: Artefact) -> dict[str, Rows]:
    """The rows of each stage of a lineage, by the stage's id."""
    if "histories" in artefact:
        return artefact["histories"]
    # stored before two stages of one lineage could share a name
    names = {entry["name"]: entry["id"] for entry in artefact["stages"]}
    by_stage: dict[str, Rows] = {id: [] for id in names.values()}
    for row in artefact["history"]:
        by_stage[names[row["stage"]]].append(row)
    return by_stage


def all_rows(artefact: Artefact) -> Rows:
    """The rows of all stages, in the order of training."""
    return [row for rows in histories(artefact).values() for row in rows]
