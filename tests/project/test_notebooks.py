"""The notebooks as they are stored; `.ci/run` executes them."""

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
WRITE = "%%writefile "


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code(path: Path) -> list[str]:
    return [cell.source for cell in read(path).cells if cell.cell_type == "code"]


def written(path: Path) -> dict[str, str]:
    """What the notebook writes, by the place that it names."""
    cells = [source.partition("\n") for source in code(path) if source.startswith(WRITE)]
    return {first.removeprefix(WRITE): rest for first, _, rest in cells}


def python(path: Path) -> list[str]:
    """The cells that are Python, those among them that are written to a file."""
    files = [text for place, text in written(path).items() if place.endswith(".py")]
    return [source for source in code(path) if not source.startswith("%%")] + files


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of every import; the name is empty in `import module`."""
    for node in (node for source in python(path) for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((str(node.module), alias.name) for alias in node.names)


def test_all_three_are_there() -> None:
    assert {path.stem for path in PATHS} >= {"quickstart", "tables", "new_strategy"}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_stored_without_what_a_run_leaves(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.nbformat == 4 and notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_import_is_there(path: Path) -> None:
    own = {Path(place).stem for place in written(path)}
    found = list(imports(path))
    assert any(module.startswith("gradprom") for module, _ in found)
    for module, name in found:
        if name in own:
            continue
        there = importlib.import_module(module)
        if name and not hasattr(there, name):
            assert importlib.util.find_spec(f"{module}.{name}"), f"{module} has no {name}"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_nothing_is_written_among_the_sources(path: Path) -> None:
    assert all(place.startswith("{scratch.name}/") for place in written(path))
    assert all("study=notebooks" in text for text in commands(path))


def commands(path: Path) -> list[str]:
    """The lines of the shell cells that train or report."""
    cells = [source for source in code(path) if source.startswith("%%bash\n")]
    lines = [line for source in cells for line in source.splitlines()]
    return [line for line in lines if line.startswith(("python run.py", "gradprom "))]
