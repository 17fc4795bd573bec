"""report.html and the picture in it: what a reader must find, whatever the graph looks like."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from cosoc.cli.main import app
from cosoc.converter import ConversionError, convert, diagram
from cosoc.converter.compare import LayerError
from cosoc.converter.convert import Conversion
from cosoc.converter.estimate import Estimate, NodeTime, estimate
from cosoc.converter.figures import crossings, duration, macs, quantity, size_of
from cosoc.converter.placement import apply_force
from cosoc.converter.report import report
from tests.converter.models import Chain, Residual, converted


class Branches(nn.Module):
    """Two paths of different lengths that meet twice, and a name that HTML must escape."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.long = nn.Conv2d(3, 8, 3, padding=1), Chain(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.residual = Residual(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.residual(torch.relu(self.long(x)) + x)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def conversion() -> Conversion:
    return converted(Branches(), (1, 3, 8, 8), name="a <model> & more")[0]


class Balance(HTMLParser):
    """Fails where a tag is closed that is not open."""

    VOID = ("meta", "path", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_page_is_well_formed_and_complete(conversion: Conversion) -> None:
    page, graph = conversion.bundle.report, conversion.bundle.graph
    parser = Balance()
    parser.feed(page)
    assert not parser.open
    assert "a <model> & more" in parser.text
    assert not re.search(r"https?:|src=|@import|url\(", page), "nothing is loaded"
    for index, node in enumerate(graph.nodes):
        assert f'<tr id="node-{index}"><td class="name">{node.name}</td>' in page
        assert f'<a href="#node-{index}">' in page
        assert node.source in page
    for error in conversion.errors:
        assert f"{error.max_error:.3g} ({100 * error.relative_error:.2f} %)" in page


def test_rows_and_boxes_tell_device_precision_and_reason(conversion: Conversion) -> None:
    """Of the picture and the table alike: what the accelerator may run is coloured as its own."""
    page = conversion.bundle.report
    graph = apply_force(conversion.bundle.graph, {"first": "cpu"})
    forced = report(graph, [], "")
    for text, nodes in ((page, conversion.bundle.graph.nodes), (forced, graph.nodes)):
        for index, node in enumerate(nodes):
            kind = node.devices[-1]
            assert f'<g class="{kind}"><title>{node.name}\n' in text
            (row,) = re.findall(rf'<tr id="node-{index}">.*</tr>', text)
            assert "<td>int8</td>" in row
            assert [f'chip {device}"' in row for device in ("cpu", "c2d")] == [device in node.devices for device in ("cpu", "c2d")]
            reasons = {"quantize": "no accelerator computes quantize", "dequantize": "no accelerator computes dequantize"}
            why = reasons.get(node.op, "c2d computes it" if kind == "c2d" else "c2d could run it, but was excluded")
            assert f'<td class="why">{why}' in row
    assert '<g class="cpu"><title>first\n' in forced
    assert '<g class="c2d"><title>first\n' in page


def test_boxes_do_not_overlap_and_edges_go_down(conversion: Conversion) -> None:
    layout = diagram.arrange(conversion.bundle.graph)
    for row in layout.rows:
        for left, right in pairwise(row):
            assert left.x + left.width / 2 < right.x - right.width / 2
    for edge in layout.edges:
        assert [place.row for place in edge] == list(range(edge[0].row, edge[-1].row + 1))
        assert not any(place.box for place in edge[1:-1])
    readers = sum(
        not conversion.bundle.graph.tensors[name].constant for node in conversion.bundle.graph.nodes for name in node.inputs
    )
    assert len(layout.edges) == readers


def test_times_and_advice(conversion: Conversion) -> None:
    """A slow layer on the CPU is named with its time; a layer of much noise too."""
    graph = conversion.bundle.graph
    nodes = {node.name: NodeTime("cpu0" if node.name == "first" else "c2d0", 1000) for node in graph.nodes}
    nodes["first"] = NodeTime("cpu0", 2_500_000)
    weak = LayerError("residual.first", "conv2d", "model.py:7", "x", 0.5, 1.0, 9.0)
    page = report(graph, [weak], "Calibrated.", Estimate("soc", nodes, 3_000_000, 1_500_000), ["first stays float"])
    for text in ("first (", "takes 2.5 ms", "1.5 MB", "3 ms", "first stays float", "the integers lose much there", "9.0 dB</td>"):
        assert text in page, text
    assert "Pass soc=" not in page


class Products(nn.Module):
    """Every kind of multiply-accumulate, none of them on an accelerator when all is float."""

    def __init__(self) -> None:
        super().__init__()
        self.row, self.image = nn.Conv1d(6, 8, 5, 2, 1, groups=2), nn.Conv2d(1, 4, 3, dilation=2)
        self.wider, self.linear = nn.ConvTranspose2d(4, 6, 3, 2, 1, groups=2), nn.Linear(11, 8)
        self.lstm, self.gru = nn.LSTM(8, 6, bias=False, proj_size=5), nn.GRU(5, 3, bidirectional=True)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.linear(self.row(x))
        y = nn.functional.scaled_dot_product_attention(y, y @ y.mT, y)
        return self.gru(self.lstm(y)[0])[0], self.wider(self.image(x[:, None]))


def test_functions_are_named(tmp_path: Path) -> None:
    """By what they compute, not by the operation that has many of them; what a curved activation costs is said."""
    curved, straight = (
        converted(Chain(nn.Conv2d(1, 4, 3), activation, nn.Conv2d(4, 2, 3)), (1, 1, 8, 8))[0].bundle
        for activation in (nn.GELU(), nn.ReLU())
    )
    advised = "a ReLU, ReLU6 or Hardtanh there becomes part of the layer before it"
    assert advised in curved.report
    assert "gelu of 1 is computed in float" in curved.report
    assert advised not in straight.report
    assert "no accelerator computes unary gelu" in curved.report
    curved.save(tmp_path / "curved")
    assert "unary gelu" in CliRunner().invoke(app, ["inspect", str(tmp_path / "curved")]).output


def test_multiply_accumulates() -> None:
    """As PyTorch counts them itself, where it counts them in full: not those of recurrent and linear layers."""
    model, x = Products().eval(), torch.randn(2, 6, 24)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(x)
    counted = counter.get_flop_counts()["Global"]
    expected = sum(counted[op] // 2 for op in (torch.ops.aten.convolution, torch.ops.aten.bmm))
    expected += 2 * 8 * (11 * 8 + 4 * 6 * (8 + 5) + 6 * 5 + 2 * 3 * 3 * (5 + 3))
    for precision in ("int8", "float"):
        bundle = convert(model, x, precision=precision)
        assert sum(macs(bundle.graph, node) for node in bundle.graph.nodes) == expected, precision
    for text in ("row (", "linear (", "on the CPU: no accelerator computes convolution in float", quantity(expected)):
        assert text in bundle.report, text
    assert "may run on an accelerator" not in bundle.report


def test_crossings(conversion: Conversion) -> None:
    """Without an estimate: the quantized input goes to the accelerator, the result comes back."""
    assert crossings(conversion.bundle.graph, None) == 2


def test_estimate_covers_every_node(conversion: Conversion, build: Path) -> None:
    found = estimate(conversion.bundle, build)
    assert found.nodes.keys() == {node.name for node in conversion.bundle.graph.nodes}
    assert 0 < found.on_accelerators_ns() < found.total_ns
    assert found.peak_memory_bytes > 0


def test_estimate_without_a_build(conversion: Conversion, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="no times for"):
        estimate(conversion.bundle, tmp_path)


def test_units() -> None:
    assert [duration(value) for value in (7, 1500, 2_340_000, 3.2e9)] == ["7 ns", "1.5 us", "2.34 ms", "3.2 s"]
    assert [quantity(value) for value in (7, 1500, 9_590_000, 10**10)] == ["7", "1.5 k", "9.59 M", "10 G"]
    assert [size_of(value) for value in (7, 1500, 2_340_000)] == ["7 bytes", "1.5 kB", "2.34 MB"]
