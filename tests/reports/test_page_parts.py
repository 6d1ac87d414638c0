"""What the page lists beside its tables: runs, pictures, tunings."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support import records_factory
from support.page_reader import page_of
from support.records_factory import Made

from gradprom.reports.plots.style import Picture
from gradprom.storage.files import write_checked


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return records_factory.make(tmp_path, ["table1"], rows=9, panels=2)


def test_every_run_is_listed_with_its_id_and_its_scores(made: Made) -> None:
    first, *rest = made.records.values()
    made.records[first.id] = records_factory.failed(first, "loss became NaN")
    made.change(rest[0], metrics={**rest[0].metrics, "accuracy": 0.75, "majority_share": 0.625})
    reader, path = page_of(made)
    links = [a["href"] for a in reader.all("a")]
    copied = [b["data-copied"] for b in reader.all("button") if b.get("class") == "copy"]
    assert sorted(copied) == sorted(made.records)
    assert {f"#run-{run}" for run in made.records} <= set(links)
    rows = {
        m[1]: m[0]
        for m in re.finditer(r"<tr><td class=\"id\">.*?#run-(\w+).*?</tr>", path.read_text(), re.S)
    }
    assert set(rows) == set(made.records)
    for record in made.records.values():
        for name in {"psnr", "ssim"} & set(record.metrics):
            assert f"{record.metrics[name]:.3f}" in rows[record.id]
    assert "failed" in rows[first.id] and first.choices["method"] in rows[first.id]
    # an accuracy is never without what it stands against
    assert "0.750</td><td" in rows[rest[0].id] and "0.625</td>" in rows[rest[0].id]


def test_pictures_of_a_table_stand_below_it(made: Made) -> None:
    [table] = made.tables()
    png = made.study.folder / "report" / "figures" / "gates.png"
    pictures = [
        Picture("own", "Of Table I", "c", png, table=table.key),
        Picture("fig4", "Of no table", "c", png),
    ]
    reader, _ = page_of(made, pictures=pictures)
    assert "Of Table I." in reader.texts["table1"]
    assert "Of no table." in reader.texts["figures"] and "Of Table I" not in reader.texts["figures"]


def test_tables_of_one_experiment_are_told_apart(made: Made) -> None:
    [table] = made.tables()
    narrowings = [["profile=demo", "noise=0.1"], ["profile=demo", "noise=0.2"], ["profile=demo"]]
    tables = [replace(table, narrowing=words) for words in narrowings]
    _, path = page_of(made, tables)
    entries = re.findall(r">Table I</a>(?: <small>(.*?)</small>)?</li>", path.read_text())
    assert entries == ["noise=0.1", "noise=0.2", "as declared"]
    _, path = page_of(made, tables[:1])
    assert "<small>noise=0.1" not in path.read_text()


def test_a_tuning_is_shown_with_its_trials(made: Made) -> None:
    folder = made.study.folder / "tune" / "lambda-0123456789ab"
    (folder / "report").mkdir(parents=True)
    lines = ["trial,lam,accuracy,state,why,run", "0,0.00021431784,0.75,finished,,aaaaaaaaaaaa"]
    lines.append("1,0.5,,failed,loss became NaN,")
    (folder / "report" / "trials.csv").write_text("\n".join(lines) + "\n")
    (folder / "report" / "best.txt").write_text("python run.py lam=0.00021431784\n")
    scores = {"accuracy": 0.75, "majority_share": 0.625}
    record = records_factory.record("aaaaaaaaaaaa", metrics=scores, training={})
    (folder / "runs" / record.id).mkdir(parents=True)
    write_checked(folder / "runs" / record.id / "record.json", record.to_json())
    reader, path = page_of(made)
    shown = reader.texts["tuning-lambda-0123456789ab"]
    assert "python run.py lam=0.00021431784" in shown and "0.00021432" in shown
    assert "loss became NaN" in shown and "most frequent class: 0.625" in shown
    assert any((a["href"] or "").endswith("/runs/aaaaaaaaaaaa/") for a in reader.all("a"))
