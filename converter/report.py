"""report.html: one self-contained page that tells what became of every layer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cosoc.converter.compare import LayerError
from cosoc.converter.ir import Graph, Node
from cosoc.converter.placement import reason
from cosoc.converter.spec import window_output

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3em .7em; border-bottom: 1px solid #ddd; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.device { border-radius: .6em; padding: 0 .6em; margin-right: .3em; background: #e4e4e4; white-space: nowrap; }
.c2d { background: #bfe3c8; }
"""

COLUMNS = ("node", "operation", "output", "MAC", "may run on", "why", "source", "largest error", "of range", "SNR")


def macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of a convolution for the graph's batch, before its pooling; 0 for other operations."""
    if node.op != "conv2d":
        return 0
    batch, *size, _ = graph.tensors[node.inputs[0]].shape
    channels, *kernel, group_channels = graph.tensors[node.inputs[1]].shape
    attributes = node.attributes
    extent = [step * (taps - 1) + 1 for step, taps in zip(attributes["dilation"], kernel, strict=True)]
    height, width = window_output(size, extent, attributes["stride"], attributes["padding"])
    return batch * height * width * channels * kernel[0] * kernel[1] * group_channels


def describe_output(graph: Graph, node: Node) -> str:
    """`int8 (1, 32, 32, 16)`."""
    tensor = graph.tensors[node.outputs[0]]
    return f"{tensor.dtype} ({', '.join(map(str, tensor.shape))})"


def report(graph: Graph, errors: Sequence[LayerError], calibration: str) -> str:
    """The page.

    Args:
        errors: differences from PyTorch's float model, as `compare_module` gives them.
        calibration: a sentence on the data that the scales come from.
    """
    by_node = {error.node: error for error in errors}
    rows = []
    for node in graph.nodes:
        error = by_node.get(node.name)
        numbers = (
            ("", "", "")
            if error is None
            else (f"{error.max_error:.4g}", f"{100 * error.relative_error:.2f} %", f"{error.snr_db:.1f} dB")
        )
        devices = "".join(f'<span class="device {escape(device)}">{escape(device)}</span>' for device in node.devices)
        work = macs(graph, node)
        cells = [escape(node.name), escape(node.op), describe_output(graph, node)]
        rows.append(
            "<tr>"
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + f'<td class="number">{f"{work:,}" if work else ""}</td><td>{devices}</td>'
            + f"<td>{escape(reason(graph, node))}</td><td>{escape(node.source)}</td>"
            + "".join(f'<td class="number">{number}</td>' for number in numbers)
            + "</tr>"
        )
    total = sum(macs(graph, node) for node in graph.nodes)
    offloaded = sum(macs(graph, node) for node in graph.nodes if "c2d" in node.devices)
    share = f"{100 * offloaded / total:.1f} % of them may run on c2d" if total else "none on c2d"
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    name = escape(graph.name)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style></head>\n'
        f"<body><h1>{name}</h1>\n<p>{len(graph.nodes)} nodes, {total:,} multiply-accumulates; {share}. {escape(calibration)} "
        "Errors are those of the int8 model against PyTorch's float model on calibration data, in the units of each layer's "
        "output; the runtime decides where each node runs.</p>\n"
        f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table></body></html>\n"
    )
