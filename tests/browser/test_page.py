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

from gradprom.reports import swept, unplanned
from gradprom.reports.claims.verdicts import JudgedClaim
from gradprom.reports.page.page import write_page
from gradprom.reports.plots.style import Picture

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


def shown_tabs(page: Page) -> list[str]:
    return page.locator("main > .tab:visible").evaluate_all("all => all.map(tab => tab.id)")


def test_what_was_run_comes_first_and_tabs_show_one_part(page: Page, written: Written) -> None:
    go(page, written)
    assert page.get_by_role("tab").all_inner_texts() == [
        *("What was run", "Papers’ tables 2", "Claims", "All runs")
    ]
    assert shown_tabs(page) == ["tab-was-run"]
    expect(page.locator("#sweep-x .results")).to_be_visible()
    expect(page.locator("#sweep-x figure img")).to_be_visible()
    page.get_by_role("tab", name="Papers’ tables").click()
    assert shown_tabs(page) == ["tab-papers"]
    expect(page.get_by_role("tab", selected=True)).to_contain_text("Papers’ tables")
    page.get_by_role("link", name="Table V", exact=True).click()
    expect(page.locator("#table5 h2")).to_be_in_viewport()
    page.go_back()
    page.go_back()
    assert page.url.endswith("index.html")


def test_tabs_by_keyboard(page: Page, written: Written) -> None:
    go(page, written)
    first = page.get_by_role("tab", name="What was run")
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Papers’ tables")).to_be_focused()
    assert shown_tabs(page) == ["tab-papers"]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert shown_tabs(page) == ["tab-runs"]  # past the first comes the last
    expect(page.locator("[role=tab][tabindex='0']")).to_have_count(1)


def test_deep_link_to_a_table(page: Page, written: Written) -> None:
    go(page, written, "#table1")
    assert shown_tabs(page) == ["tab-papers"]
    expect(page.locator("#table1 h2")).to_be_in_viewport()


def test_sorting_puts_the_best_first(page: Page, written: Written) -> None:
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


def numbers(page: Page, title: str) -> list[str]:
    """A column of the list of all runs, as it stands; rows that are hidden left out."""
    table = page.locator("#all-runs table")
    number = table.locator("thead tr").first.locator("th").all_inner_texts().index(title)
    return table.locator(f"tbody tr:visible > :nth-child({number + 1})").all_inner_texts()


def test_of_an_error_the_smallest_comes_first(page: Page, written: Written) -> None:
    go(page, written, "#runs")
    for title, best in (("RMSE", min), ("PSNR", max)):
        header = page.locator("#all-runs th", has_text=title)
        header.get_by_role("button", name=title).click()
        found = [float(text) for text in numbers(page, title) if text != "–"]
        assert found[0] == best(found) and found == sorted(found, reverse=best is max)
        assert numbers(page, title)[-1] == "–"  # what failed has none


def test_runs_are_filtered_by_words_and_by_column(page: Page, written: Written) -> None:
    go(page, written, "#runs")
    count, every = page.locator("#all-runs .count"), len(written.made.records)
    expect(count).to_have_text(f"{every} runs")
    page.locator("#all-runs .words").fill("FROZEN σ=0.1")
    names = [set(name.split()) for name in numbers(page, "name")]
    wanted = [
        r
        for r in written.made.records.values()
        if r.choices["strategy"] == "frozen" and r.config["degradation"]["sigma"] == 0.1
    ]
    assert len(names) == len(wanted) > 0 and all("frozen" in name for name in names)
    expect(count).to_have_text(f"{len(wanted)} of {every} runs")
    page.locator("#all-runs .words").fill("")
    page.locator("#all-runs").get_by_label("filter by PSNR").fill("> 30")
    above = [r for r in written.made.records.values() if r.metrics.get("psnr", 0) > 30]
    assert len(numbers(page, "PSNR")) == len(above) > 0
    assert all(float(text) >= 30 for text in numbers(page, "PSNR"))
    page.locator("#all-runs").get_by_label("filter by status").fill("failed")
    assert numbers(page, "run") == []


