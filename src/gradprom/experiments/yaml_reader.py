"""YAML read value by value, so that an error can name the file and the line."""

from pathlib import Path
from typing import Any

import yaml

from gradprom.errors import ConfigError

# the loader in C is ten times as fast, where PyYAML was built with it
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def document(path: Path) -> "Reader":
    """Open a YAML file, to be read value by value.

    Raises
    ------
    ConfigError
        If it is not valid YAML; with the line.
    """
    try:
        return Reader(path, yaml.compose(path.read_text(encoding="utf-8"), _LOADER))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{_place(path, line)}: {error.problem}") from error


def _place(path: Path, line: int) -> str:
    """Folder, file and line; the folder, because several papers may have a file of that name."""
    return f"{path.parent.name}/{path.name}:{line}"


class Reader:
    """A value of a YAML file, with its file and line."""

    def __init__(self, path: Path, node: Any):
        self.path, self.node = path, node

    @property
    def place(self) -> str:
        """Such as `gradprom/table1.yaml:17`."""
        return _place(self.path, self.node.start_mark.line + 1 if self.node else 1)

    def wrong(self, text: str) -> ConfigError:
        """An error about this value, to be raised; it names the file and the line."""
        return ConfigError(f"{self.place}: {text}")

    def mapping(self) -> dict[str, "Reader"]:
        """The values of a mapping, by key; ConfigError if it is none."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("expected key: value lines")
        return {key.value: Reader(self.path, value) for key, value in self.node.value}

    def known(self, allowed: tuple[str, ...], needed: tuple[str, ...]) -> dict[str, "Reader"]:
        """The values of a mapping, by key; ConfigError if a key is unknown or one is missing.

        Parameters
        ----------
        allowed
            Keys that it may have.
        needed
            Keys that it must have.
        """
        entries = self.mapping()
        for key, _ in self.node.value:
            if key.value not in allowed:
                raise Reader(self.path, key).wrong(
                    f"unknown key {key.value}; choose from {', '.join(allowed)}"
                )
        for key in needed:
            if key not in entries:
                raise self.wrong(f"the key {key} is missing")
        return entries

    def items(self) -> list["Reader"]:
        """The items of a list; ConfigError if it is none."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong("expected a list")
        return [Reader(self.path, node) for node in self.node.value]

    def texts(self) -> tuple[str, ...]:
        """The plain values of a list."""
        return tuple(item.value() for item in self.items())

    def value(self) -> Any:
        """The value as plain data."""
        loader = yaml.SafeLoader("")
        return loader.construct_object(self.node, deep=True)
