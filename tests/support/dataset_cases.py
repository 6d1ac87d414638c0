"""Every dataset, with files made for it. A new dataset is one more line in `CASES`.

The files are made by code in the published layouts; a few real ones are looked at where they are.
`own_sizes` is made up. Datasets of a plug-in on the path join them: those that `DATASETS` of its
`contract_cases` names, each with a function that makes a few files.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from omegaconf import OmegaConf
from support import camus_files, contrast_files, datasets, isic_files, lizard_files, own_sizes

from gradprom.config.components import component
from gradprom.config.folders import plugin_folders
from gradprom.data.base import Entry, Source
from gradprom.data.cache import content_key, fingerprint
from gradprom.data.sources import (
    brain,
    camus,
    covid_ct,
    faces,
    folder,
    isic2018,
    lizard,
    mni152,
    natural,
    phantom,
)

SIZE = 32


class Case(NamedTuple):
    module: ModuleType
    make: Callable[[Path], Path] | None
    """Makes the files in a folder and returns the dataset's; None: it needs no files."""
    options: dict[str, Any] = {}
    needs: str = ""
    """A package that holds its images; without it, tests that need them are skipped."""


def shipped(group: str, name: str) -> Any:
    """The YAML of a plug-in's component."""
    [path] = [p for folder in plugin_folders("conf") for p in folder.glob(f"{group}/{name}.yaml")]
    return OmegaConf.load(path)


ANNOTATED = {
    "masks": "masks",
    "mask_classes": ["background", "lesion", "ruler"],
    "labels": "labels.csv",
    "classes": ["benign", "malignant"],
}


def of_plugins() -> dict[str, Case]:
    """The datasets of plug-ins."""
    try:
        cases = importlib.import_module("gradprom_plugins.contract_cases")
    except ModuleNotFoundError:
        return {}
    datasets = getattr(cases, "DATASETS", {})
    return {name: Case(component("dataset", name), make) for name, make in datasets.items()}


PLUGINS = of_plugins()
ELSEWHERE = {
    "own_sizes": OmegaConf.structured(own_sizes.Options()),
    **{name: shipped("dataset", name) for name in PLUGINS},
}
"""Configurations of the datasets that this project does not ship."""

CASES = {
    "own_sizes": Case(own_sizes, None),
    "phantom": Case(phantom, None, {"train": 9, "test": 6}),
    "brain": Case(brain, None, {"train": 2, "test": 1, "slices": 2}),
    "mni152": Case(mni152, None, {"train": 9, "test": 5}, needs="nilearn"),
    "faces": Case(faces, None, {"train": 3, "test": 2, "images": 3}),
    "covid_ct": Case(covid_ct, datasets.covid_ct_folder),
    "isic2018": Case(isic2018, isic_files.isic_folder),
    "lizard": Case(lizard, lizard_files.lizard_folder),
    "camus_metaimage": Case(camus, camus_files.old_layout),
    "camus_nifti": Case(camus, camus_files.new_layout),
    "folder": Case(folder, isic_files.own_folder),
    "folder_annotated": Case(folder, isic_files.own_folder, ANNOTATED),
    "folder_of_patients": Case(folder, isic_files.grouped_folder, {**ANNOTATED, "test": 0.4}),
    "folder_of_identities": Case(
        folder, isic_files.identified_folder, {"labels": "labels.csv", "identities": 4, "test": 0.4}
    ),
    "folder_of_contrasts": Case(folder, contrast_files.contrasts_folder, contrast_files.OPTIONS),
    "natural": Case(natural, datasets.natural_folder, {"tile": 32}),
    **PLUGINS,
}
REAL = {
    "real_covid_ct": Case(covid_ct, lambda _: datasets.real_data("COVID-CT")),
    "real_isic2018": Case(isic2018, lambda _: datasets.real_data("ISIC2018")),
    "real_camus": Case(camus, lambda _: datasets.real_data("CAMUS")),
}
ALL = CASES | REAL

EVERY = [*CASES, *(pytest.param(name, marks=pytest.mark.realdata) for name in REAL)]
WITH_FILES = [name for name, case in CASES.items() if case.make]
PUBLISHED = [name for name, case in CASES.items() if case.module.ABOUT.folders]
SIZED = [name for name, case in CASES.items() if hasattr(case.module.Options, "size")]
SEEDED = [name for name, case in CASES.items() if hasattr(case.module.Options, "split_seed")]
LABELLED = ["own_sizes", "covid_ct", "isic2018", "lizard", "phantom", "folder_annotated"]


def splits_of(name: str) -> list[dict[str, str]]:
    """Options that choose each split there is."""
    return [{"split": split} for split in getattr(ALL[name].module, "SPLITS", ())] or [{}]


SPLITS = [(name, options) for name in CASES for options in splits_of(name)]
SPLIT_IDS = ["-".join([name, *options.values()]) for name, options in SPLITS]


def options_of(name: str, root: Path, **options: Any) -> Any:
    """Options of a case; a `split_seed` is left out where the split is that of the files."""
    case = ALL[name]
    if not hasattr(case.module.Options, "split_seed"):
        options.pop("split_seed", None)
    place = {"root": str(root)} if case.make else {}
    size = {"size": SIZE} if hasattr(case.module.Options, "size") else {}
    return case.module.Options(**{**size, **place, **case.options, **options})


def build(name: str, root: Path, **options: Any) -> Source:
    return ALL[name].module.build(options_of(name, root, **options))


def fingerprint_of(source: Source, entries: list[Entry], cache: Path) -> str:
    return fingerprint(content_key(source, entries, cache), entries, source.splits(entries))
