"""The page in a real browser: filter, sort, keyboard, details, links, and a phone's width."""

import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from support import records_factory
from support.records_factory import Made

from gradprom.reports.claims.verdicts import JudgedClaim
from gradprom.reports.page.page import write_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
INJECTED = "</script><img src=x onerror=alert(1)>"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@dataclasses.dataclass
class Written:
    made: Made
    path: Path
    failed: str
    """The run that failed, with markup in its message."""
    lonely: str
    """A run of no table."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    made = records_factory.make(
        tmp_path_factory.mktemp("made"), ["table1", "table5"], rows=60, panels=1
    )
    first, second, *_ = made.records.values()
    made.records[first.id] = records_factory.failed(first, INJECTED)
    lonely = replace(second, id="0123456789ab", config={**second.config, "seed": 99})
    made.records[lonely.id] = lonely
    path = made.study.folder / "report" / "index.html"
    judged = [JudgedClaim("best", "GradProm is best.", "Table I", "holds", "does not", [])]
    write_page(path, made.tables(), made.records, made.study, judged, [], [])
    return Written(made, path, first.id, lonely.id)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # a container's root has no user namespaces for the sandbox
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    """A page whose console and errors have to stay silent."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(5000)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    yield page
    page.close()
    assert complaints == []


def go(page: Page, written: Written, anchor: str = "") -> None:
    page.goto("about:blank")
    page.goto(written.path.as_uri() + anchor)


def titles(page: Page) -> list[str]:
    """Row headings as they stand, those that cannot be seen left out."""
    return page.locator("#table1 tbody tr:visible > th").all_inner_texts()


def column(page: Page, number: int) -> list[float]:
    cells = page.locator(f"#table1 tbody tr:not(.group):not(.pinned) > :nth-child({number})")
    return [float(text) for text in cells.evaluate_all("c => c.map(x => x.dataset.ours)") if text]


def test_links_choose_one_table(page: Page, written: Written) -> None:
    go(page, written)
    expect(page.locator("main > section:visible")).to_have_count(3)
    page.get_by_role("link", name="Table V").click()
    expect(page.locator("main > section:visible")).to_have_count(1)
    expect(page.locator("#table5")).to_be_visible()
    expect(page.locator("nav [aria-current]")).to_have_text("Table V")
    page.go_back()
    expect(page.locator("main > section:visible")).to_have_count(3)


def test_deep_link_to_a_table(page: Page, written: Written) -> None:
    go(page, written, "#table1")
    expect(page.locator("main > section:visible")).to_have_count(1)
    expect(page.locator("#table1")).to_be_visible()


def test_sorting(page: Page, written: Written) -> None:
    go(page, written, "#table1")
    papers = titles(page)
    assert papers[0] == "degraded input" and papers.count("Sup.") == 1
    header = page.locator("#table1 thead tr:last-child th").nth(1)
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    values = column(page, 2)
    assert len(values) == 7 and values == sorted(values, reverse=True)
    assert titles(page)[0] == "degraded input"
    assert "Sup." not in titles(page) and "Sup. GradProm" in titles(page)
    assert titles(page)[-1] == "Benchmark-ii"  # it has no PSNR
    header.get_by_role("button").click()
    assert column(page, 2) == sorted(values)
    header.get_by_role("button").click()
    assert titles(page) == papers
    expect(page.locator("[aria-sort]")).to_have_count(0)


def open_cell(page: Page) -> tuple[Any, Any]:
    button = page.locator("#table1 button.cell[title='Table I · Sup. GradProm · σ = 0.1 · PSNR']")
    button.click()
    return button, page.locator("#panel")


def test_a_number_opens_its_runs(page: Page, written: Written) -> None:
    go(page, written, "#table1")
    button, panel = open_cell(page)
    runs = [pair.split(":")[1] for pair in button.get_attribute("data-runs").split()]
    expect(panel.locator("article")).to_have_count(len(runs))
    told = panel.inner_text()
    for run in runs:
        record = written.made.records[run]
        assert run in told and f"{record.metrics['psnr']:.3f}" in told
    assert "34.646 ± 1.11" in told and "NVIDIA A100" in told
    expect(panel.locator("svg polyline")).to_have_count(4 * len(runs))
    assert not panel.locator("svg").evaluate_all(
        "all => all.some(s => /NaN|undefined/.test(s.innerHTML))"
    )
    panel.locator("img").first.scroll_into_view_if_needed()
    assert panel.locator("img").first.evaluate(
        "async i => { await i.decode(); return i.naturalWidth }"
    )
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(button).to_be_focused()


def test_configuration_differences_come_first_and_the_whole_unfolds(
    page: Page, written: Written
) -> None:
    go(page, written, "#table1")
    _, panel = open_cell(page)
    assert "batch_size" not in panel.inner_text()
    panel.get_by_text("whole configuration").click()
    yaml = panel.locator("pre").inner_text()
    assert "trainer:\n  batch_size: 8\n  lr: 0.0001" in yaml
    assert "strategy:\n  name: gradprom\n" in yaml
    assert "tasks: [diagnosis]" in yaml


def test_keyboard_alone(page: Page, written: Written) -> None:
    go(page, written, "#table1")
    first = page.locator("#table1 button.cell").first
    first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    focused = page.locator("button.cell:focus")
    # past the rows that have no accuracy, and a heading
    assert focused.get_attribute("title") == "Table I · Unsup. Joint training · σ = 0.1 · PSNR"
    page.keyboard.press("ArrowUp")
    assert focused.get_attribute("title") == "Table I · Benchmark-i · σ = 0.1 · PSNR"
    page.keyboard.press("ArrowUp")
    assert focused.get_attribute("title") == "Table I · Benchmark-i · σ = 0.1 · PSNR"
    expect(page.locator("#table1 button.cell[tabindex='0']")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()


def test_deep_link_to_a_run_that_failed(page: Page, written: Written) -> None:
    go(page, written, f"#run-{written.failed}")
    asked = page.locator(f"#details-{written.failed}.asked")
    expect(asked).to_be_in_viewport()
    assert INJECTED in asked.locator(".error").inner_text()
    expect(page.locator("#panel img[src=x]")).to_have_count(0)
    asked.get_by_text("traceback").click()
    expect(asked.locator("pre")).to_contain_text("Traceback (most recent call last)")


def test_deep_link_to_runs_of_no_table(page: Page, written: Written) -> None:
    go(page, written, f"#run-{written.lonely}")
    expect(page.locator(f"#details-{written.lonely}")).to_contain_text("seed 1")
    go(page, written, "#run-ffffffffffff")
    expect(page.locator("#panel h2")).to_have_text("No run ffffffffffff in this report")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_tables_and_not_the_page(page: Page, written: Written, scheme: Any) -> None:
    page.set_viewport_size({"width": 375, "height": 740})
    page.emulate_media(color_scheme=scheme)
    go(page, written)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    box = page.locator("#table1 .box")
    assert box.evaluate("b => b.scrollWidth > b.clientWidth")
    box.evaluate("b => b.scrollLeft = 300")
    heading = page.locator("#table1 th[scope=row]").first.bounding_box()
    assert heading is not None and heading["x"] >= 0
    page.locator("#table1 button.cell:visible").nth(8).click()
    panel = page.locator("#panel")
    assert panel.evaluate("p => p.scrollWidth <= p.clientWidth && p.clientWidth <= 375")
    assert page.evaluate("document.documentElement.scrollWidth") == 375


def test_paper_shows_the_tables_alone(page: Page, written: Written) -> None:
    go(page, written)
    open_cell(page)
    page.emulate_media(media="print")
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#table5")).to_be_visible()
