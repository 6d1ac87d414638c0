"""Tables of Task-GAN: published numbers stand in rows of their own, stand-ins have none."""

import pytest

from gradprom.experiments import declared
from gradprom.reports.tables.published import published


@pytest.mark.parametrize(("name", "count"), [("table2", 24), ("table3", 9)])
def test_published_rows_run_nothing_and_stand_ins_have_no_published_number(
    name: str, count: int
) -> None:
    [table] = declared.read(f"task_gan/{name}")
    numbers = [
        (row, column, metric)
        for row in table.rows
        for column in table.columns
        for metric in table.metrics_of(row)
        if published(table, row, column, metric)
    ]
    assert len(numbers) == count
    assert {row.group for row, _, _ in numbers} == {"As published"}
    for row in table.rows:
        assert bool(row.waits_for) == (row.group == "As published") != bool(row.overrides)
    assert [row.overrides["method"] for row in table.rows if row.overrides] == [
        "pixel",
        "gan",
        "task_gan",
    ]
