"""The page in a real browser: tabs, keyboard, details, links, a phone's width, and paper."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.browsed_page import CHROMIUM, INJECTED, Written, go

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


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


def test_a_curve_of_one_point_is_a_dot(page: Page, written: Written) -> None:
    """A stage of one epoch logs once, and a line through one point cannot be seen."""
    go(page, written)
    series = "[{points: [[2, 0.5]], stages: [['coupled', 0]]}]"
    assert "<circle" in page.evaluate(f"chart('gate', {series}).outerHTML")
    series = "[{points: [[2, 0.5], [4, 0.6]], stages: [['coupled', 0]]}]"
    assert "<circle" not in page.evaluate(f"chart('gate', {series}).outerHTML")


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
    assert "\ntrainer:\n" in yaml and "\n  batch_size: 8\n  lr: 0.0001" in yaml
    assert "\nstrategy:\n" in yaml and "\n  name: gradprom\n" in yaml
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
    box = page.locator("#table1 .box[role=region]")
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
