"""Nothing in the package names the methods from outside, and the documented one runs."""

import re
import subprocess
from pathlib import Path

from support import documented
from support.proofs import PLUGINS, PROOFS, SMALL, records, run

ROOT = PLUGINS.parents[1]


# Nothing knows of them.


def test_no_file_outside_the_tests_names_them() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    named = re.compile(rf"method[=s:./ ]+({'|'.join(PROOFS)})\b(?! \w)")
    paths = [path for path in listed.stdout.splitlines() if not path.startswith("tests/")]
    assert len(paths) > 100
    naming = [
        path
        for path in paths
        if path.endswith((".py", ".yaml", ".toml", ".md"))
        and named.search((ROOT / path).read_text())
    ]
    assert naming == []


def test_each_is_a_file_and_a_yaml() -> None:
    place = PLUGINS / "gradprom_plugins"
    assert {path.stem for path in (place / "methods").glob("*")} - {"__pycache__"} == set(PROOFS)
    assert {path.stem for path in (place / "conf" / "method").glob("*")} == set(PROOFS)


# The page for those who add a fourth.


def test_the_documentations_method_runs(tmp_path: Path) -> None:
    pages = documented.files("methods.md")
    for place, content in pages.items():
        path = tmp_path / "plugins" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    [code] = [place for place in pages if Path(place).parent.name == "methods"]
    words = (f"method={Path(code).stem}", "method.epochs=1", "dataset.train=16", "dataset.test=4")
    run(tmp_path / "results", "-m", *words, *SMALL, plugins=tmp_path / "plugins")
    made = records(tmp_path / "results")
    [record] = [r for r in made if r["choices"]["method"] == Path(code).stem]
    assert len(made) == 4  # and three classical filters on its test images
    assert record["status"] == "finished" and {"psnr", "ssim"} <= set(record["metrics"])
