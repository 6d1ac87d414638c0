"""The registry: which families there are, what it refuses, and what docs/metrics.md says."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradprom.errors import ConfigError
from gradprom.metrics import registry
from gradprom.metrics.registry import METRICS, Metric, discover, metric, scores

ROOT = Path(__file__).parents[2]
TABLE = {
    "psnr": np.array([20.0, 30.0]),
    "degraded_psnr": np.array([10.0, 13.0]),
    "degraded_rmse": np.array([0.3, 0.1]),
}


def test_importing_it_imports_no_torch() -> None:
    code = "import sys; from gradprom.metrics.registry import METRICS; METRICS['miou']; "
    code += "from gradprom import metrics; metrics.psnr; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("one", METRICS.values(), ids=lambda one: one.name)
def test_every_metric_is_whole(one: Metric) -> None:
    assert METRICS[one.name] is one and one.title
    assert one.better in ("higher", "lower", "")
    assert bool(one.columns) == (one.source == "images")
    assert one.brief.format(0.5)
    if one.source == "training":
        with pytest.raises(TypeError):
            one.score({}, np.ones(1))


def test_titles_tell_metrics_apart() -> None:
    """Published numbers are found by them."""
    titles = [one.title for one in METRICS.values()]
    assert len(set(titles)) == len(titles)


def test_the_degraded_input_is_scored_by_the_same_definitions() -> None:
    found = scores(TABLE)
    assert found == {
        "degraded_psnr": 11.5,
        "degraded_rmse": pytest.approx(0.2),
        "psnr": 25.0,
    }


def test_a_metric_of_training_is_the_mean_over_tasks() -> None:
    training = {"gate_diagnosis": 0.5, "gate_segmentation": 1.0, "ratio_diagnosis": 0.25}
    assert METRICS["gate"].of_training(training) == 0.75
    assert METRICS["ratio"].of_training(training) == 0.25
    assert METRICS["agree"].of_training(training) is None
    assert not METRICS["gate"].fits({"gate": np.ones(2)})


def test_an_unknown_metric_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="speed.*psnr.*auc"):
        metric("speed")


def plugin(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A family of somebody else's, found on `sys.path`."""
    place = folder / "gradprom_plugins" / "metrics"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    for loaded in [m for m in sys.modules if m.startswith("gradprom_plugins")]:
        monkeypatch.delitem(sys.modules, loaded)


def test_two_metrics_of_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from gradprom.metrics.registry import Metric\nMETRICS = (Metric('psnr', 'Other'),)\n"
    plugin(tmp_path, "other", text, monkeypatch)
    with pytest.raises(ConfigError, match="gradprom_plugins.metrics.other.*psnr"):
        discover()


def test_a_family_that_cannot_be_imported_is_no_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path, "broken", "import no_such_package\n", monkeypatch)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        discover()
    assert list(discover(["gradprom.metrics", "nobody.has_this"])) == list(METRICS)


def test_the_example_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    pattern = r"`gradprom_plugins/metrics/(\w+)\.py`.*?```python\n(.*?)```"
    [(name, code)] = re.findall(pattern, text, re.S)
    plugin(tmp_path, name, code, monkeypatch)
    found = discover()
    assert list(found)[: len(METRICS)] == list(METRICS)  # ours keep their order
    worst = found["worst_psnr"]
    assert (worst.axis, worst.text(20.0)) == ("worst PSNR, dB", "20.00 dB")
    table = {"psnr": np.array([20.0, 30.0, 25.0])}
    weights = np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 1.0]])
    np.testing.assert_array_equal(worst.score(table, weights), [20.0, 25.0])
    monkeypatch.setattr(registry, "METRICS", found)
    assert registry.scores(table)["worst_psnr"] == 20.0


def test_the_fields_that_the_docs_name_are_those_there_are() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    _, _, fields = text.partition("| Field |")
    named = set(re.findall(r"^\| `(\w+)` \|", fields, re.M))
    assert named == set(Metric.__dataclass_fields__)
