"""Tasks of the recognizer (the paper's VR), one file each, by name; see docs/tasks.md."""

import functools

from gradprom.config.components import component
from gradprom.tasks.base import Task

__all__ = ["Task", "task_by_name"]


@functools.cache
def task_by_name(name: str) -> Task:
    """The task of this name, from this package or from a plug-in.

    Raises
    ------
    ConfigError
        If there is none; the message lists the known names.
    """
    task: Task = component("task", name).Options()
    return task
