"""report.html: one self-contained page that tells what became of every layer, why, and what would make the model faster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from cosoc.converter.advice import advice
from cosoc.converter.compare import LayerError
from cosoc.converter.diagram import draw
from cosoc.converter.estimate import Estimate
from cosoc.converter.figures import (
    crossings,
    describe_output,
    device_of,
    duration,
    macs,
    precision,
    quantity,
    size_of,
    weight_bytes,
)
from cosoc.converter.ir import Graph, Node
from cosoc.converter.placement import reason

STYLE = """
:root { --ink:#1c2733; --soft:#5d6b79; --line:#dfe5ea; --paper:#fff; --back:#f4f6f8; --c2d:#1f9d61; --fft:#3568d4; --zip:#8a4fd0;
  --cpu:#8895a3; --warn:#d9822b; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; margin: 0; background: var(--back); color: var(--ink); }
main { max-width: 100rem; margin: 0 auto; padding: 2rem 1.5rem 4rem; }
h1 { font-size: 1.9rem; margin: 0; letter-spacing: -.02em; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .7rem; }
p { margin: .3rem 0; } .lead { color: var(--soft); max-width: 62rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .8rem; margin: 1.4rem 0 0; }
.card, .panel { background: var(--paper); border: 1px solid var(--line); border-radius: .8rem; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.45rem; letter-spacing: -.01em; } .card span { color: var(--soft); font-size: .85rem; }
.panel ul { margin: 0; padding-left: 1.2rem; } .panel li { margin: .25rem 0; }
.split { display: flex; height: .7rem; border-radius: .35rem; overflow: hidden; margin: .5rem 0 .2rem; background: var(--line); }
.legend { color: var(--soft); font-size: .85rem; display: flex; gap: 1.2rem; flex-wrap: wrap; }
.dot { display: inline-block; width: .75rem; height: .75rem; border-radius: .2rem; margin-right: .35rem; vertical-align: -.08rem; }
.picture { max-height: 46rem; overflow: auto; text-align: center; }
svg.graph { font: 12.5px system-ui, sans-serif; max-width: none; } svg.graph text { text-anchor: middle; fill: #fff; }
svg.graph .note { font-size: 10.5px; opacity: .88; } svg.graph .edge { fill: none; stroke: #a9b4bf; stroke-width: 1.6; }
svg.graph .input rect { fill: #fff; stroke: #a9b4bf; } svg.graph .input text { fill: var(--ink); }
svg.graph a:hover rect { filter: brightness(1.12); }
.c2d rect { fill: var(--c2d); } .fft rect { fill: var(--fft); } .zip rect { fill: var(--zip); } .cpu rect { fill: var(--cpu); }
.chip { border-radius: .6rem; padding: .05rem .55rem; margin-right: .25rem; color: #fff; font-size: .82rem; white-space: nowrap;
  background: var(--cpu); }
.chip.c2d, i.c2d { background: var(--c2d); } .chip.fft, i.fft { background: var(--fft); }
.chip.zip, i.zip { background: var(--zip); } i.cpu { background: var(--cpu); }
.table { overflow-x: auto; padding: 0; }
table { border-collapse: collapse; width: 100%; font-size: .82rem; }
th { text-align: left; color: var(--soft); font-weight: 600; white-space: nowrap; }
th, td { padding: .4rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; } tr:target td { background: #fff6dd; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } td.name { font-weight: 600; }
td.plain { white-space: nowrap; } td.why { color: var(--soft); min-width: 9rem; } td.weak { color: var(--warn); font-weight: 600; }
.bar { display: block; height: .28rem; border-radius: .14rem; background: var(--c2d); margin: .15rem 0 0 auto; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6ebf0; --soft:#98a6b4; --line:#2c3641; --paper:#1a222b; --back:#12181f; }
  tr:target td { background: #3a3215; } svg.graph .input rect { fill: #26303a; } }
@media print { .picture { max-height: none; } body { background: #fff; } }
"""

COLUMNS = ("layer", "operation", "output", "precision", "MAC", "may run on", "why", "time", "error", "SNR", "your code")

WEAK_SNR = 20.0
"""Decibels below which a layer's error stands out."""


def report(
    graph: Graph,
    errors: Sequence[LayerError],
    calibration: str,
    estimate: Estimate | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The page.

    Args:
        errors: differences from PyTorch's float model, as `compare_module` gives them.
        calibration: a sentence on the data that the scales come from.
        estimate: times of a SoC.
        notes: what was decided about precision, a sentence each.
    """
    by_node = {error.node: error for error in errors}
    devices = {node.name: device_of(node, estimate) for node in graph.nodes}
    captions = {node.name: caption(graph, node, estimate) for node in graph.nodes}
    captions |= {name: describe_output(graph, name) for name in graph.inputs}
    suggestions = advice(graph, errors, estimate)
    legend = "".join(f'<span><i class="dot {kind}"></i>{kind}</span>' for kind in dict.fromkeys(devices.values()))
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    rows = "\n".join(row(graph, node, index, by_node.get(node.name), estimate) for index, node in enumerate(graph.nodes))
    where = f"as the policy EFT places it on {escape(estimate.soc)}" if estimate else "where it may run; the runtime decides"
    name = escape(graph.name)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{name}</title><style>{STYLE}</style></head>\n<body><main>\n<h1>{name}</h1>\n"
        f'<p class="lead">{escape(calibration)} Errors are those of the deployed model against PyTorch\'s float model, '
        "in the units of each layer's output.</p>\n"
        f"{cards(graph, errors, estimate)}\n"
        f'<h2>What to change to go faster</h2>\n<div class="panel">{listed(suggestions)}</div>\n'
        + (f'<h2>Precision</h2>\n<div class="panel">{listed(notes)}</div>\n' if notes else "")
        + f'<h2>The graph, {where}</h2>\n<div class="legend">{legend}</div>\n'
        f'<div class="panel picture">{draw(graph, devices, captions)}</div>\n'
        f'<h2>Layer by layer</h2>\n<div class="panel table"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n'
        "</tbody></table></div>\n"
        "</main></body></html>\n"
    )


def cards(graph: Graph, errors: Sequence[LayerError], estimate: Estimate | None) -> str:
    """The totals."""
    total = sum(macs(graph, node) for node in graph.nodes)
    offloaded = sum(macs(graph, node) for node in graph.nodes if node.devices != ("cpu",))
    weakest = min(errors, key=lambda error: error.snr_db, default=None)
    entries = [(f"{len(graph.nodes)}", "layers"), (quantity(total), "multiply-accumulates")]
    if total:
        entries.append((f"{100 * offloaded / total:.1f} %", "of them for accelerators"))
    if estimate:
        entries.insert(0, (duration(estimate.total_ns), f"one input on {estimate.soc}, by the cost model"))
        entries.append((size_of(estimate.peak_memory_bytes), "peak device memory"))
    entries.append((size_of(weight_bytes(graph)), "weights"))
    entries.append((str(crossings(graph, estimate)), "crossings CPU ↔ accelerator"))
    if weakest is not None and math.isfinite(weakest.snr_db):
        entries.append((f"{weakest.snr_db:.1f} dB", f"lowest signal to noise, {weakest.node}"))
    body = "".join(f'<div class="card"><b>{escape(value)}</b><span>{escape(text)}</span></div>' for value, text in entries)
    return f'<div class="cards">{body}</div>' + (times(graph, estimate) if estimate else "")


def times(graph: Graph, estimate: Estimate) -> str:
    """Which device works how long, as a bar."""
    work: dict[str, int] = {}
    for node in graph.nodes:
        kind = device_of(node, estimate)
        work[kind] = work.get(kind, 0) + estimate.nodes[node.name].duration_ns
    total = max(1, sum(work.values()))
    bars = "".join(f'<i class="{kind}" style="width:{100 * time / total:.2f}%"></i>' for kind, time in work.items())
    legend = "".join(
        f'<span><i class="dot {kind}"></i>{kind} {duration(time)} ({100 * time / total:.0f} %)</span>'
        for kind, time in work.items()
    )
    return (
        f'<div class="panel" style="margin-top:.8rem">Work<div class="split">{bars}</div><div class="legend">{legend}</div></div>'
    )


def listed(items: Sequence[str]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def caption(graph: Graph, node: Node, estimate: Estimate | None) -> str:
    """Second line of a box."""
    time = f" · {duration(estimate.nodes[node.name].duration_ns)}" if estimate and node.name in estimate.nodes else ""
    return f"{node.function} · {precision(graph, node)}{time}"


def row(graph: Graph, node: Node, index: int, error: LayerError | None, estimate: Estimate | None) -> str:
    """A line of the table."""
    chips = "".join(f'<span class="chip {escape(device)}">{escape(device)}</span>' for device in node.devices)
    work = macs(graph, node)
    time = estimate.nodes.get(node.name) if estimate else None
    longest = max((other.duration_ns for other in estimate.nodes.values()), default=1) if estimate else 1
    bar = f'<i class="bar" style="width:{100 * time.duration_ns / max(1, longest):.0f}%"></i>' if time else ""
    weak = error is not None and error.snr_db < WEAK_SNR
    snr = "" if error is None else "exact" if math.isinf(error.snr_db) else f"{error.snr_db:.1f} dB"
    cells = [
        f'<td class="name">{escape(node.name)}</td>',
        f'<td class="plain">{escape(node.function)}</td>',
        f'<td class="plain">{escape(describe_output(graph, node.outputs[0]))}</td>',
        f"<td>{precision(graph, node)}</td>",
        f'<td class="number">{f"{work:,}" if work else ""}</td>',
        f'<td class="plain">{chips}</td>',
        f'<td class="why">{escape(reason(graph, node))}</td>',
        f'<td class="number">{f"{duration(time.duration_ns)} {escape(time.device)}" if time else ""}{bar}</td>',
        f'<td class="number">{"" if error is None else f"{error.max_error:.3g} ({100 * error.relative_error:.2f} %)"}</td>',
        f'<td class="number{" weak" if weak else ""}">{snr}</td>',
        f'<td class="plain">{escape(node.source)}</td>',
    ]
    return f'<tr id="node-{index}">{"".join(cells)}</tr>'
