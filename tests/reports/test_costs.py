"""What networks cost, and the figure that holds PSNR against it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from support import contract_cases, tiny_runs
from torch import nn

from gradprom.experiments.declared import Column, Experiment
from gradprom.experiments.declared import Row as DeclaredRow
from gradprom.methods.base import Method
from gradprom.reports.plots import costs, style
from gradprom.reports.statistics.estimate import Estimate
from gradprom.reports.tables.table import Cell, Row, Table
from gradprom.runs.cost import Cost, cost
from gradprom.runs.record import Record


def counted_by_hand(network: nn.Module, *inputs: torch.Tensor) -> Cost:
    """Parameters, and the products of each convolution from the shape of what it returns."""
    products = 0.0

    def add(layer: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal products
        # of a transposed one each pixel of the input meets the whole kernel
        image = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        products += image[0, 0].numel() * layer.weight.numel()

    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_hook(add)
    with torch.no_grad():
        network.eval()(*inputs)
    return Cost(sum(p.numel() for p in network.parameters()), products)


@pytest.mark.parametrize(("case", "side"), [("gradprom", 256), ("down-sampled", 128)])
def test_an_enhancers_cost(case: str, side: int, tmp_path: Path) -> None:
    method = contract_cases.made(case, tmp_path).method
    images = torch.rand(1, 3, side, side)
    assert cost(method) == counted_by_hand(method.build_networks()["enhancer"], images)


def test_a_sampler_costs_all_its_passes(tmp_path: Path) -> None:
    method = contract_cases.made("ddm", tmp_path, "method.steps=7", "method.samples=3").method
    network, images = method.build_networks()["denoiser"], torch.rand(1, 3, 256, 256)
    once = counted_by_hand(network, images, torch.ones(1))
    assert cost(method) == Cost(once.parameters, 21 * once.multiply_adds)


@pytest.mark.parametrize("case", ["recognizer", "classical"])
def test_what_restores_by_no_network_has_no_cost(case: str, tmp_path: Path) -> None:
    assert cost(contract_cases.made(case, tmp_path).method) is None


# the figure

WORDS = {
    "small": ("strategy=mainstream", "backbone.channels=4"),
    "again": ("strategy=mainstream", "backbone.channels=4", "trainer.lr=0.001"),
    "larger": ("strategy=mainstream", "backbone.channels=8"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Record], list[Method]]:
    """A folder of results, the records of `WORDS` by their names, and the methods."""
    results = tmp_path_factory.mktemp("costs")
    words = {name: [*tiny_runs.PHANTOM, *extra] for name, extra in WORDS.items()}
    records = {name: tiny_runs.train(results, *each) for name, each in words.items()}
    return results, records, [tiny_runs.make(results, *each).method for each in words.values()]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures that are saved."""
    figures: list[Figure] = []

    def save(figure: Figure, *rest: Any) -> style.Picture:
        figures.append(figure)
        return style.save(figure, *rest)

    monkeypatch.setattr(costs, "save", save)
    yield figures


def table_of(records: list[Record]) -> Table:
    """A row a record with its PSNR, and a filter of 25 dB."""
    rows = [
        Row(
            DeclaredRow(f"row {place}", "", {"strategy": "mainstream"}),
            {(0, "psnr"): Cell("psnr", Estimate(20.0 + place, None, 1), finished={0: record.id})},
        )
        for place, record in enumerate(records)
    ]
    declared = tuple(row.declared for row in rows)
    columns = (Column("σ = 0.1", {"noise": 0.1}),)
    experiment = Experiment("tiny", "Tiny", "A table.", {}, (0,), ("psnr",), columns, declared, 1)
    filtered = Row(DeclaredRow("a filter"), {(0, "psnr"): Cell("psnr", Estimate(25.0, None, 1))})
    return Table(experiment, [], [], rows, [], classical=[filtered])


def test_points_stand_at_the_cost_of_their_own_network(
    made: tuple[Path, dict[str, Record], list[Method]], drawn: list[Figure]
) -> None:
    results, by_name, methods = made
    records = [*by_name.values()]
    study = tiny_runs.local(results)
    by_id = {record.id: record for record in records}
    [picture] = costs.draw([table_of(records)], by_id, study, results / "figures")
    assert picture.table == "tiny" and picture.png.exists() and picture.vector.exists()
    images = torch.rand(1, 3, 256, 256)
    expected = [counted_by_hand(m.build_networks()["enhancer"], images) for m in methods]
    for axis, kind in zip(drawn[0].axes, ("parameters", "multiply_adds"), strict=True):
        line, *marks = axis.lines
        assert list(line.get_ydata()) == [25.0, 25.0]
        places = [(mark.get_xdata()[0], mark.get_ydata()[0]) for mark in marks]
        assert places == [(getattr(c, kind), 20.0 + n) for n, c in enumerate(expected)]
        assert axis.get_xscale() == "log"


def test_rows_of_one_network_have_no_figure(
    made: tuple[Path, dict[str, Record], list[Method]], drawn: list[Figure]
) -> None:
    results, by_name, _ = made
    same = [by_name["small"], by_name["again"]]
    by_id = {record.id: record for record in same}
    assert costs.draw([table_of(same)], by_id, tiny_runs.local(results), results) == []


def test_a_run_whose_configuration_does_not_fit_is_left_out(
    made: tuple[Path, dict[str, Record], list[Method]],
) -> None:
    results, by_name, _ = made
    records = {record.id: record for record in by_name.values()}
    gone = tiny_runs.local(results / "elsewhere")
    assert costs.points(table_of([*by_name.values()]), costs.Costs(records, gone)) == {}


@pytest.mark.parametrize(
    ("value", "text"), [(500, "500"), (5e4, "50 k"), (2e6, "2 M"), (2.5e9, "2.5 G"), (1e12, "1 T")]
)
def test_numbers_on_an_axis_are_short(value: float, text: str) -> None:
    assert costs.short(value) == text
