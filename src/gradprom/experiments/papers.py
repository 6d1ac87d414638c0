"""The papers whose experiments are declared, each in a folder of its own.

    experiments/<paper>/paper.yaml           its title, its short name, key columns of its numbers
                        <experiment>.yaml    a table, or a sweep that is shown like one
                        all.yaml             experiments that a report shows unless others are named
                        published.csv        the numbers that the paper prints
                        degraded_inputs.csv, claims.yaml, figures.yaml

All of these files are optional. `task_gan/table1` names an experiment of one paper; a name without
folder is the first paper's, or that of the only other paper with an experiment of that name.
"""

from dataclasses import dataclass
from pathlib import Path

from gradprom.errors import ConfigError
from gradprom.experiments import folders
from gradprom.experiments.yaml_reader import document

FIRST = "gradprom"
"""The folder that is left out of the names of its experiments, in records and files as well."""
_NO_EXPERIMENTS = ("paper", "claims", "figures")
"""YAML files of a paper that declare no experiment."""


class UnknownExperiment(ConfigError):
    """No experiment, or more than one, has this name."""


@dataclass(frozen=True)
class Paper:
    """A folder with the experiments of one paper."""

    folder: Path
    title: str = ""
    short: str = ""
    """A prefix of its tables' titles, which distinguishes the Tables 1 of two papers."""
    keys: tuple[str, ...] = ("row",)
    """Columns of its published.csv that, with table and metric, identify a number.

    The first one holds the titles of rows.
    """

    def experiments(self) -> list[str]:
        """Names of its experiments, without the folder."""
        stems = (path.stem for path in self.folder.glob("*.yaml"))
        return sorted(stem for stem in stems if stem not in _NO_EXPERIMENTS)

    def full_name(self, experiment: str) -> str:
        """The name of an experiment among those of all papers, such as `task_gan/table1`."""
        return experiment if self.folder.name == FIRST else f"{self.folder.name}/{experiment}"

    def full_title(self, title: str) -> str:
        """A table's title among those of all papers, such as `Task-GAN, Table 2`."""
        return title if self.folder.name == FIRST or not self.short else f"{self.short}, {title}"


def papers() -> list[Paper]:
    """All papers, beginning with `FIRST`.

    Raises
    ------
    ConfigError
        If a paper.yaml is not valid, or two folders of papers have one name.
    """
    return [_paper(folder) for folder in paper_folders()]


def paper_folders() -> list[Path]:
    """The folders of all papers, beginning with `FIRST`.

    Raises
    ------
    ConfigError
        If two folders have one name.
    """
    by_name: dict[str, Path] = {}
    for parent in folders.experiment_folders():
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            if not folder.is_dir() or folder.name.startswith((".", "_")):
                continue
            if folder.name in by_name:
                raise ConfigError(f"two papers have one name: {by_name[folder.name]} and {folder}")
            by_name[folder.name] = folder
    # the sort is stable: the other papers keep their order
    return sorted(by_name.values(), key=lambda folder: folder.name != FIRST)


def _paper(folder: Path) -> Paper:
    if not (folder / "paper.yaml").is_file():
        return Paper(folder)
    entries = document(folder / "paper.yaml").known(("title", "short", "keys"), ("title", "keys"))
    short = entries["short"].value() if "short" in entries else entries["title"].value()
    if not entries["keys"].texts():
        raise entries["keys"].wrong("keys needs the column that holds the titles of rows")
    return Paper(folder, entries["title"].value(), short, entries["keys"].texts())


def names() -> list[str]:
    """The names of all experiments."""
    return [paper.full_name(name) for paper in papers() for name in paper.experiments()]


def find(name: str, home: Paper | None = None) -> tuple[Paper, str]:
    """The paper of an experiment, and the experiment's name in that paper's folder.

    Parameters
    ----------
    name
        With the paper's folder or without.
    home
        The paper in which a name without folder is looked for first.

    Raises
    ------
    UnknownExperiment
        If no paper has an experiment of that name, or several have and neither `home` nor
        `FIRST` is one of them.
    """
    folder, _, experiment = name.rpartition("/")
    candidates = [paper for paper in papers() if experiment in paper.experiments()]
    if folder:
        candidates = [paper for paper in candidates if paper.folder.name == folder]
    preferred = [paper for paper in candidates if paper == home or paper.folder.name == FIRST]
    preferred.sort(key=lambda paper: paper != home)
    if preferred:
        return preferred[0], experiment
    if len(candidates) > 1:
        full_names = " or ".join(paper.full_name(experiment) for paper in candidates)
        raise UnknownExperiment(f"experiment={name} may be {full_names}: name one of them")
    if not candidates:
        raise UnknownExperiment(f"experiment={name} is unknown; choose from {', '.join(names())}")
    return candidates[0], experiment
