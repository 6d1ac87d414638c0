"""CAMUS over files made by code, in both layouts."""

from pathlib import Path

from support import camus_files

from gradprom.data.sources import camus

LAYOUTS = {"old": camus_files.old_layout, "new": camus_files.new_layout}


def source(root: Path, **options: object) -> camus.Camus:
    return camus.build(camus.Options(root=str(root), **{"size": 32, **options}))
