"""The names of stages in the stage store, for those who look without training."""

from gradprom.errors import RunError
from gradprom.storage.files import is_plain

END = "end.pt"
"""In a stage's folder: the state before its last step, from which longer ones go on."""


def stage_name(stage_id: str, fingerprint: str) -> str:
    """The name of a stage's folder.

    Parameters
    ----------
    stage_id
        Such as a record has it.
    fingerprint
        SHA-256 (hex) of the dataset that it was trained on.

    Raises
    ------
    RunError
        If the id is not a plain name: a path could lead out of the store.
    """
    name = f"{stage_id}-{fingerprint[:8]}"
    if not is_plain(name):
        raise RunError(f"{name} is not a valid name of a stage")
    return name