def test_columns_can_be_hidden(page: Page, written: Written) -> None:
    go(page, written, "#table1")
    table = page.locator("#table1")
    before = table.locator("thead tr:last-child th:visible").count()
    table.get_by_label("SSIM").uncheck()
    heads = table.locator("thead tr:last-child th:visible").all_inner_texts()
    assert "SSIM" not in heads and len(heads) == before - 4
    spans = table.locator("thead .above th:visible").evaluate_all("all => all.map(t => t.colSpan)")
    assert spans == [1, 2, 2, 2, 2]
    table.get_by_label("σ = 0.1").uncheck()
    assert table.locator("thead tr:last-child th:visible").count() == before - 6
    row = table.locator("tbody tr:not(.group)").first
    assert row.locator(":scope > :visible").count() == before - 6
    table.get_by_label("SSIM").check()
    table.get_by_label("σ = 0.1").check()
    assert table.locator("thead tr:last-child th:visible").count() == before


@pytest.mark.parametrize("clipboard", [True, False], ids=["clipboard", "without"])
def test_an_id_is_copied(page: Page, written: Written, clipboard: bool) -> None:
    """Also where the browser gives the page no clipboard of its own."""
    go(page, written, "#runs")
    page.evaluate(
        """allowed => {
        window.copied = [];
        const writeText = async (text) => { copied.push(text); };
        const clipboard = allowed ? { writeText } : undefined;
        Object.defineProperty(navigator, "clipboard", { value: clipboard });
        document.execCommand = (name) => {
          const { value, selectionStart, selectionEnd } = document.activeElement;
          copied.push(value.slice(selectionStart, selectionEnd));
          return name === "copy";
        };
    }""",
        clipboard,
    )
    row = page.locator("#all-runs tbody tr").nth(3)
    row.locator(".copy").click()
    expect(row.locator(".copy")).to_have_text("copied")
    wanted = row.locator("a").inner_text()
    assert page.evaluate("copied") == [wanted]
    assert wanted in written.made.records
    expect(page.get_by_role("status")).to_have_text(f"copied {wanted}")


def test_an_id_leads_to_configuration_curves_and_images(page: Page, written: Written) -> None:
    go(page, written)
    link = page.locator("#sweep-x .list tbody tr").nth(1).locator("a")
    run = link.inner_text()
    link.click()
    panel = page.locator("#panel")
    expect(panel.locator("h2")).to_have_text(f"Run {run}")
    expect(panel.locator("article")).to_have_count(1)
    assert panel.locator("svg polyline").count() > 0
    assert panel.get_by_text("whole configuration").is_visible()
    image = panel.locator("img").first
    image.scroll_into_view_if_needed()
    assert image.evaluate("async i => { await i.decode(); return i.naturalWidth }")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert page.url.endswith("#was-run") and shown_tabs(page) == ["tab-was-run"]


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
    asked = page.locator(f"#details-{written.failed}")
    expect(asked).to_be_in_viewport()
    assert INJECTED in asked.locator(".error").inner_text()
    expect(page.locator("#panel img[src=x]")).to_have_count(0)
    asked.get_by_text("traceback").click()
    expect(asked.locator("pre")).to_contain_text("Traceback (most recent call last)")


def test_deep_link_to_runs_of_no_table(page: Page, written: Written) -> None:
    go(page, written, f"#run-{written.lonely}")
    expect(page.locator(f"#details-{written.lonely}")).to_contain_text("seed 1")
    go(page, written, "#runs")
    expect(page.get_by_role("link", name=written.lonely)).to_be_visible()
    go(page, written, "#run-ffffffffffff")
    expect(page.locator("#panel h2")).to_have_text("No run ffffffffffff in this report")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_tables_and_not_the_page(page: Page, written: Written, scheme: Any) -> None:
    page.set_viewport_size({"width": 375, "height": 740})
    page.emulate_media(color_scheme=scheme)
    for anchor in ("", "#runs", "#claims", "#papers"):
        go(page, written, anchor)
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
    go(page, written, "#papers")
    open_cell(page)
    page.emulate_media(media="print")
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("#table1 .tools")).to_be_hidden()
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#table5")).to_be_visible()
