"""Where experiments are declared, and which groups and choices their overrides may name."""

from pathlib import Path

from gradprom.config import CONF


def experiment_folders() -> list[Path]:
    """Folders that hold a folder for each paper; every look for an experiment begins here."""
    return [CONF.parent / "experiments"]


def conf_folders() -> list[Path]:
    """Folders that hold a folder of YAML files for each group of the configuration."""
    return [CONF]


def groups() -> list[str]:
    """The groups of the configuration, such as `strategy`."""
    folders = [folder for conf in conf_folders() if conf.is_dir() for folder in conf.iterdir()]
    return sorted({folder.name for folder in folders if folder.is_dir()})


def choices(group: str) -> list[str]:
    """What a group can be set to, such as `gradprom` of `strategy`."""
    files = [path for conf in conf_folders() for path in (conf / group).glob("*.yaml")]
    return sorted({path.stem for path in files})
