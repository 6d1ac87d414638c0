"""The papers whose experiments are declared, each in a folder of its own.

    experiments/<paper>/paper.yaml           its title, its short name, key columns of its numbers
                        <experiment>.yaml    a table, or a sweep that is shown like one
                        all.yaml             those that a report shows unless others are named
                        published.csv        the numbers that it prints
                        degraded_inputs.csv, claims.yaml, figures.yaml

All of these files are optional. `task_gan/table1` names a paper's own experiment; a name without
folder is the first paper's, or that of the only other paper which has it.
"""

from dataclasses import dataclass
from pathlib import Path

from gradprom.errors import ConfigError
from gradprom.experiments import folders
from gradprom.experiments.yaml_reader import document

FIRST = "gradprom"
"""The folder whose experiments are named without it, in records and files as well."""
_OTHERS = ("paper", "claims", "figures")
"""YAML files of a paper that are no experiments."""


class UnknownExperiment(ConfigError):
    """A name that is that of no experiment, or of several."""


@dataclass(frozen=True)
class Paper:
    """A folder of experiments, those of one paper."""

    folder: Path
    title: str = ""
    short: str = ""
    """Stands before the titles of its tables, so that two Tables 1 can be told apart."""
    keys: tuple[str, ...] = ("row",)
    """Columns of its published.csv that, with table and metric, tell one number from another.

    The first holds the titles of rows.
    """

    def experiments(self) -> list[str]:
        """Names of its experiments, without the folder."""
        stems = (path.stem for path in self.folder.glob("*.yaml"))
        return sorted(stem for stem in stems if stem not in _OTHERS)

    def full_name(self, experiment: str) -> str:
        """What an experiment is called among those of all papers, such as `task_gan/table1`."""
        return experiment if self.folder.name == FIRST else f"{self.folder.name}/{experiment}"

    def full_title(self, title: str) -> str:
        """A table's title among those of all papers, such as `Task-GAN, Table 2`."""
        return title if self.folder.name == FIRST or not self.short else f"{self.short}, {title}"


def papers() -> list[Paper]:
    """Every paper, the first one first.

    Raises
    ------
    ConfigError
        If a paper.yaml means nothing, or two folders of papers have one name.
    """
    return [_paper(folder) for folder in paper_folders()]


def paper_folders() -> list[Path]:
    """The folders of all papers, the first one's first; ConfigError if two have one name."""
    found: dict[str, Path] = {}
    for parent in folders.experiment_folders():
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            if not folder.is_dir() or folder.name.startswith((".", "_")):
                continue
            if folder.name in found:
                raise ConfigError(f"two papers have one name: {found[folder.name]} and {folder}")
            found[folder.name] = folder
    # sorting leaves the others in their order
    return sorted(found.values(), key=lambda folder: folder.name != FIRST)


def _paper(folder: Path) -> Paper:
    if not (folder / "paper.yaml").is_file():
        return Paper(folder)
    entries = document(folder / "paper.yaml").known(("title", "short", "keys"), ("title", "keys"))
    short = entries["short"].value() if "short" in entries else entries["title"].value()
    if not entries["keys"].texts():
        raise entries["keys"].wrong("keys needs the column that holds the titles of rows")
    return Paper(folder, entries["title"].value(), short, entries["keys"].texts())


def names() -> list[str]:
    """Every experiment there is."""
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
        If there is none of that name, or several papers have one and none of them comes first.
    """
    folder, _, experiment = name.rpartition("/")
    having = [paper for paper in papers() if experiment in paper.experiments()]
    if folder:
        having = [paper for paper in having if paper.folder.name == folder]
    preferred = [paper for paper in having if paper == home or paper.folder.name == FIRST]
    preferred.sort(key=lambda paper: paper != home)
    if preferred:
        return preferred[0], experiment
    if len(having) > 1:
        candidates = " or ".join(paper.full_name(experiment) for paper in having)
        raise UnknownExperiment(f"experiment={name} may be {candidates}: name one of them")
    if not having:
        raise UnknownExperiment(f"experiment={name} is unknown; choose from {', '.join(names())}")
    return having[0], experiment
