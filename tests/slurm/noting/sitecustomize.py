"""Python imports this at its start in the jobs of the tests, and notes what they train."""

import os
from pathlib import Path
from typing import Any

from gradprom.training import engine

train = engine.train
notes = Path(os.environ["TRAINED"])


def note(word: str, stage: Any) -> None:
    with notes.open("a") as file:
        file.write(f"{word} {stage.name} {stage.id}\n")


def noted(stage: Any, *arguments: Any) -> Any:
    note("begins", stage)
    result = train(stage, *arguments)
    note("ends", stage)
    return result


engine.train = noted
