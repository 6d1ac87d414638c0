"""A folder of experiments of one's own."""

from pathlib import Path

import pytest

from gradprom.experiments import folders


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own beside those of the papers, as a plug-in has it."""
    monkeypatch.setattr(folders, "plugin_folders", lambda name: [tmp_path])
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"
