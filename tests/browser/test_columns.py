"""Columns of the page in a real browser: sorted, filtered and hidden."""

import pytest
from playwright.sync_api import Page, expect
from support.browsed_page import CHROMIUM, Written, go

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def titles(page: Page) -> list[str]:
    """Row headings as they stand, those that cannot be seen left out."""
    return page.locator("#table1 tbody tr:visible > th").all_inner_texts()


def column(page: Page, number: int) -> list[float]:
    cells = page.locator(f"#table1 tbody tr:not(.group):not(.pinned) > :nth-child({number})")
    return [float(text) for text in cells.evaluate_all("c => c.map(x => x.dataset.ours)") if text]


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
    numbers = table.locator(".box[role=region]")  # without the summary below
    before = numbers.locator("thead tr:last-child th:visible").count()
    table.get_by_label("SSIM").uncheck()
    heads = numbers.locator("thead tr:last-child th:visible").all_inner_texts()
    assert "SSIM" not in heads and len(heads) == before - 4
    spans = numbers.locator("thead .above th:visible").evaluate_all(
        "all => all.map(t => t.colSpan)"
    )
    assert spans == [1, 2, 2, 2, 2]
    table.get_by_label("σ = 0.1").uncheck()
    assert numbers.locator("thead tr:last-child th:visible").count() == before - 6
    row = numbers.locator("tbody tr:not(.group)").first
    assert row.locator(":scope > :visible").count() == before - 6
    table.get_by_label("SSIM").check()
    table.get_by_label("σ = 0.1").check()
    assert numbers.locator("thead tr:last-child th:visible").count() == before
