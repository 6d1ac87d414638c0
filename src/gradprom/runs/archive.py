"""A study as one file that can be sent, and merged where it arrives."""

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from gradprom.errors import RunError
from gradprom.runs.records import Study
from gradprom.storage.files import replacing
from gradprom.storage.stage_names import stage_name

_PARTS = ("runs", "variants", "code", "splits", "data", "sweeps")
"""Folders of a study that go into the file."""
_LEFT_OUT = ("progress.json", "output.log")


def pack(study: Study, file: Path, stages: bool = False) -> tuple[int, int]:
    """Write a study's records and all that belongs to them into a zip file.

    Parameters
    ----------
    study
        The study.
    file
        The new file.
    stages
        Also the trained stages of its finished runs.

    Returns
    -------
    tuple
        The numbers of records and of stages in it.

    Raises
    ------
    RunError
        If the file exists, or the study has no records.
    """
    if file.exists():
        raise RunError(f"{file} already exists; choose another -o")
    records, _ = study.load()
    if not records:
        raise RunError(f"study {study.name} has no records in {study.folder / 'runs'}")
    folders = {
        stage_name(stage.id, record.dataset.fingerprint): None
        for record in records
        for stage in record.stages
        if stages and record.finished
    }
    trained = [study.stages / name for name in folders]
    trained = [folder for folder in trained if (folder / "artefact.pt").exists()]
    with replacing(file) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(study.folder, _PARTS):
            archive.write(path, Path(study.name) / path.relative_to(study.folder))
        for folder in trained:
            for path in (folder / "artefact.pt", folder / "stage.json"):
                if path.exists():
                    archive.write(path, Path("stages") / folder.name / path.name)
    return len(records), len(trained)


@contextlib.contextmanager
def unpacked(file: Path, results: Path) -> Iterator[Path]:
    """A packed study as a folder of results, until the block ends.

    Parameters
    ----------
    file
        What `pack` wrote.
    results
        The folder below which it is unpacked.

    Raises
    ------
    RunError
        If it is no zip file.
    """
    results.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".unpacked-", dir=results))
    try:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)  # which keeps all paths inside the folder
        yield folder
    except zipfile.BadZipFile as error:
        raise RunError(f"{file} is not a file of `gradprom pack`: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    for part in parts:
        for path in sorted((folder / part).rglob("*")):
            inner = path.relative_to(folder).parts
            hidden = any(name.startswith(".") for name in inner)
            if path.is_file() and not hidden and path.name not in _LEFT_OUT:
                yield path
