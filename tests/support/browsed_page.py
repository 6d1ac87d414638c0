"""A page of fabricated records, for tests in a browser."""

import dataclasses
import shutil
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Page
from support import records_factory
from support.records_factory import Made

from gradprom.reports import swept, unplanned
from gradprom.reports.claims.verdicts import JudgedClaim
from gradprom.reports.page.page import write_page
from gradprom.reports.plots.style import Picture

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
INJECTED = "</script><img src=x onerror=alert(1)>"


@dataclasses.dataclass
class Written:
    made: Made
    path: Path
    failed: str
    """The run that failed, with markup in its message."""
    lonely: str
    """A run of no table."""


def write(folder: Path) -> Written:
    """Two papers' tables, a sweep with its picture, a claim; a failed run, and one of no table."""
    made = records_factory.make(folder, ["table1", "table5"], rows=60, panels=1)
    first, second, *_ = made.records.values()
    made.records[first.id] = records_factory.failed(first, INJECTED)
    lonely = replace(second, id="0123456789ab", config={**second.config, "seed": 99})
    made.records[lonely.id] = lonely
    for number, record in enumerate(list(made.records.values())[2:]):
        record.metrics["rmse"] = 0.01 + number % 7 / 100
    swept_runs = list(made.records.values())[2:6]
    swept_table = swept.table_of(unplanned.expansion(swept_runs), made.records)
    swept_table.experiment = replace(swept_table.experiment, name="sweep-x", title="Sweep x")
    picture = Picture("sweep-x-images", "Images", "c", made.study.folder / "x.png", table="sweep-x")
    picture.png.write_bytes((made.study.run(swept_runs[0].id) / "panels/00.png").read_bytes())
    path = made.study.folder / "report" / "index.html"
    judged = [JudgedClaim("best", "GradProm is best.", "Table I", "holds", "does not", [])]
    tables = [*made.tables(), swept_table]
    write_page(path, tables, made.records, made.study, judged, [picture], [])
    return Written(made, path, first.id, lonely.id)


def go(page: Page, written: Written, anchor: str = "") -> None:
    page.goto("about:blank")
    page.goto(written.path.as_uri() + anchor)
